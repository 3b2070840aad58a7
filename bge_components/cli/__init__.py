"""The `bge` command: one small file per command; nothing heavy is imported before a command needs it."""

from .app import app, main

__all__ = ["app", "main"]
