"""Hybrid retrieval: an index of dense, sparse and token vectors, and plans of how to search it."""
