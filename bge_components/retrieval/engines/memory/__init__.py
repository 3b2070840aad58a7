"""The engine that keeps everything in memory."""

from .engine import MemoryEngine

__all__ = ["MemoryEngine"]
