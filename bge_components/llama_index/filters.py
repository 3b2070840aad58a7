"""LlamaIndex's metadata filters as conditions of an index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
)

from ..errors import FilterError
from ..retrieval import And, Equals, Exists, Filter, In, Not, Or, Range, parsed_filter
from ..retrieval.dates import parsed_date
from .stored_nodes import SOURCE

NodeFilters = MetadataFilters | MetadataFilter | Filter | Mapping[str, Any] | None

_SOURCE_NAMES = ("ref_doc_id", "doc_id", "document_id")
Path = tuple[str, ...]
Meaning = Callable[[MetadataFilter, Path], Filter]


def checked_filters(given: NodeFilters) -> Filter | None:
    """Give LlamaIndex's filters, an index's own, or a mapping such as `{"lang": "en"}` as one condition.

    A key means the metadata field of this very name and, with dots, also the field inside objects. "ref_doc_id",
    "doc_id" and "document_id" mean also the document that a node was cut from. Of a field that holds a list, one
    element has to meet the condition, for `contains` as for `==`; `all` asks for every value. `>`, `>=`, `<` and
    `<=` compare numbers, or dates where the value is one. `is_empty` is met where the field is missing, null, an
    empty list or an empty text. Under `not`, none of the conditions may be met.

    Raises:
        FilterError: If an operator cannot be asked of an index (`text_match`), or the value is not one it takes.
    """
    if isinstance(given, MetadataFilters):
        return _of_filters(given) if given.filters else None
    return _of_filter(given) if isinstance(given, MetadataFilter) else parsed_filter(given)


def all_of(*conditions: Filter | None) -> Filter | None:
    """Join conditions of which each may be missing."""
    there = tuple(one for one in conditions if one is not None)
    return And(there) if len(there) > 1 else next(iter(there), None)


def _of_filters(given: MetadataFilters) -> Filter:
    parts = tuple(
        _of_filters(one) if isinstance(one, MetadataFilters) else _of_filter(one) for one in given.filters
    )
    if not parts:
        return And(())
    if given.condition == FilterCondition.NOT:
        return Not(Or(parts))
    return Or(parts) if given.condition == FilterCondition.OR else And(parts)


def _of_filter(given: MetadataFilter) -> Filter:
    if given.value is None and given.operator in (FilterOperator.EQ, FilterOperator.NE):
        there = _somewhere(given, _exists)
        return Not(there) if given.operator == FilterOperator.EQ else there
    if given.operator in _NEGATED:
        return Not(_somewhere(given, _NEGATED[given.operator]))
    if given.operator in _POSITIVE:
        return _somewhere(given, _POSITIVE[given.operator])
    raise FilterError(
        f"filter of {given.key!r}: an index does not look into texts with {given.operator.value!r}; let the query "
        "ask for the words, in sparse or hybrid mode"
    )


def _somewhere(given: MetadataFilter, meaning: Meaning) -> Filter:
    """Ask for a condition at any of the places that the key names."""
    places = tuple(meaning(given, path) for path in _paths(given.key))
    return places[0] if len(places) == 1 else Or(places)


def _paths(key: str) -> list[Path]:
    paths: list[Path] = [(key,)]
    nested = tuple(key.split("."))
    if len(nested) > 1 and all(nested):
        paths.append(nested)
    if key in _SOURCE_NAMES:
        paths.append(SOURCE)
    return paths


def _equals(given: MetadataFilter, path: Path) -> Filter:
    if given.value is None or isinstance(given.value, list):
        raise FilterError(
            f"filter of {given.key!r}: {given.operator.value!r} takes one value, got {given.value!r}; "
            "use 'in', 'any' or 'all'"
        )
    return Equals(path, given.value)


def _one_of(given: MetadataFilter, path: Path) -> Filter:
    return In(path, tuple(_values(given)))


def _every(given: MetadataFilter, path: Path) -> Filter:
    return And(tuple(Equals(path, value) for value in _values(given)))


def _exists(given: MetadataFilter, path: Path) -> Filter:
    return Exists(path)


def _filled(given: MetadataFilter, path: Path) -> Filter:
    return And((Exists(path), Not(Equals(path, ""))))


def _beyond(given: MetadataFilter, path: Path) -> Filter:
    return Range(path, **{_BOUNDS[given.operator]: _bound(given)})


def _bound(given: MetadataFilter) -> float | datetime:
    moment = parsed_date(given.value) if isinstance(given.value, str) else None
    if moment is not None:
        return moment
    if not isinstance(given.value, (int, float)):
        raise FilterError(
            f"filter of {given.key!r}: {given.operator.value!r} compares numbers, or dates such as '2024-05-01'; "
            f"got {given.value!r}"
        )
    return given.value


def _values(given: MetadataFilter) -> list[Any]:
    if not isinstance(given.value, list):
        raise FilterError(
            f"filter of {given.key!r}: {given.operator.value!r} takes a list, got {given.value!r}"
        )
    return given.value


_BOUNDS = {
    FilterOperator.GT: "gt",
    FilterOperator.GTE: "gte",
    FilterOperator.LT: "lt",
    FilterOperator.LTE: "lte",
}
_POSITIVE: dict[FilterOperator, Meaning] = {
    FilterOperator.EQ: _equals,
    FilterOperator.CONTAINS: _equals,
    FilterOperator.IN: _one_of,
    FilterOperator.ANY: _one_of,
    FilterOperator.ALL: _every,
    **{operator: _beyond for operator in _BOUNDS},
}
_NEGATED: dict[FilterOperator, Meaning] = {
    FilterOperator.NE: _equals,
    FilterOperator.NIN: _one_of,
    FilterOperator.IS_EMPTY: _filled,
}
