"""Conditions on the metadata of passages: one meaning, which every engine has to give them.

What a field holds. A path leads from object to object; a list on the way leads nowhere, so "a.b" finds nothing in
`{"a": [{"b": 1}]}`. At its end, a list stands for its elements, one level deep: a list within it is no number, text
or truth value. Numbers, texts and truth values never equal each other. `Equals` and `In` tell whole numbers apart up
to 64 bits; in a `Range` an engine may round those beyond 2**53.

A date or time in text is RFC 3339 ("2024-05-01T12:30:00Z", "2024-05-01T12:30:00.5+02:00"), or one that leaves out
the zone, which is then UTC ("2024-05-01T12:30:00", "2024-05-01 12:30"), or the date alone. Digits beyond microseconds
are dropped. Other texts are no dates, and no bound holds them.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from typing import Any

from ..errors import FilterError
from .dates import parsed_date

Scalar = str | int | float | bool
Bound = int | float | datetime
Field = str | tuple[str, ...]
"""Name of a metadata field. "a.b" is field "b" of the object "a"; a tuple of names is a path taken literally."""


@dataclass(frozen=True)
class Equals:
    """The field equals a value; of a list, one element does. 1 equals 1.0; True equals neither."""

    field: Field
    value: Scalar

    def __post_init__(self) -> None:
        path_of(self.field)
        _check_scalar(self.field, self.value)


@dataclass(frozen=True)
class In:
    """The field equals one of the values; of a list, one element does. No value matches nothing."""

    field: Field
    values: tuple[Scalar, ...]

    def __post_init__(self) -> None:
        path_of(self.field)
        _check_tuple(f"In of {self.field!r}", self.values)
        for value in self.values:
            _check_scalar(self.field, value)


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

    def __post_init__(self) -> None:
        path_of(self.field)
        bounds = [bound for bound in (self.gt, self.gte, self.lt, self.lte) if bound is not None]
        if not bounds:
            raise FilterError(f"a range of {self.field!r} needs a bound: gt, gte, lt or lte")
        for bound in bounds:
            _check_bound(self.field, bound)
        if len({isinstance(bound, datetime) for bound in bounds}) > 1:
            raise FilterError(f"a range of {self.field!r} mixes numbers and dates: {bounds!r}")


@dataclass(frozen=True)
class Exists:
    """The field is there, and is neither null nor an empty list."""

    field: Field

    def __post_init__(self) -> None:
        path_of(self.field)


@dataclass(frozen=True)
class And:
    """Every condition is met; of none, always."""

    conditions: tuple[Filter, ...]

    def __post_init__(self) -> None:
        _check_conditions("And", self.conditions)


@dataclass(frozen=True)
class Or:
    """At least one condition is met; of none, never."""

    conditions: tuple[Filter, ...]

    def __post_init__(self) -> None:
        _check_conditions("Or", self.conditions)


@dataclass(frozen=True)
class Not:
    """The condition is not met: also where the field is missing."""

    condition: Filter

    def __post_init__(self) -> None:
        _check_conditions("Not", (self.condition,))


@dataclass(frozen=True)
class IsDocument:
    """The passage is of one of these documents (by id, not by metadata)."""

    documents: tuple[str, ...]

    def __post_init__(self) -> None:
        _check_tuple("IsDocument", self.documents)
        if not all(isinstance(document, str) for document in self.documents):
            raise FilterError(f"the ids of documents are strings, got {self.documents!r}")


@dataclass(frozen=True)
class IsHead:
    """The passage is a whole document, or the first window of one: every document has one head."""


Filter = Equals | In | Range | Exists | And | Or | Not | IsDocument | IsHead


def path_of(field: Field) -> tuple[str, ...]:
    """Give the names on the way to a field.

    Raises:
        FilterError: If it is empty.
    """
    path = tuple(field.split(".")) if isinstance(field, str) else field
    if not isinstance(path, tuple) or not path or not all(isinstance(name, str) and name for name in path):
        raise FilterError(f"a filter needs the name of a metadata field, got {field!r}")
    return path


def parsed_filter(given: Filter | Mapping[str, Any] | None) -> Filter | None:
    """Read a filter as users of vector stores write it.

    `{"lang": "en"}`, `{"lang": ["en", "de"]}`, `{"year": {"$gte": 2020, "$lt": 2024}}`,
    `{"$or": [{"lang": "en"}, {"$not": {"author.name": "Ada"}}]}`. Several keys, and several operators of one field,
    must all be met. A list means `$in`. None means that the field does not exist (`{"$ne": None}`: that it does).
    Bounds are numbers, dates, or dates in text.

    Args:
        given: A filter, which is given back, or a mapping; None and an empty mapping put no condition.

    Raises:
        FilterError: If an operator is unknown, or a value is not one that it takes.
    """
    if given is None or isinstance(given, Filter):
        return given
    if not isinstance(given, Mapping):
        raise FilterError(f"a filter is a mapping or one of the filter classes, got {type(given).__name__}")
    return _of_mapping(given) if given else None


def _of_mapping(given: Any) -> Filter:
    if isinstance(given, Filter):
        return given
    if not isinstance(given, Mapping):
        raise FilterError(f"a condition is a mapping such as {{'lang': 'en'}}, got {given!r}")
    return _all_of([_of_key(key, value) for key, value in given.items()])


def _of_key(key: Any, value: Any) -> Filter:
    if not isinstance(key, str):
        raise FilterError(f"a filter needs the name of a metadata field, got {key!r}")
    if key in ("$and", "$or"):
        parts = tuple(_of_mapping(part) for part in _listed(key, value))
        return And(parts) if key == "$and" else Or(parts)
    if key == "$not":
        return Not(_of_mapping(value))
    if key.startswith("$"):
        raise _unknown(key, LOGIC, "it stands where a field or one of these is expected")
    return _of_field(key, value)


def _of_field(field: str, value: Any) -> Filter:
    if not isinstance(value, Mapping):
        return _equal(field, value)
    if not value or not all(isinstance(key, str) and key.startswith("$") for key in value):
        raise FilterError(
            f"filter of {field!r}: expected operators such as {{'$gte': 2020}}, got {dict(value)!r}; "
            f"a field of an object is written '{field}.name'"
        )
    bounds = {key[1:]: _bound(field, bound) for key, bound in value.items() if key in BOUNDS}
    parts: list[Filter] = [Range(field, **bounds)] if bounds else []
    parts += [_of_operator(field, key, operand) for key, operand in value.items() if key not in BOUNDS]
    return _all_of(parts)


def _of_operator(field: str, operator: str, operand: Any) -> Filter:
    if operator == "$eq":
        return _equal(field, operand)
    if operator == "$ne":
        return Not(_equal(field, operand))
    if operator == "$in":
        return In(field, tuple(_listed(operator, operand)))
    if operator == "$nin":
        return Not(In(field, tuple(_listed(operator, operand))))
    if operator == "$not":
        return Not(_of_field(field, operand))
    if operator == "$exists":
        if not isinstance(operand, bool):
            raise FilterError(f"filter of {field!r}: $exists takes True or False, got {operand!r}")
        return Exists(field) if operand else Not(Exists(field))
    raise _unknown(operator, COMPARISONS, f"it is asked of the field {field!r}")


LOGIC = ("$and", "$or", "$not")
BOUNDS = ("$gt", "$gte", "$lt", "$lte")
COMPARISONS = ("$eq", "$ne", *BOUNDS, "$in", "$nin", "$exists", "$not")


def _equal(field: str, value: Any) -> Filter:
    if value is None:
        return Not(Exists(field))
    if isinstance(value, (list, tuple, set, frozenset)):
        return In(field, tuple(value))
    return Equals(field, value)


def _bound(field: str, bound: Any) -> Any:
    if isinstance(bound, date) and not isinstance(bound, datetime):
        return datetime.combine(bound, time())
    if not isinstance(bound, str):
        return bound
    moment = parsed_date(bound)
    if moment is None:
        raise FilterError(f"a range of {field!r} needs numbers or dates such as '2024-05-01', got {bound!r}")
    return moment


def _all_of(parts: list[Filter]) -> Filter:
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _listed(operator: str, operand: Any) -> list[Any]:
    if not isinstance(operand, (list, tuple, set, frozenset)):
        raise FilterError(f"{operator} takes a list, got {operand!r}")
    return list(operand)


def _unknown(operator: str, known: tuple[str, ...], where: str) -> FilterError:
    near = difflib.get_close_matches(operator, known, n=1, cutoff=0.75)
    hint = f"; did you mean {near[0]}?" if near else ""
    return FilterError(f"unknown filter operator {operator!r}, {where}: {', '.join(known)}{hint}")


def _check_scalar(field: Field, value: Any) -> None:
    if not isinstance(value, (str, int, float)):
        raise FilterError(
            f"filter of {field!r}: a value is a text, a number or a truth value, got {value!r} "
            f"({type(value).__name__}); dates are compared with a range, null with Exists"
        )
    _check_number(field, value)


def _check_bound(field: Field, bound: Any) -> None:
    if isinstance(bound, bool) or not isinstance(bound, (int, float, datetime)):
        raise FilterError(
            f"a range of {field!r} needs numbers or datetimes, got {bound!r} ({type(bound).__name__})"
        )
    _check_number(field, bound)


def _check_number(field: Field, value: Any) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise FilterError(f"filter of {field!r}: {value} cannot be compared with anything")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise FilterError(f"filter of {field!r}: {value} is beyond 64 bits, which no engine keeps")


def _check_tuple(what: str, values: Any) -> None:
    if not isinstance(values, tuple):
        raise FilterError(f"{what} needs a tuple, got {values!r} ({type(values).__name__})")


def _check_conditions(what: str, conditions: Any) -> None:
    _check_tuple(what, conditions)
    for condition in conditions:
        if not isinstance(condition, Filter):
            raise FilterError(f"{what} needs filters, got {condition!r} ({type(condition).__name__})")
