"""How the scores of several channels become one: pure functions of scores and ranks, and the settings that choose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Literal

import numpy as np

from ..contracts import Float32
from ..encoders.pair_scores import M3_WEIGHTS
from ..errors import InputError

Normalization = Literal["min-max", "z-score", "distribution", "none"]
_NORMALIZATIONS = ("min-max", "z-score", "distribution", "none")


@dataclass(frozen=True, kw_only=True)
class ReciprocalRank:
    """Weighted reciprocal rank fusion: the sum of `weight / (k + rank)`, ranks from 1 (Cormack et al., SIGIR 2009).

    Attributes:
        weights: By channel; a channel that is not named weighs 1.
        k: Flattens the difference between the first ranks; 60 in the paper.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    k: float = 60.0

    def __post_init__(self) -> None:
        _check_weights(self.weights)
        if not self.k >= 0:
            raise InputError(f"k of reciprocal rank fusion must be 0 or more, got {self.k}")

    needs_every_score = False
    """A candidate counts only in the channels that recalled it."""

    def fuse(self, channels: Sequence[str], scores: Float32, ranks: Float32) -> Float32:
        """Fuse ranks.

        Args:
            channels: Names of the columns.
            scores: Not looked at.
            ranks: float32 array, shape (candidates, channels), from 1; NaN where the channel does not rank it.

        Returns:
            float32 array, shape (candidates,).
        """
        shares = _weights(self.weights, channels) / (np.float32(self.k) + ranks)
        return np.asarray(np.nansum(shares, axis=1), dtype=np.float32)


@dataclass(frozen=True, kw_only=True)
class WeightedSum:
    """Weighted sum of the channels' scores, normalised over the candidates first, divided by the sum of weights.

    Attributes:
        weights: By channel; a channel that is not named weighs 1.
        normalization: "min-max" maps a channel's scores to 0..1; "z-score" subtracts the mean and divides by the
            standard deviation; "distribution" maps mean - 3 to mean + 3 standard deviations to 0..1, as Qdrant's
            distribution-based score fusion; "none" takes scores as they are.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    normalization: Normalization = "distribution"

    def __post_init__(self) -> None:
        _check_weights(self.weights)
        if self.normalization not in _NORMALIZATIONS:
            raise InputError(
                f"normalization must be one of {', '.join(_NORMALIZATIONS)}; got {self.normalization!r}"
            )

    needs_every_score = True
    """A candidate that a channel did not recall is scored in it all the same."""

    def fuse(self, channels: Sequence[str], scores: Float32, ranks: Float32) -> Float32:
        """Fuse scores.

        Args:
            channels: Names of the columns.
            scores: float32 array, shape (candidates, channels); NaN where a candidate has no such vector, which
                counts as the channel's lowest score ("none": as 0).
            ranks: Not looked at.

        Returns:
            float32 array, shape (candidates,).
        """
        weights = _weights(self.weights, channels)
        columns = [_normalized(column, self.normalization) for column in scores.T]
        total = np.stack(columns, axis=1) @ weights if columns else np.zeros(len(scores), np.float32)
        return np.asarray(total / max(float(weights.sum()), 1e-12), dtype=np.float32)


Fusion = ReciprocalRank | WeightedSum


def ranks_of(scores: Float32) -> Float32:
    """Give ranks from 1 by descending score, stable, as float32; NaN where the score is NaN."""
    order = np.argsort(-np.where(np.isnan(scores), -np.inf, scores), kind="stable")
    ranks = np.empty(len(scores), dtype=np.float32)
    ranks[order] = np.arange(1, len(scores) + 1, dtype=np.float32)
    ranks[np.isnan(scores)] = np.nan
    return ranks


def _normalized(column: Float32, how: Normalization) -> Float32:
    """Put a channel's scores on a common scale; where all are equal, all are the scale's middle."""
    known = column[~np.isnan(column)]
    if not len(known):
        return np.zeros_like(column)
    if how == "none":
        return np.nan_to_num(column, nan=0.0)
    low, span, middle = _scale(known, how)
    scaled = (column - low) / span if span > 0 else np.full_like(column, middle)
    lowest = (known.min() - low) / span if span > 0 else middle
    return np.asarray(np.where(np.isnan(column), lowest, scaled), dtype=np.float32)


def _scale(known: Float32, how: Normalization) -> tuple[float, float, float]:
    """Give what to subtract, what to divide by, and the value of scores that are all equal."""
    if how == "min-max":
        return float(known.min()), float(known.max() - known.min()), 0.5
    mean, deviation = float(known.mean(dtype=np.float64)), float(known.std(dtype=np.float64))
    if deviation <= 1e-7 * max(abs(mean), 1e-30):  # rounding, not spread
        deviation = 0.0
    if how == "z-score":
        return mean, deviation, 0.0
    return mean - 3 * deviation, 6 * deviation, 0.5


def _weights(given: Mapping[str, float], channels: Sequence[str]) -> Float32:
    """Give the weights of these channels; equal ones where all that weigh something come in a later stage."""
    weights = np.array([given.get(name, 1.0) for name in channels], dtype=np.float32)
    return weights if weights.any() else np.ones_like(weights)


def _check_weights(weights: Mapping[str, float]) -> None:
    for name, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, (int, float)):
            raise InputError(f"the weight of {name!r} must be a number, got {type(weight).__name__}")
        if not isfinite(weight) or weight < 0:
            raise InputError(f"the weight of {name!r} must be 0 or more, got {weight}")


M3_SUM = WeightedSum(weights=dict(zip(("dense", "sparse", "multi"), M3_WEIGHTS)), normalization="none")
"""BGE-M3's own: 0.4 dense + 0.2 sparse + 0.4 multi-vector, scores as they are (README of BAAI/bge-m3)."""
