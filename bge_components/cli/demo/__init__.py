"""`bge demo` and what it needs: texts, passages, a two-stage search and its report."""
