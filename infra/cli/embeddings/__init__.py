"""The demo with a real model: a batch of embeddings by all-MiniLM-L6-v2, and a search in its results."""
