"""What a reranker can be asked to do differently from what its checkpoint says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..contracts import Float32, OnTruncation, ScoreScale
from ..errors import InputError
from ..truncation import checked_on_truncation
from ..vectors import sigmoid

LongPassages = Literal["first", "max", "mean"]


@dataclass(frozen=True, kw_only=True)
class RerankerSettings:
    """How (query, passage) pairs become scores. None means: as the checkpoint's catalogue entry says.

    Attributes:
        scores: "sigmoid" maps logits to 0..1; "raw" leaves them. The order is the same.
        query_instruction: Put before every query; "" for none.
        max_tokens: Longest pair in tokens, special tokens included.
        query_max_tokens: Longest query in tokens; None is three quarters of `max_tokens`, as FlagEmbedding.
        long_passages: What a passage beyond that length scores: "first" reads its beginning and cuts the rest;
            "max" and "mean" read all of it in overlapping windows and aggregate their logits.
        window_overlap: Tokens that two windows share.
        on_truncation: When pairs are cut: warn, raise `TextTooLongError`, or say nothing. Python
            shows an equal warning once per line of the caller unless told otherwise.
    """

    scores: ScoreScale = "sigmoid"
    query_instruction: str | None = None
    max_tokens: int | None = None
    query_max_tokens: int | None = None
    long_passages: LongPassages = "first"
    window_overlap: int = 64
    on_truncation: OnTruncation = "warn"

    def __post_init__(self) -> None:
        checked_on_truncation(self.on_truncation)
        if self.scores not in ("sigmoid", "raw"):
            raise InputError(f"scores must be 'sigmoid' or 'raw', got {self.scores!r}")
        if self.long_passages not in ("first", "max", "mean"):
            raise InputError(f"long_passages must be 'first', 'max' or 'mean', got {self.long_passages!r}")
        for name in ("max_tokens", "query_max_tokens"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} must be 1 or more, got {value}")
        if self.window_overlap < 0:
            raise InputError(f"window_overlap must be 0 or more, got {self.window_overlap}")

    def scaled(self, raw: Float32) -> Float32:
        """Put raw scores on the scale that was asked for."""
        return sigmoid(raw) if self.scores == "sigmoid" else np.asarray(raw, dtype=np.float32)
