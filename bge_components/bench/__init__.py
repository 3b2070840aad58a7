"""Measures speed: this package and others on the same weights and texts, in turns, on the machine at hand."""
