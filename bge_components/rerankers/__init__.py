"""The reranking workshop: cross-encoders, and late interaction over any multi-vector encoder."""

from .cross_encoder import CrossEncoder
from .late_interaction import LateInteraction
from .reranker import StepReranker
from .settings import RerankerSettings

__all__ = ["CrossEncoder", "LateInteraction", "RerankerSettings", "StepReranker"]
