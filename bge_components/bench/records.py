"""What a benchmark finds out, as plain records that travel as JSON. Nothing here measures or prints."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from ..errors import InputError

FORMAT = 1
OURS = "bge_components"
_SAME = ("processor", "cores", "threads", "device", "ONEDNN_MAX_CPU_ISA", "torch", OURS)
"""Facts in which runs that are put together agree: the machine's, and the versions."""
_HELD_TO_A_REFERENCE = ("bulk", "rerank", "gpu")
_EVERY = "all"
"""The shape of an absence that is about every one."""
EXACT_ENOUGH = 0.999
"""Lowest cosine to the fp32 reference at which a system is compared for speed with the exact ones."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One system on one workload.

    Attributes:
        workload: Name of the workload ("bulk passages", "rerank 1 x 100", ...).
        shape: The network ("bge-base", ...).
        system: What ran it; ours begin with "bge_components" ("bge_components bf16", "sentence-transformers fp32").
        seconds: One time per round, rounds of all systems interleaved.
        texts: Texts in one round.
        tokens: Their real tokens, special tokens included, without padding.
        flops: Arithmetic that these tokens need without padding, in floating point operations; 0 if not known.
        lowest_cosine: Lowest cosine of a vector to the fp32 reference; for rerankers 1 minus the largest difference
            of a sigmoid score. None where nothing was compared.
        reference: Whether the others of its workload and shape were compared with it.
        numbers: Whatever else was measured, by a name that ends in its unit ("p99_ms", "peak_mb", "callers").
    """

    workload: str
    shape: str
    system: str
    seconds: tuple[float, ...]
    texts: int
    tokens: int
    flops: float = 0.0
    lowest_cosine: float | None = None
    reference: bool = False
    numbers: Mapping[str, float] = field(default_factory=dict)

    @property
    def median_s(self) -> float:
        """Median of the rounds, in seconds."""
        return median(self.seconds)

    @property
    def ours(self) -> bool:
        """Whether it is this package."""
        return self.system.startswith(OURS)

    @property
    def exact(self) -> bool:
        """Whether its numbers are those of the reference, as far as the workload compares them.

        The reference is. In workloads that begin with "bulk", "rerank" or "gpu" what else was not compared is not
        exact. A system in int8 never is, whatever its cosine: random weights have none of the outliers that make
        int8 lose.
        """
        if "int8" in self.system:
            return False
        if self.reference:
            return True
        if self.lowest_cosine is None:
            return not self.workload.startswith(_HELD_TO_A_REFERENCE)
        return self.lowest_cosine >= EXACT_ENOUGH

    @property
    def tokens_per_s(self) -> float:
        """Real tokens per second."""
        return self.tokens / self.median_s

    @property
    def gflops(self) -> float:
        """Useful arithmetic, in 10^9 floating point operations per second."""
        return self.flops / self.median_s / 1e9


@dataclass(frozen=True, kw_only=True)
class Absence:
    """A system that was not measured, and why: not installed, refused the checkpoint, crashed."""

    workload: str
    shape: str
    system: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What the numbers were measured on.

    Attributes:
        facts: Processor, cores, instruction sets, memory, system, versions: name to text, in reading order.
        peaks: The machine's own matrix products, in GFLOP/s: "<shape> <dtype>" ("bge-base float32") to the rate over
            the four products of one layer of that network, at the row counts of our batches.
    """

    facts: Mapping[str, str]
    peaks: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class Results:
    """A whole run.

    Attributes:
        machine: What it ran on.
        measurements: In the order they were made.
        absences: What could not be measured.
        notes: Sentences for the reader (which texts and tokenizers stood in for missing ones, ...).
        command: What was asked for.
    """

    machine: Machine
    measurements: Sequence[Measurement]
    absences: Sequence[Absence] = ()
    notes: Sequence[str] = ()
    command: str = ""

    def document(self) -> dict[str, Any]:
        """Give them as what JSON can hold."""
        return {"format": FORMAT, **asdict(self)}

    def write(self, path: Path) -> None:
        """Write them as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.document(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read what `write` wrote.

        Raises:
            InputError: If the file is not such a one.
        """
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if found.pop("format", None) != FORMAT:
                raise ValueError(f"its format is not {FORMAT}")
            return cls(
                machine=Machine(**found.pop("machine")),
                measurements=tuple(_measurement(one) for one in found.pop("measurements")),
                absences=tuple(Absence(**one) for one in found.pop("absences")),
                notes=tuple(found.pop("notes")),
                **found,
            )
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{path} holds no results of a benchmark: {error}") from error


def joined(runs: Sequence[Results]) -> Results:
    """Put runs of one machine together.

    What a later run measured of a workload and a shape replaces all that earlier ones have of these, systems that it
    left out too: times of different runs are not comparable. Of the machine's own products the fastest count: what
    else the machine does can only make them slower.

    Raises:
        InputError: If there is none, or if they ran on different machines or different versions.
    """
    if not runs:
        raise InputError("there are no results to put together")
    places = {tuple(run.machine.facts.get(fact) for fact in _SAME) for run in runs}
    if len(places) > 1:
        found = "; ".join(", ".join(map(str, place)) for place in sorted(places, key=str))
        raise InputError(
            "results of one machine, one torch and one version of this package can be put together, "
            f"these are of several: {found}; measure again what differs"
        )
    kept = [_kept(run, runs[place + 1 :]) for place, run in enumerate(runs)]
    measurements = tuple(one for some, _ in kept for one in some)
    measured = {(*_cell(one), one.system) for one in measurements}
    absences = dict.fromkeys(one for _, some in kept for one in some)
    return Results(
        machine=Machine(
            facts=runs[0].machine.facts,
            peaks={name: max(rates) for name, rates in _rates(runs).items()},
        ),
        measurements=measurements,
        absences=tuple(one for one in absences if (*_cell(one), one.system) not in measured),
        notes=tuple(dict.fromkeys(note for run in runs for note in run.notes)),
        command="; ".join(run.command for run in runs if run.command),
    )


def _rates(runs: Sequence[Results]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for run in runs:
        for name, rate in run.machine.peaks.items():
            found.setdefault(name, []).append(rate)
    return found


def _kept(run: Results, later: Sequence[Results]) -> tuple[list[Measurement], list[Absence]]:
    """Give what no later run measured again; an absence from a whole workload goes with any part of it."""
    again = {_cell(one) for other in later for one in other.measurements}
    return (
        [one for one in run.measurements if _cell(one) not in again],
        [one for one in run.absences if not any(_is_part(cell, one) for cell in again)],
    )


def _is_part(cell: tuple[str, str], whole: Absence) -> bool:
    workload, shape = cell
    return workload.startswith(whole.workload) and whole.shape in (shape, _EVERY)


def _cell(one: Measurement | Absence) -> tuple[str, str]:
    return one.workload, one.shape


def fastest_exact_peer(measurements: Sequence[Measurement]) -> Measurement | None:
    """Give the fastest system that is not ours and gives the reference's numbers; None if there is none."""
    peers = [one for one in measurements if not one.ours and one.exact]
    return min(peers, key=lambda one: one.median_s, default=None)


def _measurement(found: dict[str, Any]) -> Measurement:
    return Measurement(**{**found, "seconds": tuple(found["seconds"])})
