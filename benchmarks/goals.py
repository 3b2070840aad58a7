"""What the package is meant to reach, and what a run says of it: data and how each number is found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bge_components.bench.records import Measurement, fastest_exact_peer
from bge_components.bench.report import cells

Verdict = Literal["reached", "NOT reached", "not measured"]


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One number that is aimed at.

    Attributes:
        says: The goal, in words, with its number.
        found: The values that a run has for it, each with what it is of.
        bound: The number.
        at_least: Whether it is to be at least the bound; else at most.
        unit: Written behind values.
        of: Whether the worst of the values decides, or the best: of settings that a user may choose.
    """

    says: str
    found: Callable[[Sequence[Measurement]], Iterator[tuple[str, float]]]
    bound: float
    at_least: bool = False
    unit: str = ""
    of: Literal["worst", "best"] = "worst"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run says of a goal.

    Attributes:
        says: The goal.
        reached: The value that decides, and of what; a dash where there is none.
        verdict: Whether it reaches the goal.
    """

    says: str
    reached: str
    verdict: Verdict


def outcomes(measurements: Sequence[Measurement]) -> list[Outcome]:
    """Hold a run against every goal."""
    return [_outcome(goal, measurements) for goal in GOALS]


def _outcome(goal: Goal, measurements: Sequence[Measurement]) -> Outcome:
    values = list(goal.found(measurements))
    if not values:
        return Outcome(says=goal.says, reached="–", verdict="not measured")
    lowest = goal.at_least == (goal.of == "worst")
    name, value = (min if lowest else max)(values, key=lambda one: one[1])
    well = value >= goal.bound if goal.at_least else value <= goal.bound
    told = f"{value:.2f}{goal.unit} ({name}; the {goal.of} of {len(values)})"
    return Outcome(says=goal.says, reached=told, verdict="reached" if well else "NOT reached")


def _over_peers(*beginnings: str) -> Callable[[Sequence[Measurement]], Iterator[tuple[str, float]]]:
    """Give, per workload and shape, how many times as fast our fastest exact way is as the fastest exact peer."""

    def found(measurements: Sequence[Measurement]) -> Iterator[tuple[str, float]]:
        for cell in cells([one for one in measurements if one.workload.startswith(beginnings)]):
            peer = fastest_exact_peer(cell)
            ours = [one.median_s for one in cell if one.ours and one.exact]
            if peer and ours:
                yield f"{cell[0].workload}, {cell[0].shape}", peer.median_s / min(ours)

    return found


def _number(
    name: str, *, workload: str, system: str = ""
) -> Callable[[Sequence[Measurement]], Iterator[tuple[str, float]]]:
    """Give a number of every measurement of ours whose workload begins so and whose system contains so."""

    def found(measurements: Sequence[Measurement]) -> Iterator[tuple[str, float]]:
        for one in measurements:
            if (
                one.ours
                and one.workload.startswith(workload)
                and system in one.system
                and name in one.numbers
            ):
                yield f"{one.workload}, {one.shape}, {one.system}", one.numbers[name]

    return found


def _at_32(measurements: Sequence[Measurement]) -> Iterator[tuple[str, float]]:
    some = [one for one in measurements if one.numbers.get("callers") == 32]
    return _number("of_bulk_percent", workload="online")(some)


def _waits(measurements: Sequence[Measurement]) -> Iterator[tuple[str, float]]:
    for one in measurements:
        if "allowed_p99_ms" in one.numbers:
            yield one.shape, one.numbers["p99_ms"] / one.numbers["allowed_p99_ms"]


def _grows(
    value: Callable[[Measurement], float],
) -> Callable[[Sequence[Measurement]], Iterator[tuple[str, float]]]:
    """Give the value at the most texts as a multiple of that at 10,000."""

    def found(measurements: Sequence[Measurement]) -> Iterator[tuple[str, float]]:
        grown = {one.texts: value(one) for one in measurements if one.workload.startswith("growth")}
        if 10_000 in grown and max(grown) > 10_000:
            yield f"{max(grown):,} texts", grown[max(grown)] / grown[10_000]

    return found


GOALS = (
    Goal(
        says="bulk: at least as fast as the fastest exact peer",
        found=_over_peers("bulk", "rerank"),
        bound=1.0,
        at_least=True,
        unit=" times as fast",
    ),
    Goal(
        says="online: 32 callers get at least 90 % of the bulk rate",
        found=_at_32,
        bound=90,
        at_least=True,
        unit=" %",
    ),
    Goal(
        says="online: one call costs at most 1 ms above the bare forward pass",
        found=_number("over_bare_ms", workload="online", system="bge_components threads"),
        bound=1.0,
        unit=" ms",
    ),
    Goal(
        says="adapters: a batch of 64 costs at most 5 % more than through the encoder",
        found=_number("over_encoder_percent", workload="adapters"),
        bound=5.0,
        unit=" %",
    ),
    Goal(
        says="mixed: queries beside a bulk wait at most 3 times their p99 without it, and one batch (p99)",
        found=_waits,
        bound=1.0,
        unit=" of what is allowed",
    ),
    Goal(
        says="growth: tokens per second at 100,000 texts are at least 95 % of those at 10,000",
        found=_grows(lambda one: one.tokens_per_s),
        bound=0.95,
        at_least=True,
        unit=" of the rate",
    ),
    Goal(
        says="growth: memory without the result at 100,000 texts is at most 105 % of that at 10,000",
        found=_grows(lambda one: one.numbers["without_result_mb"]),
        bound=1.05,
        unit=" of the memory",
    ),
    Goal(
        says="GPU: bge-base in bf16 computes 1,800,000 tokens/s at 512 tokens",
        found=_number("million_tokens_per_s", workload="gpu bulk, 512 tokens", system="tokens at once"),
        of="best",
        bound=1.8,
        at_least=True,
        unit=" million tokens/s",
    ),
    Goal(
        says="GPU: bge-base in bf16 computes 1,500,000 tokens/s at 50 tokens",
        found=_number("million_tokens_per_s", workload="gpu bulk, 50 tokens", system="tokens at once"),
        of="best",
        bound=1.5,
        at_least=True,
        unit=" million tokens/s",
    ),
)
