"""From the name that a user writes to an entry and the folder with its files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..settings import HubSettings
from .checkpoint import Checkpoint, Family
from .files import DEFAULT_HUB, PACKAGED, local_folder, locate, snapshot_commit
from .inspection import check_heads, inspect
from .lookup import find


@dataclass(frozen=True, kw_only=True)
class ResolvedCheckpoint:
    """A checkpoint that can be loaded.

    Attributes:
        checkpoint: What it is.
        folder: Absolute path of its files.
        revision: Commit on the hub; None for other folders.
    """

    checkpoint: Checkpoint
    folder: Path
    revision: str | None


def resolve(
    name: str,
    *,
    revision: str | None = None,
    hub: HubSettings = DEFAULT_HUB,
    family: Family | None = None,
) -> ResolvedCheckpoint:
    """Find the files of a checkpoint and say what it is.

    A name of the catalogue is described by its entry; a local folder or another name by its own files. A local
    folder that bears the name of an entry, and fits it, gets from it what its files do not say, such as the
    query instruction.

    Args:
        name: "mini", the path of a folder, or a name on the hub (the organisation may be left out for names of
            the catalogue).
        revision: Commit, tag or branch on the hub.
        hub: Cache folder, and whether the network may be asked.
        family: Instead of what the catalogue or the files say.

    Raises:
        CheckpointNotFoundError: If the files cannot be had.
        UnsupportedCheckpointError: If this package does not run such a checkpoint.
        BrokenCheckpointError: If files are missing, or contradict the entry or the family that was asked for.
        InputError: If the name or the revision cannot be one.
    """
    folder = locate(name, revision=revision, hub=hub)
    if name not in PACKAGED and local_folder(name) is not None:
        checkpoint = inspect(folder, _tidy(name), family, _namesake(name, folder))
    elif (entry := find(name)) is not None:
        checkpoint = _catalogued(entry, folder, family)
    else:
        checkpoint = inspect(folder, name, family)
    return ResolvedCheckpoint(checkpoint=checkpoint, folder=folder, revision=snapshot_commit(folder))


def _catalogued(entry: Checkpoint, folder: Path, family: Family | None) -> Checkpoint:
    if family is None or family == entry.family:
        check_heads(entry, folder)
        return entry
    return inspect(folder, entry.name, family, entry)


def _namesake(name: str, folder: Path) -> Checkpoint | None:
    """Give the entry whose name a folder bears, also as a snapshot in the hub's cache."""
    cached = folder.parent.parent.name
    if snapshot_commit(folder) is not None and cached.startswith("models--"):
        return find(cached.removeprefix("models--").replace("--", "/"))
    return find(Path(name).name) or find(folder.name)


def _tidy(name: str) -> str:
    return name.rstrip("/\\") or name
