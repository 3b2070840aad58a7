from __future__ import annotations

import inspect
import pickle
import re

import pytest

from bge_components import errors
from bge_components.errors import BGEError, ComputeError

CLASSES = [
    item
    for _, item in inspect.getmembers(errors, inspect.isclass)
    if issubclass(item, Exception) and item.__module__ == errors.__name__
]


def drawn_tree() -> dict[str, tuple[str | None, str | None]]:
    """Read the docstring's drawing: for each class its parent and the builtin named as "(also X)"."""
    ancestors: list[str] = []
    tree: dict[str, tuple[str | None, str | None]] = {}
    for line in (errors.__doc__ or "").splitlines():
        found = re.match(r"^    ([│├└─ ]*)(\w+Error)\b(?:\s+\(also (\w+)\))?", line)
        if found is None:
            continue
        depth = len(found[1]) // 4
        ancestors[depth:] = [found[2]]
        tree[found[2]] = (ancestors[depth - 1] if depth else None, found[3])
    return tree


def real_tree() -> dict[str, tuple[str | None, str | None]]:
    tree: dict[str, tuple[str | None, str | None]] = {}
    for item in CLASSES:
        own = [base.__name__ for base in item.__bases__ if base in CLASSES]
        builtin = [base.__name__ for base in item.__bases__ if base not in CLASSES and base is not Exception]
        tree[item.__name__] = (own[0] if own else None, builtin[0] if builtin else None)
    return tree


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    assert drawn_tree() == real_tree()


def test_the_tree_is_drawn_with_every_class() -> None:
    assert len(CLASSES) == len(drawn_tree()) > 15


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_is_caught_by_the_root(kind: type[Exception]) -> None:
    with pytest.raises(BGEError, match="what happened"):
        raise kind("what happened")


@pytest.mark.parametrize("kind", CLASSES)
def test_every_error_crosses_a_process_border(kind: type[Exception]) -> None:
    arrived = pickle.loads(pickle.dumps(kind("what happened")))

    assert type(arrived) is kind
    assert arrived.args == ("what happened",)


def test_a_compute_error_keeps_its_place_across_a_process_border() -> None:
    assert pickle.loads(pickle.dumps(ComputeError("broke", index=3))).index == 3
