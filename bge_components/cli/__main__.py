"""Runs the command as `python -m bge_components.cli`."""

from .app import main

main()
