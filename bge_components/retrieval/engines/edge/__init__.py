"""The embedded engine: a folder that one process holds."""

from .engine import EdgeEngine
from .settings import EdgeSettings

__all__ = ["EdgeEngine", "EdgeSettings"]
