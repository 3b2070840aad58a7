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
_SAME_MACHINE = ("processor", "cores", "threads")
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
        """Whether its numbers are those of the reference, as far as it was compared."""
        return self.lowest_cosine is None or self.lowest_cosine >= EXACT_ENOUGH

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

    def write(self, path: Path) -> None:
        """Write them as JSON."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"format": FORMAT, **asdict(self)}, indent=1) + "\n", encoding="utf-8")

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
    """Put runs together that measured different things on one machine; a later finding replaces an equal-named one.

    Raises:
        InputError: If there is none, or if they ran on different machines.
    """
    if not runs:
        raise InputError("there are no results to put together")
    places = {tuple(run.machine.facts.get(fact) for fact in _SAME_MACHINE) for run in runs}
    if len(places) > 1:
        found = "; ".join(", ".join(map(str, place)) for place in sorted(places, key=str))
        raise InputError(f"results of one machine can be put together, these are of several: {found}")
    measurements = {_cell(one): one for run in runs for one in run.measurements}
    absences = {_cell(one): one for run in runs for one in run.absences}
    return Results(
        machine=Machine(
            facts=runs[0].machine.facts,
            peaks={name: rate for run in runs for name, rate in run.machine.peaks.items()},
        ),
        measurements=tuple(measurements.values()),
        absences=tuple(one for cell, one in absences.items() if cell not in measurements),
        notes=tuple(dict.fromkeys(note for run in runs for note in run.notes)),
        command="; ".join(run.command for run in runs if run.command),
    )


def _cell(one: Measurement | Absence) -> tuple[str, str, str]:
    return one.workload, one.shape, one.system


def fastest_exact_peer(measurements: Sequence[Measurement]) -> Measurement | None:
    """Give the fastest system that is not ours and gives the reference's numbers; None if there is none."""
    peers = [one for one in measurements if not one.ours and one.exact]
    return min(peers, key=lambda one: one.median_s, default=None)


def _measurement(found: dict[str, Any]) -> Measurement:
    return Measurement(**{**found, "seconds": tuple(found["seconds"])})
