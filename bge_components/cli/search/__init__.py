"""`bge search` and what it needs: the query plan, marks in passages, and the report."""
