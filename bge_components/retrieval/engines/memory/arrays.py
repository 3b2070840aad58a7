"""Rows of numbers in memory: arrays that grow, and number formats smaller than float32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ....contracts import Float32
from ....vectors import DenseVectors
from ...contracts import StorageType


class GrowingArray:
    """An array to which rows are added in amortised constant time.

    What `view` gave stays as it was, whatever is added later: rows are written once.
    """

    def __init__(self, dtype: DTypeLike, width: tuple[int, ...] = ()) -> None:
        self._values: NDArray[Any] = np.zeros((0, *width), dtype)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, rows: NDArray[Any]) -> None:
        """Add rows, shape (n, *width)."""
        needed = self._length + len(rows)
        if needed > len(self._values):
            grown = np.zeros((max(needed, 2 * self._length), *self._values.shape[1:]), self._values.dtype)
            grown[: self._length] = self.view()
            self._values = grown
        self._values[self._length : needed] = rows
        self._length = needed

    def view(self) -> NDArray[Any]:
        """Give all rows, shape (len(self), *width), without copying."""
        return self._values[: self._length]


@dataclass(frozen=True, eq=False)
class Codes:
    """Rows in a number format: float32, float16, or int8 with one scale per row.

    Attributes:
        values: Shape (n, dim).
        scales: float32 array, shape (n,); None unless int8.
    """

    values: NDArray[Any]
    scales: Float32 | None = None

    @classmethod
    def of(cls, rows: Float32, storage: StorageType) -> Codes:
        """Put rows, float32 of shape (n, dim), into a format; the rows are copied."""
        if storage == "int8":
            quantized = DenseVectors(rows).quantized("int8")
            return cls(quantized.values, quantized.scales)
        return cls(rows.astype(np.dtype(storage)))

    def __getitem__(self, rows: Any) -> Codes:
        return Codes(self.values[rows], None if self.scales is None else self.scales[rows])

    def restored(self) -> Float32:
        """Give the rows as float32, shape (n, dim)."""
        values = np.asarray(self.values, dtype=np.float32)
        return values if self.scales is None else values * self.scales[:, None]
