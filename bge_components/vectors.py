"""The value objects that encoders and rerankers give: arrays with their meaning, and no model."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from .errors import InputError, MissingOutputError

Float32 = NDArray[np.float32]
T = TypeVar("T")


def normalized(rows: Float32) -> Float32:
    """Scale rows to unit Euclidean length in fp32; a row of zeros stays zero.

    Args:
        rows: Shape (n, dim).

    Returns:
        float32 array of the same shape.
    """
    rows = np.asarray(rows, dtype=np.float32)
    norms = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.maximum(norms, 1e-12), dtype=np.float32)


def sigmoid(x: Float32) -> Float32:
    """Map logits to (0, 1), in fp32 and without overflow."""
    x = np.asarray(x, dtype=np.float32)
    return np.asarray(np.exp(-np.logaddexp(np.float32(0), -x)), dtype=np.float32)


@dataclass(frozen=True, eq=False)
class QuantizedVectors:
    """Dense vectors in one byte or one bit per dimension.

    Attributes:
        values: int8 array, shape (n, dim), for kind "int8"; uint8 array, shape (n, ceil(dim / 8)), for kind
            "binary": bit 1 where the value is above 0, first dimension in the highest bit (`numpy.packbits`),
            as sentence-transformers' "ubinary".
        kind: "int8" or "binary".
        dim: Number of dimensions.
        scales: float32 array, shape (n,): `values * scales[:, None]` restores int8 rows. None for binary.
    """

    values: NDArray[np.int8] | NDArray[np.uint8]
    kind: Literal["int8", "binary"]
    dim: int
    scales: Float32 | None = None

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, eq=False)
class DenseVectors:
    """One vector per text.

    Attributes:
        values: float32 array, shape (n, dim), in the order of the texts.
    """

    values: Float32

    def __len__(self) -> int:
        return len(self.values)

    def __getitem__(self, index: int) -> Float32:
        return np.asarray(self.values[index])

    @property
    def dim(self) -> int:
        """Number of dimensions."""
        return int(self.values.shape[1])

    def tolist(self) -> list[list[float]]:
        """Give plain Python floats, one list per text."""
        rows: list[list[float]] = self.values.tolist()
        return rows

    def truncated(self, dim: int) -> DenseVectors:
        """Keep the first `dim` dimensions and scale to unit length again (Matryoshka truncation).

        Raises:
            InputError: If `dim` is not between 1 and the vectors' own.
        """
        if not 1 <= dim <= self.dim:
            raise InputError(f"dimensions must be between 1 and {self.dim}, got {dim}")
        return DenseVectors(normalized(self.values[:, :dim]))

    def quantized(self, kind: Literal["int8", "binary"]) -> QuantizedVectors:
        """Give one byte ("int8", rows scaled by their peak) or one bit ("binary") per dimension."""
        if kind == "binary":
            return QuantizedVectors(np.packbits(self.values > 0, axis=1), "binary", self.dim)
        if kind != "int8":
            raise InputError(f"quantisation must be 'int8' or 'binary', got {kind!r}")
        peaks = np.abs(self.values).max(axis=1, initial=0.0)
        scales = np.asarray(np.maximum(peaks, 1e-12) / 127, dtype=np.float32)
        return QuantizedVectors(
            np.rint(self.values / scales[:, None]).astype(np.int8), "int8", self.dim, scales
        )


@dataclass(frozen=True, eq=False)
class SparseVectors:
    """One bag of weighted token ids per text, in compressed rows.

    Attributes:
        indptr: int64 array, shape (n + 1,): row i is `indices[indptr[i]:indptr[i + 1]]`.
        indices: int32 array: token ids, ascending and distinct within a row.
        weights: float32 array, as long as `indices`: all above 0.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    weights: Float32

    @classmethod
    def from_rows(cls, rows: Sequence[tuple[NDArray[np.int32], Float32]]) -> SparseVectors:
        """Join (indices, weights) rows."""
        indptr = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(ids) for ids, _ in rows], out=indptr[1:])
        if not rows:
            return cls(indptr, np.zeros(0, np.int32), np.zeros(0, np.float32))
        return cls(indptr, np.concatenate([ids for ids, _ in rows]), np.concatenate([w for _, w in rows]))

    def __len__(self) -> int:
        return len(self.indptr) - 1

    def __getitem__(self, index: int) -> dict[int, float]:
        ids, weights = self.row(index)
        return dict(zip(ids.tolist(), weights.tolist()))

    def __iter__(self) -> Iterator[dict[int, float]]:
        return (self[i] for i in range(len(self)))

    def row(self, index: int) -> tuple[NDArray[np.int32], Float32]:
        """Give the ids and weights of one text as arrays."""
        start, stop = self.indptr[index], self.indptr[index + 1]
        return self.indices[start:stop], self.weights[start:stop]

    def todicts(self) -> list[dict[int, float]]:
        """Give one {token id: weight} per text, in plain Python numbers."""
        return list(self)


@dataclass(frozen=True, eq=False)
class TokenVectors:
    """One vector per token of each text (multi-vector, ColBERT-like), all of unit length.

    Attributes:
        offsets: int64 array, shape (n + 1,): text i owns `values[offsets[i]:offsets[i + 1]]`.
        values: float32 array, shape (total tokens, dim).
    """

    offsets: NDArray[np.int64]
    values: Float32

    @classmethod
    def from_rows(cls, rows: Sequence[Float32], dim: int) -> TokenVectors:
        """Join per-text arrays of shape (tokens, dim)."""
        offsets = np.zeros(len(rows) + 1, dtype=np.int64)
        np.cumsum([len(row) for row in rows], out=offsets[1:])
        return cls(offsets, np.concatenate(rows) if rows else np.zeros((0, dim), np.float32))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, index: int) -> Float32:
        return np.asarray(self.values[self.offsets[index] : self.offsets[index + 1]])

    def __iter__(self) -> Iterator[Float32]:
        return (self[i] for i in range(len(self)))

    @property
    def dim(self) -> int:
        """Number of dimensions of each token vector."""
        return int(self.values.shape[1])


@dataclass(frozen=True, eq=False)
class Encoding:
    """What encoding a list of texts gave: the outputs that were asked for, the others None.

    Attributes:
        dense: One vector per text.
        sparse: One bag of weighted token ids per text.
        multi: One vector per token of each text.
        tokens: int64 array, shape (n,): tokens read of each text, special tokens included.
        cut: Places of the texts that were cut to the length that the checkpoint takes.
    """

    tokens: NDArray[np.int64]
    dense: DenseVectors | None = None
    sparse: SparseVectors | None = None
    multi: TokenVectors | None = None
    cut: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.tokens)

    def need_dense(self) -> DenseVectors:
        """Give the dense vectors, or say that they were not asked for."""
        return _needed(self.dense, "dense")

    def need_sparse(self) -> SparseVectors:
        """Give the sparse vectors, or say that they were not asked for."""
        return _needed(self.sparse, "sparse")

    def need_multi(self) -> TokenVectors:
        """Give the token vectors, or say that they were not asked for."""
        return _needed(self.multi, "multi")


@dataclass(frozen=True, eq=False)
class Ranking:
    """An order of texts by a query, best first; equal scores keep the order in which they were given.

    Attributes:
        indices: Places in the list that was given, best first.
        scores: float32 array, shape (len(indices),): the score of each, descending.
        scale: "sigmoid" (0 to 1) or "raw" (the checkpoint's own scale).
    """

    indices: tuple[int, ...]
    scores: Float32
    scale: str = field(default="sigmoid")

    @classmethod
    def of(cls, scores: Float32, scale: str) -> Ranking:
        """Order by score, descending and stable.

        Args:
            scores: Shape (n,), one per text in the order given.
            scale: Name of the scale the scores are on.
        """
        order = np.argsort(-scores, kind="stable")
        return cls(tuple(order.tolist()), np.asarray(scores[order], dtype=np.float32), scale)

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[tuple[int, float]]:
        return iter(zip(self.indices, self.scores.tolist()))

    def best(self, top_n: int | None = None, threshold: float | None = None) -> Ranking:
        """Keep the first `top_n` (None: all) whose score is at least `threshold` (None: any)."""
        count = len(self) if top_n is None else min(top_n, len(self))
        if threshold is not None:
            count = min(count, int(np.count_nonzero(self.scores >= threshold)))
        return Ranking(self.indices[:count], self.scores[:count], self.scale)


def _needed(value: T | None, name: str) -> T:
    if value is None:
        raise MissingOutputError(
            f"this encoding holds no {name} output: ask for it with outputs={{{name!r}}}"
        )
    return value
