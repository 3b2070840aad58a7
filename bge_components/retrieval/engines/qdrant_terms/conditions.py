"""Conditions in Qdrant's terms, for each of its two Python packages: what `filters` means by them.

What they cannot say: of whole floats from 2**53 on, as 2.0**60, `Equals` and `In` find those that are stored as
integers. A range finds both.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timezone
from typing import Any, Protocol

from ....errors import FilterError
from ...contracts import PointId
from ...dates import aware
from ...filters import (
    And,
    Bound,
    Exists,
    Field,
    Filter,
    In,
    IsDocument,
    IsHead,
    Not,
    Or,
    Range,
    Scalar,
    path_of,
)
from .names import json_path
from .payloads import Layout

_EXACT = 2**53
"""Whole numbers below it are told apart as floats too."""


class Words(Protocol):
    """What a package calls the parts of a condition."""

    def filter(
        self, *, must: Sequence[Any] = (), should: Sequence[Any] = (), must_not: Sequence[Any] = ()
    ) -> Any:
        """Every one of `must`, one of `should` if there are any, and none of `must_not`."""
        ...

    def among(self, path: str, values: Sequence[str] | Sequence[int]) -> Any:
        """The field equals one of the texts, or of the integers."""
        ...

    def truth(self, path: str, value: bool) -> Any:
        """The field equals a truth value."""
        ...

    def between(self, path: str, bounds: Mapping[str, float]) -> Any:
        """The field is a number between bounds: "gt", "gte", "lt", "lte"."""
        ...

    def between_moments(self, path: str, bounds: Mapping[str, datetime]) -> Any:
        """The field is a date between bounds, which are in UTC."""
        ...

    def empty(self, path: str) -> Any:
        """The field is missing, null or an empty list."""
        ...

    def has_id(self, ids: Collection[PointId]) -> Any:
        """The point has one of these ids."""
        ...


def translated(condition: Filter, words: Words, layout: Layout) -> Any:
    """Give a condition as a package's `Filter`.

    Args:
        condition: On passages.
        words: Of the package.
        layout: Where metadata, document ids and windows lie in the payload.

    Raises:
        FilterError: If a name or value cannot be said.
    """
    return _Translation(words, layout).filter(condition)


class _Translation:
    def __init__(self, words: Words, layout: Layout) -> None:
        self._words = words
        self._layout = layout

    def filter(self, condition: Filter) -> Any:
        if isinstance(condition, And):
            return self._words.filter(must=[self.filter(part) for part in condition.conditions])
        if isinstance(condition, Or):
            return self._any([self.filter(part) for part in condition.conditions])
        if isinstance(condition, Not):
            return self._words.filter(must_not=[self.filter(condition.condition)])
        if isinstance(condition, IsDocument):
            return self._is_document(condition.documents)
        if isinstance(condition, IsHead):
            return self._is_head()
        path = self._path(condition.field)
        if isinstance(condition, Exists):
            return self._words.filter(must_not=[self._words.empty(path)])
        if isinstance(condition, Range):
            return self._words.filter(must=[self._range(path, condition)])
        values = condition.values if isinstance(condition, In) else (condition.value,)
        return self._any(self._equal(path, values))

    def _any(self, conditions: Sequence[Any]) -> Any:
        """Say that one is met: of none, never, which an empty `should` does not say."""
        return self._words.filter(should=conditions or [self._words.has_id(())])

    def _path(self, field: Field) -> str:
        names = tuple(self._layout.stored_name(name) for name in path_of(field))
        return json_path((*self._layout.metadata_path, *names))

    def _is_document(self, documents: Iterable[str]) -> Any:
        values: list[str] = []
        ids: list[PointId] = []
        for document in documents:
            of_values, of_ids = self._layout.document_ids(document)
            values += of_values
            ids += of_ids
        some = [self._words.among(json_path(self._layout.document_path), values)] if values else []
        return self._any([*some, self._words.has_id(ids)] if ids else some)

    def _is_head(self) -> Any:
        number = json_path(self._layout.window_path)
        return self._any([self._words.empty(number), self._words.among(number, [0])])

    def _equal(self, path: str, values: Sequence[Scalar]) -> list[Any]:
        texts = [value for value in values if isinstance(value, str)]
        truths = {value for value in values if isinstance(value, bool)}
        numbers = {value for value in values if not isinstance(value, (str, bool))}
        large = sorted(int(number) for number in numbers if _is_large_integer(number))
        conditions = [self._words.among(path, found) for found in (texts, large) if found]
        conditions += [self._words.truth(path, truth) for truth in sorted(truths)]
        small = sorted(float(number) for number in numbers if not _is_large_integer(number))
        return conditions + [self._words.between(path, {"gte": number, "lte": number}) for number in small]

    def _range(self, path: str, asked: Range) -> Any:
        given = {name: getattr(asked, name) for name in ("gt", "gte", "lt", "lte")}
        bounds: dict[str, Bound] = {name: bound for name, bound in given.items() if bound is not None}
        moments = {name: _utc(bound) for name, bound in bounds.items() if isinstance(bound, datetime)}
        if moments:
            return self._words.between_moments(path, moments)
        numbers = {name: float(bound) for name, bound in bounds.items() if not isinstance(bound, datetime)}
        return self._words.between(path, numbers)


def _is_large_integer(number: float) -> bool:
    return abs(number) >= _EXACT and -(2**63) <= number < 2**63 and number == int(number)


def _utc(moment: datetime) -> datetime:
    try:
        return aware(moment).astimezone(timezone.utc)
    except OverflowError as error:
        raise FilterError(f"{moment!r} is no date in UTC that can be compared: {error}") from error
