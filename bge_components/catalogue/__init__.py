"""What each checkpoint is, as data, and where its files are. Loads no model library."""

from __future__ import annotations

from .checkpoint import Checkpoint, Family, Pooling
from .examples import (
    Example,
    LexicalWeightsExample,
    PairScoresExample,
    RerankExample,
    SimilarityExample,
    VectorExample,
)
from .files import locate
from .heads import head_file
from .inspection import inspect
from .lookup import all_checkpoints, find, suggestions
from .not_run import NOT_RUN, reason_not_run
from .resolution import ResolvedCheckpoint, resolve

__all__ = [
    "NOT_RUN",
    "Checkpoint",
    "Example",
    "Family",
    "LexicalWeightsExample",
    "PairScoresExample",
    "Pooling",
    "RerankExample",
    "ResolvedCheckpoint",
    "SimilarityExample",
    "VectorExample",
    "all_checkpoints",
    "find",
    "head_file",
    "inspect",
    "locate",
    "reason_not_run",
    "resolve",
    "suggestions",
]
