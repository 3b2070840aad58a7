"""Whole folders: copied while a shard has them open, and made to outlive a loss of power."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .json_files import sync_folder

_BLOCK_BYTES = 2**18
_ZEROS = bytes(_BLOCK_BYTES)

_NOT_COPIED = shutil.ignore_patterns("tmp-*", ".wal")
"""Segments that the log is making ahead of need, on a thread of its own, and its lock where folders have none."""


def copy_folder(source: Path, target: Path) -> None:
    """Copy the folder of a shard that is flushed and not written to; the holes of its files stay holes.

    Args:
        source: The shard's folder; it may be open, also in another process.
        target: Made; it must not exist.

    Raises:
        OSError: If there is no room, say.
    """
    shutil.copytree(source, target, copy_function=_copy_file, ignore=_NOT_COPIED)


def _copy_file(source: str, target: str) -> None:
    with open(source, "rb", buffering=0) as old, open(target, "wb") as new:
        while block := old.read(_BLOCK_BYTES):
            if block == _ZEROS[: len(block)]:
                new.seek(len(block), os.SEEK_CUR)
            else:
                new.write(block)
        new.truncate()


def sync_tree(folder: Path) -> None:
    """Make sure that a folder and everything in it outlives a loss of power."""
    for path, _, names in os.walk(folder):
        for name in names:
            _sync_file(Path(path) / name)
        sync_folder(Path(path))


def _sync_file(path: Path) -> None:
    with open(path, "r+b", buffering=0) as file:
        os.fsync(file.fileno())
