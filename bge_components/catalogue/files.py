"""Where the files of a checkpoint are: packaged, in a local folder, or on the hub."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from ..errors import CheckpointNotFoundError, InputError, InputTypeError, UnsupportedCheckpointError
from ..settings import HubSettings
from . import hub as model_hub
from .lookup import find
from .not_run import reason_not_run

PACKAGED = {"mini": Path(__file__).resolve().parent.parent / "checkpoints" / "mini"}
"""Names that need no download, and their folders."""

DEFAULT_HUB = HubSettings()

_REPOSITORY = re.compile(r"[A-Za-z0-9_][\w.-]*(/[A-Za-z0-9_][\w.-]*)?", re.ASCII)
_REVISION = re.compile(r"[\w.+-]+(/[\w.+-]+)*", re.ASCII)
_LONGEST_NAME = 96


def locate(name: str, *, revision: str | None = None, hub: HubSettings = DEFAULT_HUB) -> Path:
    """Give the folder that holds a checkpoint.

    In this order: "mini" is the packaged one; an existing folder is itself; a name of the catalogue, with or
    without its organisation, or any other name is asked of the hub's cache and of the hub.

    Args:
        name: "mini", the path of a folder, or a name on the hub.
        revision: Commit, tag or branch on the hub.
        hub: Cache folder, and whether the network may be asked.

    Returns:
        An absolute path.

    Raises:
        CheckpointNotFoundError: If the files cannot be had; the message says why and what to do.
        UnsupportedCheckpointError: If the name is known for a checkpoint that is not run; nothing is downloaded.
        InputError: If the name or the revision cannot be one.
    """
    _check_text(name, "the name of a checkpoint")
    folder = PACKAGED.get(name) or local_folder(name)
    if folder is not None:
        _refuse_revision(name, revision)
        return _existing(folder)
    if _looks_like_a_path(name):
        raise CheckpointNotFoundError(_no_such_folder(name))
    reason = reason_not_run(name)
    if reason is not None:
        raise UnsupportedCheckpointError(
            f"{name}: {reason}. Encoders such as BAAI/bge-m3 and rerankers such as BAAI/bge-reranker-v2-m3 run"
        )
    entry = find(name)
    _check_names(name, revision)
    return model_hub.fetch(entry.name if entry else name, revision, hub)


def local_folder(name: str) -> Path | None:
    """Give the absolute path of an existing folder; None if the name is of none, or of a packaged checkpoint."""
    if name in PACKAGED:
        return None
    try:
        path = Path(name).expanduser()
        return path.resolve() if path.is_dir() else None
    except (OSError, RuntimeError):  # too long for a path, not readable, or no such user behind "~"
        return None


def snapshot_commit(folder: Path) -> str | None:
    """Give the commit whose snapshot in the hub's cache a folder is; None for other folders."""
    return folder.name if folder.parent.name == "snapshots" else None


def _check_text(value: Any, what: str) -> None:
    if not isinstance(value, str):
        raise InputTypeError(f"{what} must be a string, got {type(value).__name__}")
    if not value.strip() or "\0" in value:
        raise InputError(f"{what} must not be empty or hold NUL, got {value[:80]!r}")


def _refuse_revision(name: str, revision: str | None) -> None:
    if revision is not None:
        raise InputError(
            f"{name} is a local folder, which has no revisions: leave revision={revision!r} out, or give the "
            "name on the hub"
        )


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise CheckpointNotFoundError(
            f"The packaged checkpoint should be in {folder}, but is not: install this package again"
        )
    return folder


def _looks_like_a_path(name: str) -> bool:
    return (
        name.startswith((".", "/", "~"))
        or "\\" in name
        or name.endswith("/")
        or name.count("/") > 1
        or re.match(r"[A-Za-z]:", name) is not None
    )


def _no_such_folder(name: str) -> str:
    try:
        path = Path(name).expanduser()
        file = path.is_file()
    except (OSError, RuntimeError):
        path, file = Path(name), False
    if file:
        return f"{name} is a file: pass the folder that holds config.json, the tokeniser and the weights"
    base = re.split(r"[\\/]", name.rstrip("/\\"))[-1]
    return (
        f"There is no folder {str(path)!r} (looked from {Path.cwd()}), and a name on the hub looks like "
        f"'BAAI/bge-m3'{model_hub.did_you_mean(base)}"
    )


def _check_names(name: str, revision: str | None) -> None:
    """Refuse what could leave the cache folder or the hub's name space."""
    if len(name) > _LONGEST_NAME or _REPOSITORY.fullmatch(name) is None or ".." in name or "--" in name:
        raise CheckpointNotFoundError(
            f"{name[:_LONGEST_NAME]!r} is neither an existing folder nor a name on the hub, which looks like "
            f"'BAAI/bge-m3'{model_hub.did_you_mean(name[:_LONGEST_NAME])}"
        )
    if revision is None:
        return
    _check_text(revision, "revision")
    if _REVISION.fullmatch(revision) is None or ".." in revision:
        raise InputError(f"revision must be a commit, tag or branch, got {revision[:_LONGEST_NAME]!r}")
