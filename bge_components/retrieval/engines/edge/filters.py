"""Conditions as `qdrant_edge` has them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from ...._extras import require
from ...contracts import PointId


class EdgeWords:
    """The classes of `qdrant_edge`; see `qdrant_conditions.Words`."""

    def __init__(self) -> None:
        self._edge: Any = require("qdrant_edge", extra="edge")

    def filter(
        self, *, must: Sequence[Any] = (), should: Sequence[Any] = (), must_not: Sequence[Any] = ()
    ) -> Any:
        """Give a `Filter`; without conditions it is always met."""
        return self._edge.Filter(
            must=list(must) or None, should=list(should) or None, must_not=list(must_not) or None
        )

    def among(self, path: str, values: Sequence[str] | Sequence[int]) -> Any:
        """Match any of some texts, or of some integers."""
        return self._edge.FieldCondition(path, match=self._edge.MatchAny(list(values)))

    def truth(self, path: str, value: bool) -> Any:
        """Match a truth value; numpy's, because Python's counts as an integer to `MatchValue`."""
        return self._edge.FieldCondition(path, match=self._edge.MatchValue(np.bool_(value)))

    def between(self, path: str, bounds: Mapping[str, float]) -> Any:
        """Match numbers between bounds."""
        return self._edge.FieldCondition(path, range=self._edge.RangeFloat(**bounds))

    def between_moments(self, path: str, bounds: Mapping[str, datetime]) -> Any:
        """Match dates between bounds."""
        texts = {name: bound.isoformat() for name, bound in bounds.items()}
        return self._edge.FieldCondition(path, range=self._edge.RangeDateTime(**texts))

    def empty(self, path: str) -> Any:
        """Match what is missing, null or an empty list."""
        return self._edge.IsEmptyCondition(path)

    def has_id(self, ids: Collection[PointId]) -> Any:
        """Match points by id."""
        return self._edge.HasIdCondition(set(ids))
