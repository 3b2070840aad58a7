"""Real English passages of mixed length that every machine has: docstrings of the standard library."""

from __future__ import annotations

import inspect
from importlib import import_module

_MODULES = (
    "argparse",
    "asyncio",
    "collections",
    "concurrent.futures",
    "csv",
    "datetime",
    "decimal",
    "email.message",
    "fractions",
    "http.client",
    "inspect",
    "json",
    "logging",
    "pathlib",
    "statistics",
    "subprocess",
    "typing",
)


def passages(count: int) -> list[str]:
    """Give `count` passages, the same ones in every run of one Python version.

    Raises:
        ValueError: If the modules do not hold as many.
    """
    found: dict[str, None] = {}
    for name in _MODULES:
        module = import_module(name)
        for _, member in sorted(inspect.getmembers(module), key=lambda pair: pair[0]):
            for text in _docs(member):
                found.setdefault(text)
    if len(found) < count:
        raise ValueError(f"{count} passages were asked for, {len(found)} were found")
    return list(found)[:count]


def _docs(member: object) -> list[str]:
    members = [member, *vars(member).values()] if inspect.isclass(member) else [member]
    docs = [inspect.getdoc(one) for one in members if callable(one)]
    return [doc for doc in docs if doc and len(doc) > 20]
