"""Whether a passage meets a condition: the meaning of filters, computed."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from .contracts import Passage
from .dates import aware, parsed_date
from .filters import (
    And,
    Bound,
    Equals,
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

Predicate = Callable[[Passage], bool]


def matches(passage: Passage, condition: Filter) -> bool:
    """Say whether a passage meets a condition; see `filters` for what each means."""
    return predicate(condition)(passage)


def predicate(condition: Filter) -> Predicate:
    """Make a function of a condition, for many passages."""
    if isinstance(condition, And):
        every = [predicate(part) for part in condition.conditions]
        return lambda passage: all(part(passage) for part in every)
    if isinstance(condition, Or):
        some = [predicate(part) for part in condition.conditions]
        return lambda passage: any(part(passage) for part in some)
    if isinstance(condition, Not):
        inner = predicate(condition.condition)
        return lambda passage: not inner(passage)
    if isinstance(condition, IsDocument):
        documents = frozenset(condition.documents)
        return lambda passage: passage.document in documents
    if isinstance(condition, IsHead):
        return lambda passage: passage.window is None or not passage.window.number
    if isinstance(condition, Exists):
        path = path_of(condition.field)
        return lambda passage: _value(passage, path) not in (None, [])
    return _one_element(condition.field, _test(condition))


def _one_element(field: Field, test: Callable[[Any], bool]) -> Predicate:
    path = path_of(field)

    def holds(passage: Passage) -> bool:
        value = _value(passage, path)
        return any(map(test, value)) if isinstance(value, (list, tuple)) else test(value)

    return holds


def _value(passage: Passage, path: tuple[str, ...]) -> Any:
    value: Any = passage.metadata
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value


def _test(condition: Equals | In | Range) -> Callable[[Any], bool]:
    if isinstance(condition, Range):
        return _range_test(condition)
    values = condition.values if isinstance(condition, In) else (condition.value,)
    accepted = frozenset((_kind(value), value) for value in values)
    return lambda value: isinstance(value, (str, int, float)) and (_kind(value), value) in accepted


def _kind(value: Scalar) -> str:
    if isinstance(value, str):
        return "text"
    return "truth" if isinstance(value, bool) else "number"


def _range_test(condition: Range) -> Callable[[Any], bool]:
    bounds = [
        (holds, _comparable(bound))
        for holds, bound in (
            (operator.gt, condition.gt),
            (operator.ge, condition.gte),
            (operator.lt, condition.lt),
            (operator.le, condition.lte),
        )
        if bound is not None
    ]
    read = _moment if isinstance(bounds[0][1], datetime) else _number

    def within(value: Any) -> bool:
        found = read(value)
        return found is not None and all(holds(found, bound) for holds, bound in bounds)

    return within


def _comparable(bound: Bound) -> datetime | float:
    return aware(bound) if isinstance(bound, datetime) else bound


def _moment(value: Any) -> datetime | None:
    return parsed_date(value) if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
