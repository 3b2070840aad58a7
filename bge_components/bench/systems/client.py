"""The near end of a worker: starts the process of a system and asks it to load, to encode and to rerank."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any

import numpy as np

from ...contracts import Float32
from ..shapes import Task
from .catalogue import System
from .pipe import Pipe, SystemFailed

__all__ = ["Limits", "SystemFailed", "Worker"]

_HERE = Path(__file__).parent
_NOT_OURS = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
"""Set for this process, not by the user of another system."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """How long a worker may take, in seconds.

    Attributes:
        start_s: To start and import its package.
        load_s: To load a checkpoint, with whatever has to be exported first.
        work_s: To encode or rerank once.
    """

    start_s: float = 120.0
    load_s: float = 1800.0
    work_s: float = 900.0


class Worker:
    """One system in a process of its own, which runs only while a request is being answered.

    Whatever goes wrong is a `SystemFailed`. A worker lives no longer than the thread that started it.
    """

    def __init__(self, pipe: Pipe, folder: TemporaryDirectory[str], threads: int, limits: Limits) -> None:
        self._pipe, self._folder, self._threads, self._limits = pipe, folder, threads, limits
        self.versions: dict[str, str] = {}

    @classmethod
    def start(cls, system: System, python: str, threads: int, limits: Limits | None = None) -> Worker:
        """Start the worker of a system.

        Args:
            system: Whose it is.
            python: Interpreter that has its package.
            threads: Threads of its matrix products.
            limits: How long it may take.

        Raises:
            SystemFailed: If the package is not there or does not import.
        """
        limits = limits or Limits()
        folder = TemporaryDirectory(prefix="bge-bench-")
        command = (python, str(_HERE / "worker.py"), system.adapter, json.dumps(dict(system.options)))
        try:
            pipe = Pipe(command, _variables(system, threads), Path(folder.name) / "stderr.txt", system.name)
            worker = cls(pipe, folder, threads, limits)
        except SystemFailed:
            folder.cleanup()
            raise
        try:
            worker.versions = pipe.ask("hello", limits.start_s)["versions"]
        except SystemFailed as error:
            worker.close()
            raise SystemFailed(f"{error} (to install it: {system.pip})") from error
        return worker

    @property
    def process(self) -> int:
        """The number of its process."""
        return self._pipe.process

    def load(self, folder: Path, task: Task, max_tokens: int, exports: Path | None = None) -> float:
        """Load a checkpoint and warm it up with one text.

        Args:
            folder: The checkpoint.
            task: What it is for.
            max_tokens: Longest text, or pair, in tokens.
            exports: Folder that keeps what has to be exported from it; None means `exports` in the checkpoint.

        Returns:
            Seconds, the export included.
        """
        answer = self._pipe.ask(
            "load",
            self._limits.load_s,
            folder=str(folder.absolute()),
            exports=str((exports or folder / "exports").absolute()),
            task=task,
            max_tokens=max_tokens,
            threads=self._threads,
        )
        return float(answer["seconds"])

    def give(self, name: str, texts: Sequence[str]) -> None:
        """Hand over texts, which are called `name` from then on."""
        path = self._path("texts.json")
        path.write_text(json.dumps(list(texts)), encoding="utf-8")
        self._pipe.ask("give", self._limits.start_s, name=name, path=str(path))

    def encode(self, name: str) -> float:
        """Encode texts in one call, with the batch size that the system has by itself.

        Returns:
            Seconds of that call, measured beside it.
        """
        return float(self._pipe.ask("encode", self._limits.work_s, name=name)["seconds"])

    def vectors(self, name: str) -> Float32:
        """Give what the last `encode` of these texts gave: float32, (n, dim), in their order."""
        return self._array("vectors", name=name)

    def rerank(self, query: str, name: str) -> float:
        """Score texts by a query in one call and give its seconds."""
        return float(self._pipe.ask("rerank", self._limits.work_s, query=query, name=name)["seconds"])

    def scores(self, query: str, name: str) -> Float32:
        """Give the scores of texts by a query: float32, (n,), between 0 and 1, in the order of the texts."""
        return self._array("scores", query=query, name=name)

    def callers(self, name: str, callers: int, seconds: float) -> tuple[list[float], float]:
        """Let threads take the texts in turn, each asking for one at a time.

        Returns:
            Seconds that each call took, and seconds from the first call's beginning to the last one's end.
        """
        limit_s = self._limits.work_s + seconds
        answer = self._pipe.ask("callers", limit_s, name=name, callers=callers, seconds=seconds)
        return answer["latencies_s"], float(answer["elapsed_s"])

    def forget_peak(self) -> bool:
        """Let `peak_mb` begin anew, with what the process has in RAM now; give whether that can be done here."""
        return bool(self._pipe.ask("forget_peak", self._limits.start_s)["forgotten"])

    def peak_mb(self) -> float:
        """Give the most memory that the process has had in RAM, in MiB: since the peak was forgotten, or ever."""
        return float(self._pipe.ask("peak", self._limits.start_s)["mb"])

    def close(self) -> None:
        """End the process and remove its files."""
        self._pipe.close()
        self._folder.cleanup()

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _array(self, what: str, **fields: Any) -> Float32:
        path = self._path("array.npy")
        self._pipe.ask(what, self._limits.work_s, path=str(path), **fields)
        found: Float32 = np.load(path)
        return found

    def _path(self, name: str) -> Path:
        return Path(self._folder.name) / name


def _variables(system: System, threads: int) -> dict[str, str]:
    """Give the environment of a user of this system, with a number of threads and without the network."""
    inherited = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
    counts = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    offline = {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "DO_NOT_TRACK": "1",
        "TQDM_DISABLE": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    own = {"PYTHONPATH": str(Path(__file__).parents[3])} if system.ours else {}
    return {**inherited, **counts, **offline, **own, **system.variables}
