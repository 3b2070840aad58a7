"""BGE-M3's five scores of (query, passage) pairs, computed pair by pair with each distinct text encoded once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from ..contracts import DEFAULT_OPTIONS, CallOptions, Float32, Output
from ..errors import InputError
from ..pool import Steps
from ..similarity import dense_scores, late_interaction, lexical_score
from ..texts import checked_pairs
from ..vectors import Encoding, TokenVectors
from .encoder import Encoder

_ALL = frozenset({Output.DENSE, Output.SPARSE, Output.MULTI})

M3_WEIGHTS = (0.4, 0.2, 0.4)
"""Weights of dense, sparse and multi-vector in the README of BGE-M3."""


@dataclass(frozen=True, eq=False)
class PairScores:
    """Scores of n pairs, each a float32 array of shape (n,), in the order of the pairs.

    Attributes:
        dense: Cosine of the dense vectors.
        sparse: Sum of products of the weights of shared tokens.
        multi: Mean over query tokens of the best cosine with a passage token.
        sparse_dense: (w_sparse * sparse + w_dense * dense) / (w_sparse + w_dense).
        all: (w_dense * dense + w_sparse * sparse + w_multi * multi) / (w_dense + w_sparse + w_multi).
    """

    dense: Float32
    sparse: Float32
    multi: Float32
    sparse_dense: Float32
    all: Float32

    def todict(self) -> dict[str, list[float]]:
        """Give plain floats under FlagEmbedding's names."""
        return {
            "colbert": self.multi.tolist(),
            "sparse": self.sparse.tolist(),
            "dense": self.dense.tolist(),
            "sparse+dense": self.sparse_dense.tolist(),
            "colbert+sparse+dense": self.all.tolist(),
        }


def pair_scores(
    encoder: Encoder,
    pairs: Iterable[tuple[str, str]],
    weights: Sequence[float] = M3_WEIGHTS,
    options: CallOptions = DEFAULT_OPTIONS,
) -> PairScores:
    """Score pairs as `BGEM3FlagModel.compute_score` does.

    Args:
        encoder: Of a checkpoint with dense, sparse and multi-vector output.
        pairs: (query, passage) tuples.
        weights: Of dense, sparse and multi-vector, in this order.
        options: See `Encoder.encode`.

    Raises:
        InputError: If there are not three weights, or none above 0 where it is divided by.
        MissingOutputError: If the checkpoint lacks one of the outputs.
    """
    return encoder.pool.drive(pair_score_steps(encoder, pairs, weights, options.started()))


async def apair_scores(
    encoder: Encoder,
    pairs: Iterable[tuple[str, str]],
    weights: Sequence[float] = M3_WEIGHTS,
    options: CallOptions = DEFAULT_OPTIONS,
) -> PairScores:
    """Score pairs without blocking the event loop; see `pair_scores`."""
    return await encoder.pool.adrive(pair_score_steps(encoder, pairs, weights, options.started()))


def pair_score_steps(
    encoder: Encoder, pairs: Iterable[tuple[str, str]], weights: Sequence[float], options: CallOptions
) -> Steps[PairScores]:
    """Score pairs as steps; see `pair_scores`."""
    _check_weights(weights)
    checked = checked_pairs(pairs)
    queries, query_of = _distinct([query for query, _ in checked])
    passages, passage_of = _distinct([passage for _, passage in checked])
    left = yield from encoder.encode_steps(queries, "query", _ALL, options)
    right = yield from encoder.encode_steps(passages, "document", _ALL, options)
    return _combined(left, query_of, right, passage_of, weights)


def _combined(
    left: Encoding, query_of: list[int], right: Encoding, passage_of: list[int], weights: Sequence[float]
) -> PairScores:
    dense = dense_scores(left.need_dense().values[query_of], right.need_dense().values[passage_of])
    sparse = np.array(
        [lexical_score(left.need_sparse(), q, right.need_sparse(), p) for q, p in zip(query_of, passage_of)],
        dtype=np.float32,
    )
    multi = np.array(
        [_one_multi(left.need_multi(), q, right.need_multi(), p) for q, p in zip(query_of, passage_of)],
        dtype=np.float32,
    )
    w_dense, w_sparse, w_multi = (np.float32(weight) for weight in weights)
    both: Float32 = w_sparse * sparse + w_dense * dense
    everything: Float32 = both + w_multi * multi
    return PairScores(
        dense=dense,
        sparse=sparse,
        multi=multi,
        sparse_dense=np.asarray(both / (w_sparse + w_dense), dtype=np.float32),
        all=np.asarray(everything / (w_dense + w_sparse + w_multi), dtype=np.float32),
    )


def _one_multi(queries: TokenVectors, query: int, passages: TokenVectors, passage: int) -> float:
    one = TokenVectors.from_rows([passages[passage]], passages.dim)
    return float(late_interaction(queries[query], one)[0])


def _distinct(texts: list[str]) -> tuple[list[str], list[int]]:
    place: dict[str, int] = {}
    indices = [place.setdefault(text, len(place)) for text in texts]
    return list(place), indices


def _check_weights(weights: Sequence[float]) -> None:
    if len(weights) != 3 or min(weights) < 0 or weights[0] + weights[1] <= 0:
        raise InputError(
            f"weights must be three numbers (dense, sparse, multi), none negative and dense + sparse above 0; "
            f"got {list(weights)}"
        )
