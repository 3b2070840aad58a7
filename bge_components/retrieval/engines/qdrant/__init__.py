"""The engine for a Qdrant server or cluster."""

from .engine import QdrantEngine
from .settings import QdrantSettings

__all__ = ["QdrantEngine", "QdrantSettings"]
