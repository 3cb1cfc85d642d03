"""What is generated for documents beside their text: topics, keywords, queries; and the store that keeps them."""
