"""Work in a process that did nothing before it: what it prints, and how long it took."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...errors import BGEError

_TAIL = 400


class FreshProcessError(BGEError):
    """A process of its own failed, ran too long, or did not say what it was to say."""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """A process that ended well.

    Attributes:
        seconds: From before it was started until it had ended.
        said: The JSON object in its last line of output; empty if it printed nothing.
    """

    seconds: float
    said: Mapping[str, Any]


def run_fresh(
    python: str, arguments: Sequence[str], *, given: object = None, threads: int, limit_s: float
) -> Finished:
    """Run a program in a new process.

    Args:
        python: The interpreter.
        arguments: Its arguments.
        given: Sent to its standard input, as JSON.
        threads: Threads that its numerical libraries may use.
        limit_s: Seconds after which it is ended.

    Raises:
        FreshProcessError: If it fails or takes longer; the message ends with what it said last.
    """
    started = time.perf_counter()
    try:
        done = subprocess.run(
            [python, *arguments],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            timeout=limit_s,
            env=_environment(threads),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise FreshProcessError(f"{python} gave nothing within {limit_s:g} s: {error}") from error
    seconds = time.perf_counter() - started
    if done.returncode:
        raise FreshProcessError(
            f"{python} ended with code {done.returncode}: {done.stderr.strip()[-_TAIL:] or 'it said nothing'}"
        )
    return Finished(seconds=seconds, said=_last_line(done.stdout))


def _last_line(text: str) -> Mapping[str, Any]:
    try:
        said = json.loads(text.strip().splitlines()[-1]) if text.strip() else {}
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise FreshProcessError(f"expected one JSON object in the last line, got {text[-_TAIL:]!r}")
    return said


def _environment(threads: int) -> dict[str, str]:
    counts = {name: str(threads) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS")}
    quiet = {"HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
    return {**os.environ, **quiet, **counts}
