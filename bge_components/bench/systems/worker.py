"""The program that runs one system and answers requests: JSON lines in, JSON lines out, arrays as files.

It is started by path with the interpreter of the system's environment, so it imports nothing but the standard
library, numpy, and the adapter of its system, which lies beside it.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

Answer = Mapping[str, Any]


def main(arguments: list[str]) -> None:
    """Answer the requests on standard input until it ends; `arguments` are the adapter and its options as JSON."""
    end_with_the_parent()
    requests, answers = sys.stdin, _private_stdout()
    sys.path.append(sys.path.pop(0))  # names of files here must not hide packages of the system
    server = Server(arguments[0], json.loads(arguments[1]))
    for line in requests:
        request = json.loads(line)
        answer = {"number": request["number"], **_answered(server, request)}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
    os._exit(0)  # the packages' own threads may not want to end


class Server:
    """Holds the model and the texts; every public method answers the request of its name."""

    def __init__(self, adapter: str, options: Mapping[str, str]) -> None:
        self._adapter_name = adapter
        self._options = options
        self._adapter: Any = None
        self._model: Any = None
        self._texts: dict[str, list[str]] = {}
        self._vectors: dict[str, Any] = {}

    def hello(self) -> Answer:
        """Import the adapter and say which version of which package it runs."""
        self._adapter = importlib.import_module(self._adapter_name)
        return {"versions": self._adapter.versions(), "python": sys.version.split()[0]}

    def load(self, folder: str, exports: str, task: str, max_tokens: int, threads: int) -> Answer:
        """Load a checkpoint; what has to be exported from it first is kept in the folder `exports`."""
        started = time.perf_counter()
        self._vectors.clear()
        self._model = self._adapter.load(
            Path(folder),
            exports=Path(exports),
            task=task,
            max_tokens=max_tokens,
            threads=threads,
            options=self._options,
        )
        return {"seconds": time.perf_counter() - started}

    def give(self, name: str, path: str) -> Answer:
        """Keep the texts of a JSON file under a name."""
        self._texts[name] = json.loads(Path(path).read_text(encoding="utf-8"))
        self._vectors.pop(name, None)
        return {"texts": len(self._texts[name])}

    def encode(self, name: str) -> Answer:
        """Encode texts as a user would and give the seconds of that one call."""
        texts = self._texts[name]
        self._vectors.pop(name, None)
        started = time.perf_counter()
        vectors = self._model.encode(texts)
        seconds = time.perf_counter() - started
        self._vectors[name] = vectors
        return {"seconds": seconds}

    def vectors(self, name: str, path: str) -> Answer:
        """Write what the last `encode` of these texts gave; encode them if there was none."""
        if name not in self._vectors:
            self._vectors[name] = self._model.encode(self._texts[name])
        return _written(path, self._vectors[name])

    def rerank(self, query: str, name: str) -> Answer:
        """Score texts by a query and give the seconds of that one call."""
        started = time.perf_counter()
        self._model.score(query, self._texts[name])
        return {"seconds": time.perf_counter() - started}

    def scores(self, query: str, name: str, path: str) -> Answer:
        """Write the scores of texts by a query, between 0 and 1."""
        return _written(path, self._model.score(query, self._texts[name]))

    def callers(self, name: str, callers: int, seconds: float) -> Answer:
        """Let threads take the texts in turn, each asking for one at a time, and give how long each waited."""
        handed_out = count()  # its next() is atomic
        texts, started = self._texts[name], time.perf_counter()
        together = self._model.one_at_a_time

        def caller() -> list[float]:
            waited = []
            while (began := time.perf_counter()) < started + seconds:
                with together:
                    self._model.encode([texts[next(handed_out) % len(texts)]])
                waited.append(time.perf_counter() - began)
            return waited

        with ThreadPoolExecutor(callers) as threads:
            running = [threads.submit(caller) for _ in range(callers)]
            waited = [latency for one in running for latency in one.result()]
        return {"latencies_s": waited, "elapsed_s": time.perf_counter() - started}

    def forget_peak(self) -> Answer:
        """Let the peak of memory begin anew, with what is in RAM now; say whether this system can."""
        return {"forgotten": forget_peak()}

    def peak(self) -> Answer:
        """Give the most memory that this process has had in RAM since the peak was forgotten, or ever."""
        return {"mb": peak_bytes() / 2**20}


def end_with_the_parent() -> None:
    """Let the system end this process with its parent, even while it is stopped; leave Ctrl-C to the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        die_with_parent = 1  # PR_SET_PDEATHSIG
        ctypes.CDLL(None).prctl(die_with_parent, signal.SIGKILL)


def peak_bytes() -> int:
    """Give the most memory that this process has had in RAM; 0 where the system does not tell."""
    status = Path("/proc/self/status")
    if status.is_file():  # unlike getrusage it forgets the process that started this one
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    if sys.platform == "win32":
        return 0
    import resource  # Windows has none

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def forget_peak() -> bool:
    """Let `peak_bytes` begin anew, with what is in RAM now; give whether the system can, as Linux does."""
    high_water_mark = "5"
    try:
        Path("/proc/self/clear_refs").write_text(high_water_mark)
    except OSError:
        return False
    return True


def _answered(server: Server, request: dict[str, Any]) -> Answer:
    del request["number"]
    method: Callable[..., Answer] = getattr(server, request.pop("what"))
    try:
        return method(**request)
    except Exception as error:  # this is where a request ends
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}"}


def _written(path: str, values: Any) -> Answer:
    array = np.asarray(values, dtype=np.float32)
    np.save(path, array)
    return {"shape": list(array.shape)}


def _private_stdout() -> Any:
    """Keep standard output for answers; whatever else is printed goes to standard error."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return answers


if __name__ == "__main__":
    main(sys.argv[1:])
