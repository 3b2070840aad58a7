"""A run of the benchmark: what is to be measured, and the workloads one after the other."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from .checkpoint_files import Made, make_checkpoint
from .records import Absence, Machine, Measurement, Results
from .shapes import Shape
from .texts import Texts
from .workloads import measurer

if TYPE_CHECKING:
    from .systems.catalogue import System

_TELLING = ("config.json", "model.safetensors")
_DIGITS = 10
_NOTHING_TO_DO = "none of the networks that were asked for is of the kind that it measures"
_NOT_DONE = "the run ended in the middle of it"
_NOT_BEGUN = "the run ended before it began"


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What is to be measured, and with what.

    Attributes:
        shapes: The networks, in their order.
        systems: Who runs them, ours first.
        interpreters: Environment of a system to the Python that has its package.
        missing: Environment to what to do to get it, for those without an interpreter.
        machine: What it runs on, and how fast its own matrix products are.
        work: Folder that keeps checkpoints and what systems make of them.
        tokenizers: Folder with the tokenizers of BERT and XLM-RoBERTa; None lets another stand in.
        corpus: Folder with a corpus.jsonl; None takes the texts of Python's own documentation.
        rounds: Times that every system runs a workload, in turns.
        seconds: What one round is to cost our own system; the number of texts follows from it.
        threads: Threads of every system's matrix products.
        quick: Whether this is to show that it runs: few texts, nothing that takes minutes.
        log: Told what is being done.
        told: Sentences for the reader of the results that come up on the way; they are added to the notes.
    """

    shapes: Sequence[Shape]
    systems: Sequence[System]
    interpreters: Mapping[str, str]
    missing: Mapping[str, str]
    machine: Machine
    work: Path
    tokenizers: Path | None = None
    corpus: Path | None = None
    rounds: int = 3
    seconds: float = 5.0
    threads: int = 1
    quick: bool = False
    log: Callable[[str], None] = field(default=lambda line: None)
    told: list[str] = field(default_factory=list)

    def checkpoint(self, shape: Shape) -> Made:
        """Give the checkpoint of a shape, which is made if it is not there."""
        return make_checkpoint(shape, self.work / "checkpoints", self.tokenizers)

    def exports(self, shape: Shape) -> Path:
        """Give the folder that keeps what systems make of a checkpoint; another, or a newer one, has its own."""
        return self.work / "exports" / f"{shape.name}-{_digest(self.checkpoint(shape).folder)}"

    def texts(self, shape: Shape) -> Texts:
        """Give real texts, counted with the tokenizer of a shape."""
        return _texts(self.checkpoint(shape).folder / "tokenizer.json", self.corpus)

    def peak_gflops(self, shape: Shape, dtype: str = "float32") -> float | None:
        """Give the rate of the machine's own products of a shape's sizes; None if it was not measured."""
        return self.machine.peaks.get(f"{shape.name} {dtype}")

    def affordable_flops(self, shape: Shape, seconds: float | None = None) -> float:
        """Give the arithmetic that a round may cost: `seconds`, or the budget, at the measured fp32 peak."""
        peak = self.peak_gflops(shape) or 50.0
        return (self.seconds if seconds is None else seconds) * peak * 1e9


def run(bench: Bench, workloads: Sequence[str], *, command: str = "", out: Path | None = None) -> Results:
    """Run the workloads one after the other; one that fails is an absence, and the next one runs.

    Args:
        bench: What is to be measured.
        workloads: Names in `WORKLOADS`.
        command: What was asked for, to be kept with the results.
        out: File that is written again whenever something was found. Until the run ends, its absences name the
            workloads that are not done, so that an interrupted run leaves its part and says what is missing.
    """
    before = tuple(_notes(bench))
    results = Results(machine=bench.machine, measurements=(), notes=before, command=command)
    for place, name in enumerate(workloads):
        bench.log(f"workload {name}")
        _write(results, workloads[place:], out)
        for found in _found(bench, name):
            bench.log(f"  {_line(found)}")
            results = replace(_with(results, found), notes=tuple(dict.fromkeys((*before, *bench.told))))
            _write(results, workloads[place:], out)
    _write(results, (), out)
    return results


def _write(results: Results, left: Sequence[str], out: Path | None) -> None:
    """Write what was found, and as absences the workloads that are left, of which the first has begun."""
    if out is None:
        return
    reasons = (_NOT_DONE, *[_NOT_BEGUN] * len(left))
    missing = [
        Absence(workload=name, shape="all", system="all", reason=reason)
        for name, reason in zip(left, reasons, strict=False)
    ]
    replace(results, absences=(*results.absences, *missing)).write(out)


def _with(results: Results, found: Measurement | Absence) -> Results:
    if isinstance(found, Measurement):
        return replace(results, measurements=(*results.measurements, found))
    return replace(results, absences=(*results.absences, found))


def _line(found: Measurement | Absence) -> str:
    what = f"{found.workload}, {found.shape}, {found.system}"
    if isinstance(found, Absence):
        return f"{what}: not measured: {found.reason}"
    return f"{what}: {found.median_s:.3g} s"


@lru_cache(maxsize=4)
def _texts(tokenizer: Path, corpus: Path | None) -> Texts:
    return Texts.read(tokenizer, corpus)


def _digest(checkpoint: Path) -> str:
    """Tell a checkpoint from others, and from itself before it was made again, without reading its weights."""
    told = [str(checkpoint.absolute())]
    for path in (checkpoint / name for name in _TELLING if (checkpoint / name).is_file()):
        found = path.stat()
        told.append(f"{path.name} {found.st_size} {found.st_mtime_ns}")
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:_DIGITS]


def _found(bench: Bench, name: str) -> Iterator[Measurement | Absence]:
    nothing = True
    try:
        for one in measurer(name)(bench):
            nothing = False
            yield one
        if nothing:
            shapes = ", ".join(shape.name for shape in bench.shapes)
            yield Absence(workload=name, shape="all", system="all", reason=f"{_NOTHING_TO_DO}: {shapes}")
    except Exception as error:  # the end of a piece of work: what it found is kept, and the next one runs
        yield Absence(workload=name, shape="all", system="all", reason=f"{type(error).__name__}: {error}")


def _notes(bench: Bench) -> Iterator[str]:
    for shape in bench.shapes:
        yield from bench.checkpoint(shape).notes
    random = [shape.name for shape in bench.shapes if not shape.real]
    if random:
        yield f"{', '.join(random)}: the true shape with random weights; speed does not depend on them, quality does."
    yield from (f"{system.name}: {system.note}." for system in bench.systems if system.note)
    if bench.shapes:
        yield f"All texts are cut from {bench.texts(bench.shapes[0]).source}."
