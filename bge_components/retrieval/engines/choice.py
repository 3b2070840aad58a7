"""Which engine keeps an index: one that was handed over, or the embedded one in a folder."""

from __future__ import annotations

import os

from ...errors import InputError
from ..contracts import Engine
from .edge import EdgeEngine


def engine_for(path: str | os.PathLike[str] | None = None, engine: Engine | None = None) -> Engine | None:
    """Choose the engine; nothing is opened.

    Args:
        path: Folder of the embedded engine (extra "edge").
        engine: Any engine, instead of a folder.

    Returns:
        None where neither is given: the index is then in memory.

    Raises:
        InputError: If both are given.
        MissingDependencyError: If a path is given and qdrant-edge-py is not installed.
    """
    if path is None:
        return engine
    if engine is not None:
        raise InputError("path and engine both say where the index is kept: give one of them")
    return EdgeEngine(path)
