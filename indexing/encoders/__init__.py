"""Encoders, one file a runtime (hashing, ONNX Runtime, sentence-transformers), and the resolver of names."""
