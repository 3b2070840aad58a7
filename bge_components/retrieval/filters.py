"""Conditions on the metadata of passages: one meaning, which every engine has to give them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from ..errors import FilterError

Scalar = str | int | float | bool
Bound = int | float | datetime
Field = str | tuple[str, ...]
"""Name of a metadata field. "a.b" is field "b" of the object "a"; a tuple of names is a path taken literally."""


@dataclass(frozen=True)
class Equals:
    """The field equals a value; of a list, one element does. 1 equals 1.0; True equals neither."""

    field: Field
    value: Scalar


@dataclass(frozen=True)
class In:
    """The field equals one of the values; of a list, one element does. No value matches nothing."""

    field: Field
    values: tuple[Scalar, ...]


@dataclass(frozen=True)
class Range:
    """The field is a number, or an ISO 8601 date or time in text, between bounds; of a list, one element is.

    Bounds are all numbers or all `datetime`; one without a time zone is taken as UTC. None: no bound on that side.
    """

    field: Field
    gt: Bound | None = None
    gte: Bound | None = None
    lt: Bound | None = None
    lte: Bound | None = None


@dataclass(frozen=True)
class Exists:
    """The field is there, and is neither null nor an empty list."""

    field: Field


@dataclass(frozen=True)
class And:
    """Every condition is met; of none, always."""

    conditions: tuple[Filter, ...]


@dataclass(frozen=True)
class Or:
    """At least one condition is met; of none, never."""

    conditions: tuple[Filter, ...]


@dataclass(frozen=True)
class Not:
    """The condition is not met: also where the field is missing."""

    condition: Filter


@dataclass(frozen=True)
class IsDocument:
    """The passage is of one of these documents (by id, not by metadata)."""

    documents: tuple[str, ...]


Filter = Equals | In | Range | Exists | And | Or | Not | IsDocument


def path_of(field: Field) -> tuple[str, ...]:
    """Give the names on the way to a field.

    Raises:
        FilterError: If it is empty.
    """
    path = tuple(field.split(".")) if isinstance(field, str) else tuple(field)
    if not path or not all(isinstance(name, str) and name for name in path):
        raise FilterError(f"a filter needs the name of a metadata field, got {field!r}")
    return path
