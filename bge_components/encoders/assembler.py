"""Arrays of the engine as value objects: normalised, cut to the dimensions wanted, special tokens dropped."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..contracts import Float32, Int32, ModelInfo, Output, SequenceOutputs, TokenSequence
from ..errors import InputError
from ..vectors import DenseVectors, Encoding, SparseVectors, TokenVectors, normalized


class Assembler:
    """Collects the outputs of one call, chunk by chunk."""

    def __init__(
        self,
        info: ModelInfo,
        special_ids: frozenset[int],
        outputs: frozenset[Output],
        count: int,
        *,
        dimensions: int | None,
        normalize: bool,
    ) -> None:
        """Set up for so many sequences in all (`count`).

        Raises:
            InputError: If more dimensions are wanted than there are.
        """
        self._info = info
        self._special = np.fromiter(special_ids, dtype=np.int32, count=len(special_ids))
        self._outputs = outputs
        self._normalize = normalize
        self._dim = _kept(dimensions, info.width, info.name)
        self._multi_dim = min(dimensions or info.multi_width or 0, info.multi_width or 0)
        self._count = count
        self._dense = np.zeros((0, self._dim), dtype=np.float32)
        self._sparse: list[tuple[Int32, Float32]] = []
        self._multi: list[Float32] = []
        self._tokens: list[int] = []

    def add(self, sequences: Sequence[TokenSequence], outputs: Sequence[SequenceOutputs]) -> None:
        """Take the outputs of the next sequences."""
        before = len(self._tokens)
        self._tokens.extend(len(sequence) for sequence in sequences)
        if Output.DENSE in self._outputs and len(outputs):
            rows = np.stack([one[Output.DENSE][: self._dim] for one in outputs])  # (chunk, dim)
            self._keep(normalized(rows) if self._normalize else rows, before)
        if Output.SPARSE in self._outputs:
            self._sparse.extend(
                lexical_weights(sequence.ids, one[Output.SPARSE], self._special)
                for sequence, one in zip(sequences, outputs)
            )
        if Output.MULTI in self._outputs:
            self._multi.extend(normalized(one[Output.MULTI][:, : self._multi_dim]) for one in outputs)

    def encoding(self, cut: tuple[int, ...]) -> Encoding:
        """Give everything as one value object."""
        return Encoding(
            tokens=np.asarray(self._tokens, dtype=np.int64),
            dense=DenseVectors(self._dense) if Output.DENSE in self._outputs else None,
            sparse=SparseVectors.from_rows(self._sparse) if Output.SPARSE in self._outputs else None,
            multi=(
                TokenVectors.from_rows(self._multi, self._multi_dim)
                if Output.MULTI in self._outputs
                else None
            ),
            cut=cut,
        )

    def _keep(self, rows: Float32, place: int) -> None:
        """Write rows to their place among all; joining them in the end would take their memory twice."""
        if len(rows) == self._count:
            self._dense = rows
            return
        if not len(self._dense):
            self._dense = np.empty((self._count, self._dim), dtype=np.float32)
        self._dense[place : place + len(rows)] = rows


def lexical_weights(ids: Int32, weights: Float32, special: NDArray[np.int32]) -> tuple[Int32, Float32]:
    """Keep the largest weight of each token id; drop special tokens and weights that are not above 0.

    As BGE-M3 has it (arXiv:2402.03216, section 3.2, lexical retrieval).

    Args:
        ids: Token ids, shape (tokens,).
        weights: One weight per token, shape (tokens,).
        special: Ids to drop.

    Returns:
        Distinct ids, ascending, and their weights.
    """
    keep = (weights > 0) & ~np.isin(ids, special)
    ids, weights = ids[keep], weights[keep]
    order = np.argsort(ids, kind="stable")
    ids, weights = ids[order], weights[order]
    starts = np.flatnonzero(np.diff(ids, prepend=-1))
    if not len(starts):
        return ids, weights
    return ids[starts], np.maximum.reduceat(weights, starts)


def _kept(dimensions: int | None, width: int, name: str) -> int:
    if dimensions is None:
        return width
    if dimensions > width:
        raise InputError(f"dimensions={dimensions} was asked for, but vectors of {name} have {width}")
    return dimensions
