"""How a shard is optimised: a small one at once, a copy of any other by a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict

from ....errors import EngineError, IndexClosedError
from ...contracts import Channel
from .figures import Figures, optimized
from .folder import EdgeFolder
from .queries import counted
from .settings import EdgeSettings
from .shard import EdgeShardCalls, failure

_PROGRAM = f"{__package__}.optimizer_program"

_QUICK_POINTS = 1_000
_QUICK_BYTES = 32 * 2**20
"""A shard of up to so many points and bytes is optimised within about a tenth of a second."""

_ROOM = 2.5
"""Times its size: the copy, and its new segments beside its old ones, with graphs. Measured: 1.6 to 1.8."""


class Optimizer:
    """Optimises the shard of a folder, for an engine that keeps writers away meanwhile.

    Qdrant Edge holds Python's global lock while it optimises. So another process does that, to a copy of the shard,
    and then the copy takes the shard's place: searches go on, on the shard until then. Which of the two is in service
    is written in one file, replaced atomically, so that a death at any moment leaves one of them, whole; the other is
    removed, now or when the folder is opened next.

    Args:
        folder: Opened.
        settings: How graphs are built.
    """

    def __init__(self, folder: EdgeFolder, settings: EdgeSettings) -> None:
        self._folder = folder
        self._settings = settings
        self._process: subprocess.Popen[str] | None = None
        self._stopped = False
        self._starting = threading.Lock()

    def optimize(self, shard: EdgeShardCalls, channels: Mapping[str, Channel]) -> Figures:
        """Optimise the shard, which has to be flushed.

        Raises:
            EngineError: If that failed; the shard is as it was.
            IndexFullError: If the disk has no room for it.
            IndexClosedError: If `stop` was called.
        """
        size = self._folder.shard_bytes()
        room = int(_ROOM * size) + self._settings.reserve_bytes
        self._folder.check_room(room, "building its segments anew")
        if size <= _QUICK_BYTES and counted(shard) <= _QUICK_POINTS:
            return optimized(shard, self._folder, channels, self._settings)
        copy = self._folder.copy()
        try:
            figures = self._optimized_copy(copy)
            shard.move(copy, channels, self._settings)
        finally:
            self._folder.remove_leftovers()
        return figures

    def stop(self) -> None:
        """Give up what goes on, and do nothing more: the shard is being closed."""
        with self._starting:
            self._stopped = True
            if self._process is not None:
                self._process.kill()

    def _optimized_copy(self, copy: EdgeFolder) -> Figures:
        with self._starting:
            self._check_not_stopped()
            process = self._process = self._started(copy)
        with process:
            try:
                said, complaints = process.communicate()
            finally:
                process.kill()
        self._check_not_stopped()
        if process.returncode:
            raise failure(self._what, _reason(process.returncode, complaints))
        return Figures(**json.loads(said.splitlines()[-1]))

    def _started(self, copy: EdgeFolder) -> subprocess.Popen[str]:
        arguments = [str(copy.path), copy.shard.name, json.dumps(asdict(self._settings)), str(os.getpid())]
        try:
            return subprocess.Popen(
                [sys.executable, "-W", "ignore", "-m", _PROGRAM, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                encoding="utf-8",
                errors="replace",
                cwd=copy.path,  # where there is no module that could be taken for another
                env={**os.environ, "PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))},
            )
        except OSError as error:
            raise EngineError(f"{self._what} failed: {sys.executable!r} cannot be run: {error}") from error

    def _check_not_stopped(self) -> None:
        if self._stopped:
            raise IndexClosedError(
                f"{self._what} was given up, because the index was closed; nothing is lost"
            )

    @property
    def _what(self) -> str:
        return f"optimising the index in {self._folder.path}"


def _reason(code: int, complaints: str) -> str:
    last = (complaints.strip().splitlines() or ["it said nothing"])[-1]
    ended = f"was ended by signal {-code}" if code < 0 else f"ended with code {code}"
    return f"its process {ended}: {last}"
