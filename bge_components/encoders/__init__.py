"""The embedding workshop: one encoder for dense, sparse and multi-vector output."""

from .encoder import Encoder
from .pair_scores import M3_WEIGHTS, PairScores, apair_scores, pair_scores
from .settings import EncoderSettings

__all__ = ["M3_WEIGHTS", "Encoder", "EncoderSettings", "PairScores", "apair_scores", "pair_scores"]
