"""Other engines behind this room's protocol, for comparison: rank-bm25, and Lucene through pyserini."""
