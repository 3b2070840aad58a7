"""Finding an entry by name, and near names when there is none."""

from __future__ import annotations

from difflib import get_close_matches

from .checkpoint import Checkpoint
from .embedders import EMBEDDERS
from .rerankers import RERANKERS


def all_checkpoints() -> tuple[Checkpoint, ...]:
    """Give every entry: `mini` first, then embedders, then rerankers."""
    return EMBEDDERS + RERANKERS


def find(name: str) -> Checkpoint | None:
    """Give the entry of a name, with or without its organisation; None if there is none.

    Upper and lower case count: on the hub they are different names.
    """
    for entry in all_checkpoints():
        if entry.name == name:
            return entry
    same_base = [entry for entry in all_checkpoints() if entry.base_name == name]
    return same_base[0] if len(same_base) == 1 else None


def suggestions(name: str, limit: int = 3) -> list[str]:
    """Give the names of the catalogue that are nearest to a name, best first; empty if none is near."""
    spellings: dict[str, str] = {}
    for entry in all_checkpoints():
        spellings.setdefault(entry.base_name.casefold(), entry.name)
        spellings[entry.name.casefold()] = entry.name
    wanted = name.casefold()
    near = get_close_matches(wanted, spellings, n=2 * limit, cutoff=0.75)
    near += get_close_matches(wanted.rpartition("/")[2], spellings, n=2 * limit, cutoff=0.75)
    return list(dict.fromkeys(spellings[spelling] for spelling in near))[:limit]
