"""Our terms in Qdrant's words, for the embedded engine and the server alike: conditions, names, payloads."""
