"""The systems that are measured: what each is, where its package is, and a process of its own that runs it."""
