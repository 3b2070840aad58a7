"""Fewer dimensions for token vectors: the directions in which a sample of them varies most."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..contracts import Float32
from ..errors import BrokenIndexError, InputError

_TOKENS_PER_DIMENSION = 8
_SAMPLE = 50_000


@dataclass(frozen=True, eq=False)
class Projection:
    """A linear map from token vectors to shorter ones.

    Attributes:
        matrix: float32 array, shape (width, dim), orthonormal columns.
    """

    matrix: Float32

    @classmethod
    def fit(cls, tokens: Float32, dim: int) -> Projection:
        """Find the `dim` orthogonal directions that keep most of the vectors' dot products.

        The leading eigenvectors of the uncentred second moment: the best approximation of all dot products in the
        least-squares sense (Eckart and Young, 1936).

        Args:
            tokens: float32 array, shape (tokens, width); of more than 50,000 an evenly spaced sample is used.
            dim: At most `width`.

        Raises:
            InputError: If there are too few tokens to tell directions apart, or `dim` is too large.
        """
        count, width = tokens.shape
        if dim > width:
            raise InputError(f"token vectors of {width} dimensions cannot be projected to {dim}")
        needed = _TOKENS_PER_DIMENSION * dim
        if count < needed:
            raise InputError(
                f"a projection to {dim} dimensions is fitted to at least {needed} tokens, and the first documents "
                f"have {count}: add more of them at once, or call calibrate() with a sample of texts first"
            )
        sample = tokens[:: max(1, count // _SAMPLE)].astype(np.float64)
        _, vectors = np.linalg.eigh(sample.T @ sample)  # ascending
        return cls(np.ascontiguousarray(vectors[:, ::-1][:, :dim], dtype=np.float16).astype(np.float32))

    def apply(self, tokens: Float32) -> Float32:
        """Project token vectors, shape (tokens, width) to (tokens, dim); they are not scaled to unit length again."""
        return np.asarray(tokens @ self.matrix, dtype=np.float32)

    def todict(self) -> dict[str, Any]:
        """Give JSON values."""
        data = self.matrix.astype(np.float16)
        return {"shape": list(data.shape), "float16": base64.b64encode(data.tobytes()).decode("ascii")}

    @classmethod
    def from_dict(cls, stored: dict[str, Any]) -> Projection:
        """Read what `todict` gave.

        Raises:
            BrokenIndexError: If it is something else.
        """
        try:
            data = np.frombuffer(base64.b64decode(stored["float16"], validate=True), dtype="<f2")
            return cls(data.reshape(stored["shape"]).astype(np.float32))
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenIndexError(
                "the projection of token vectors in the index's manifest is broken"
            ) from error
