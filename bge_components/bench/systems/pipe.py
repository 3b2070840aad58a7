"""A process that answers requests over pipes: one at a time, each with a time limit, stopped in between."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import IO, Any

from ...errors import BGEError

_TAIL = 600
_END_S = 5.0
_STOP: int | None = getattr(signal, "SIGSTOP", None)
_GO_ON: int | None = getattr(signal, "SIGCONT", None)


class SystemFailed(BGEError):
    """A system does not run, refused, crashed, or took too long; the message says which, and what it said last."""


class Pipe:
    """Owns the process. Between two requests it is stopped, so that nothing in it competes with what is measured."""

    def __init__(self, command: Sequence[str], variables: Mapping[str, str], log: Path, name: str) -> None:
        """Start the process.

        Args:
            command: What to run; it reads requests and writes answers, each one line of JSON.
            variables: Its whole environment.
            log: File that gets its standard error.
            name: What errors call it.

        Raises:
            SystemFailed: If it cannot be started.
        """
        self._name, self._log, self._number = name, log, 0
        try:
            with log.open("wb") as errors:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    env=dict(variables),
                    text=True,
                    encoding="utf-8",
                    errors="replace",
                )
        except OSError as error:
            raise SystemFailed(f"{name}: {command[0]} cannot be started: {error}") from error
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._requests = self._process.stdin
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        Thread(target=_read, args=(self._process.stdout, self._lines), daemon=True).start()

    @property
    def process(self) -> int:
        """The number of the process."""
        return self._process.pid

    def ask(self, what: str, limit_s: float, **fields: Any) -> dict[str, Any]:
        """Send a request and give its answer.

        Raises:
            SystemFailed: If the answer is an error, or the process ended or gave none in time; it is then ended.
        """
        self._number += 1
        self._signal(_GO_ON)
        try:
            self._requests.write(json.dumps({"number": self._number, "what": what, **fields}) + "\n")
            self._requests.flush()
        except OSError:
            raise self._ended(what) from None
        answer = self._answer(what, limit_s)
        self._signal(_STOP)
        if "error" in answer:
            raise SystemFailed(f"{self._name}: {what}: {answer['error']}")
        return answer

    def close(self) -> None:
        """End the process: it is asked to by the end of its input, and ended if it does not."""
        self._signal(_GO_ON)
        try:
            self._requests.close()
        except OSError:
            pass
        self._wait(_END_S)

    def _answer(self, what: str, limit_s: float) -> dict[str, Any]:
        while True:
            try:
                line = self._lines.get(timeout=limit_s)
            except Empty:
                self._wait(0.0)
                raise SystemFailed(
                    f"{self._name}: {what}: no answer within {limit_s:g} s{self._last()}"
                ) from None
            if line is None:
                raise self._ended(what)
            if (answer := _read_answer(line, self._number)) is not None:
                return answer

    def _ended(self, what: str) -> SystemFailed:
        code = self._wait(_END_S)
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        return SystemFailed(f"{self._name}: {what}: its process ended with {how}{self._last()}")

    def _wait(self, seconds: float) -> int:
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def _last(self) -> str:
        said = " ".join(self._log.read_text(encoding="utf-8", errors="replace").split())
        return f"; it said last: ...{said[-_TAIL:]}" if said else ""

    def _signal(self, number: int | None) -> None:
        if number is not None and self._process.poll() is None:
            os.kill(self._process.pid, number)


def _read(answers: IO[str], lines: SimpleQueue[str | None]) -> None:
    with answers:
        for line in answers:
            lines.put(line)
    lines.put(None)


def _read_answer(line: str, number: int) -> dict[str, Any] | None:
    """Give the answer in a line; None if it is something else that the process printed."""
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) and found.get("number") == number else None
