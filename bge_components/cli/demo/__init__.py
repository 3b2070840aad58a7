"""`bge demo` and what it needs: texts, passages, a search in three ways and its report."""
