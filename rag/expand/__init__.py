"""Expansion of documents by a language model: keywords chosen, topics named, queries written; a stage that resumes."""
