"""What a goal is, and what a run says of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from bge_components.bench.records import Results

from .values import Found, Value

Verdict = Literal["reached", "reached so far", "NOT reached", "not measured"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
Processor = Literal["any", "with bf16", "without bf16"]

_BF16 = frozenset({"amx_bf16", "avx512_bf16"})


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
        on: The processors that it is set for; on others it is not judged.
        shapes: The networks that it is about; before all are measured it is reached so far, not reached. Empty
            means whatever was measured.
    """

    says: str
    found: Found
    bound: float
    at_least: bool = False
    unit: str = ""
    of: Literal["worst", "best"] = "worst"
    on: Processor = "any"
    shapes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a run says of a goal.

    Attributes:
        says: The goal.
        reached: The value that decides, and of what; a dash where there is none.
        verdict: Whether it reaches the goal; "reached so far" if some of its networks are not measured.
    """

    says: str
    reached: str
    verdict: Verdict


def outcome(goal: Goal, results: Results) -> Outcome:
    """Hold a run against a goal; speed of what is not exact reaches none."""
    if goal.on not in ("any", _processor(results)):
        return Outcome(says=goal.says, reached=f"– ({_processor(results)})", verdict="not measured")
    found = list(goal.found(results))
    if not found:
        return Outcome(says=goal.says, reached="–", verdict="not measured")
    values = [value for value in found if value.exact]
    if not values:
        return Outcome(says=goal.says, reached=f"– (none of {len(found)} is exact)", verdict="NOT reached")
    lowest = goal.at_least == (goal.of == "worst")
    one = (min if lowest else max)(values, key=lambda value: value.number)
    told = f"{one.number:.2f}{goal.unit} ({one.of}; the {goal.of} of {len(values)})"
    measured = {value.shape for value in values} & set(goal.shapes)
    if len(measured) < len(goal.shapes):
        told += f"; {len(measured)} of {len(goal.shapes)} networks measured"
    return Outcome(
        says=goal.says, reached=told, verdict=_verdict(goal, one, whole=len(measured) == len(goal.shapes))
    )


def _verdict(goal: Goal, value: Value, *, whole: bool) -> Verdict:
    well = value.number >= goal.bound if goal.at_least else value.number <= goal.bound
    if not well:
        return "NOT reached"
    return "reached" if whole else "reached so far"


def _processor(results: Results) -> Processor:
    sets = results.machine.facts.get("instruction sets", "").split()
    return "with bf16" if _BF16.intersection(sets) else "without bf16"
