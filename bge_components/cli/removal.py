"""Documents out of an index: by id, or because their files are not there any more."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..retrieval import HybridIndex
from .documents import is_lost


def deleted(opened: HybridIndex, ids: Sequence[str]) -> tuple[int, list[str]]:
    """Delete documents by id; give how many were there, and the ids that were not."""
    if not ids:
        return 0, []
    wanted = list(dict.fromkeys(ids))
    missing = [one for one, document in zip(wanted, opened.get(wanted)) if document is None]
    opened.delete(wanted)
    return len(wanted) - len(missing), missing


def pruned(opened: HybridIndex, folders: Sequence[Path]) -> int:
    """Delete the documents of text files that were below these folders and are gone; give how many there were."""
    passages = (point.passage for batch in opened.engine.scan() for point in batch)
    lost = {passage.document for passage in passages if is_lost(passage.document, passage.metadata, folders)}
    if lost:
        opened.delete(lost)
    return len(lost)
