"""Examples that users bring: the numbers that a checkpoint of their own should give, from a JSON file."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..catalogue import (
    Example,
    LexicalWeightsExample,
    PairScoresExample,
    RerankExample,
    SimilarityExample,
    VectorExample,
)
from ..errors import InputError

_KINDS: dict[str, type[Example]] = {
    "similarity": SimilarityExample,
    "pair_scores": PairScoresExample,
    "lexical_weights": LexicalWeightsExample,
    "rerank": RerankExample,
    "vector": VectorExample,
}
_DEFAULT_TOLERANCE = 1e-3


def examples_from(path: Path) -> list[Example]:
    """Read a JSON list of examples.

    Each is an object: "kind" is one of similarity, pair_scores, lexical_weights, rerank, vector; the other names
    are those of the catalogue's example classes ("queries", "passages", "matrix", ...). "tolerance" (0.001) and
    "source" (the file) may be left out.

    Raises:
        InputError: If the file is no such list.
    """
    try:
        items = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    if not isinstance(items, list) or not items:
        raise InputError(f"{path} must be a JSON list of examples with at least one in it")
    return [_example(item, f"{path}, example {number}", path) for number, item in enumerate(items, start=1)]


def _example(item: Any, where: str, path: Path) -> Example:
    kind = _KINDS.get(item.get("kind", "")) if isinstance(item, dict) else None
    if kind is None:
        raise InputError(f'{where}: must be an object whose "kind" is one of {", ".join(_KINDS)}')
    values = {name: _frozen(value) for name, value in item.items() if name != "kind"}
    unknown = set(values) - {field.name for field in fields(kind)}
    if unknown:
        raise InputError(f"{where}: unknown names {sorted(unknown)}")
    try:
        return kind(**{"tolerance": _DEFAULT_TOLERANCE, "source": path.name, **values})
    except TypeError as error:
        raise InputError(f"{where}: {error}") from error


def _frozen(value: Any) -> Any:
    return tuple(_frozen(one) for one in value) if isinstance(value, list) else value
