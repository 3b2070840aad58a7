"""Conditions as `qdrant_client` has them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from ...._extras import require
from ...contracts import PointId
from .points import sent_id


class ClientWords:
    """The classes of `qdrant_client.models`; see `qdrant_conditions.Words`."""

    def __init__(self) -> None:
        self._models: Any = require("qdrant_client.models", extra="qdrant")

    def filter(
        self, *, must: Sequence[Any] = (), should: Sequence[Any] = (), must_not: Sequence[Any] = ()
    ) -> Any:
        """Give a `Filter`; without conditions it is always met."""
        return self._models.Filter(
            must=list(must) or None, should=list(should) or None, must_not=list(must_not) or None
        )

    def among(self, path: str, values: Sequence[str] | Sequence[int]) -> Any:
        """Match any of some texts, or of some integers."""
        return self._models.FieldCondition(key=path, match=self._models.MatchAny(any=list(values)))

    def truth(self, path: str, value: bool) -> Any:
        """Match a truth value."""
        return self._models.FieldCondition(key=path, match=self._models.MatchValue(value=value))

    def between(self, path: str, bounds: Mapping[str, float]) -> Any:
        """Match numbers between bounds."""
        return self._models.FieldCondition(key=path, range=self._models.Range(**bounds))

    def between_moments(self, path: str, bounds: Mapping[str, datetime]) -> Any:
        """Match dates between bounds."""
        return self._models.FieldCondition(key=path, range=self._models.DatetimeRange(**bounds))

    def empty(self, path: str) -> Any:
        """Match what is missing, null or an empty list."""
        return self._models.IsEmptyCondition(is_empty=self._models.PayloadField(key=path))

    def has_id(self, ids: Collection[PointId]) -> Any:
        """Match points by id."""
        return self._models.HasIdCondition(has_id=[sent_id(identity) for identity in ids])
