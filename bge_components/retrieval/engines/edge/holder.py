"""Who holds a folder: one engine of one process at a time, and what others are told about it."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from ...._extras import require
from ....errors import IndexHeldError, IndexStoreError
from .json_files import read_json, write_json


class FolderHolder:
    """Holds a folder until `release`, or until the process ends in whatever way.

    The operating system's lock on a file decides; a second file, which only serves the message, says who holds it. A
    lock that a process left behind by its death is no lock.

    Args:
        folder: The folder; it has to exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._facts = folder / "holder.json"
        filelock = require("filelock", extra="edge")
        self._timeout: type[Exception] = filelock.Timeout
        self._lock = filelock.FileLock(folder / "holder.lock", timeout=0, thread_local=False)

    def acquire(self) -> None:
        """Take the folder.

        Raises:
            IndexHeldError: If another engine holds it; the message says which process, where and since when.
            IndexStoreError: If the folder cannot be written to.
        """
        try:
            self._lock.acquire()
        except self._timeout as error:
            raise IndexHeldError(_held(self._folder, self._facts)) from error
        except OSError as error:
            raise IndexStoreError(f"the folder {self._folder} cannot be held: {error}") from error
        try:
            write_json(self._facts, _facts_of_this_process())
        except OSError:  # they only serve a message: a full disk must not hinder reading
            self._facts.unlink(missing_ok=True)

    def release(self) -> None:
        """Let go of the folder; a second call does nothing."""
        if self._lock.is_locked:
            self._facts.unlink(missing_ok=True)
            self._lock.release()


def _facts_of_this_process() -> dict[str, Any]:
    return {
        "pid": os.getpid(),
        "host": socket.gethostname(),
        "program": Path(sys.argv[0] if sys.argv else "").name or "python",
        "since": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def _held(folder: Path, path: Path) -> str:
    try:
        facts = read_json(path)
    except ValueError:
        facts = None
    who = _told(facts) if isinstance(facts, Mapping) else "another process, which has not yet said who it is"
    return (
        f"the index in {folder} is held by {who}. Only one engine at a time can have it open: close that one, "
        "send it your requests, or use a Qdrant server to share an index between processes"
    )


def _told(facts: Mapping[str, Any]) -> str:
    same = (facts.get("pid"), facts.get("host")) == (os.getpid(), socket.gethostname())
    process = "this process itself" if same else f"process {facts.get('pid')}"
    return f"{process} ({facts.get('program')}) on host {facts.get('host')!r} since {facts.get('since')}"
