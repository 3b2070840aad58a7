"""How long a program takes that only imports, and one that embeds its first text, as a user at a shell waits."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import partial

from ...catalogue import locate
from ..records import OURS, Absence, Measurement
from ..shapes import of_checkpoint
from ..suite import Bench
from .fresh import FreshProcessError, run_fresh
from .ours import embedders, in_turns

IMPORT = "startup, import"
FIRST = "startup, first embedding"
PEER = "sentence-transformers fp32"
TEXT = "What is the capital of France?"
LIMIT_S = 300.0

_OURS_FIRST = (
    "import sys; from bge_components import make_encoder; make_encoder(sys.argv[1]).encode([sys.argv[2]])"
)
_PEER_FIRST = (
    "import sys; from sentence_transformers import SentenceTransformer; "
    "SentenceTransformer(sys.argv[1], device='cpu').encode([sys.argv[2]])"
)
_IMPORTS = {"Python alone": "pass", "import torch": "import torch", OURS: "import bge_components"}


def measure(bench: Bench) -> Iterator[Measurement | Absence]:
    """Run each program in processes of their own, in turns; the first turn, from a cold disk, does not count."""
    mini, shape = of_checkpoint("mini"), embedders(bench.shapes, quick=True)
    programs: dict[tuple[str, str, str], tuple[str, ...]] = {
        (IMPORT, "none", name): (sys.executable, "-c", code) for name, code in _IMPORTS.items()
    }
    programs[FIRST, mini.name, OURS] = _first(sys.executable, _OURS_FIRST, str(locate("mini")))
    for one in shape:
        folder = str(bench.checkpoint(one).folder)
        programs[FIRST, one.name, OURS] = _first(sys.executable, _OURS_FIRST, folder)
        python = peer_python(bench)
        if python is None:
            yield Absence(workload=FIRST, shape=one.name, system=PEER, reason=_why_not(bench))
        else:
            programs[FIRST, one.name, PEER] = _first(python, _PEER_FIRST, folder)
    yield from timed(programs, bench.rounds, bench.threads)


def timed(
    programs: Mapping[tuple[str, str, str], tuple[str, ...]], rounds: int, threads: int
) -> Iterator[Measurement | Absence]:
    """Time programs from their start to their end.

    Args:
        programs: Workload, shape and system to the command line.
        rounds: Times that each is run, in turns, after one that does not count.
        threads: Threads of their numerical libraries.
    """
    jobs = {}
    for key, (python, *arguments) in programs.items():
        job = partial(run_fresh, python, arguments, threads=threads, limit_s=LIMIT_S)
        try:
            job()
        except FreshProcessError as error:
            yield Absence(workload=key[0], shape=key[1], system=key[2], reason=str(error))
        else:
            jobs[key] = job
    for (workload, shape, system), found in in_turns(jobs, rounds).items():
        yield Measurement(
            workload=workload,
            shape=shape,
            system=system,
            seconds=tuple(one.seconds for one in found),
            texts=int(workload == FIRST),
            tokens=0,
        )


def peer_python(bench: Bench) -> str | None:
    """Give the interpreter that has sentence-transformers, if one of the run has."""
    environments = [system.environment for system in bench.systems if system.name == PEER]
    return next((bench.interpreters[one] for one in environments if one in bench.interpreters), None)


def _why_not(bench: Bench) -> str:
    environments = [system.environment for system in bench.systems if system.name == PEER]
    return next(
        (bench.missing[one] for one in environments if one in bench.missing),
        "not among the systems of this run",
    )


def _first(python: str, code: str, folder: str) -> tuple[str, ...]:
    return (python, "-c", code, folder, TEXT)
