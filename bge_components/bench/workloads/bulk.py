"""Many texts at once: short queries, passages of mixed lengths, long documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..contest import Contest
from ..contestants import Work
from ..records import Absence, Measurement
from ..shapes import Shape
from ..suite import Bench
from ..texts import Texts

_MOST = 4000
"""Of so many texts no more are drawn."""
_FEWEST = {"bulk short queries": 256, "bulk passages": 128}
"""Below that there is too little to sort by length: systems that pad would seem slower than they are.

The sample that a slow system gets has as many.
"""
_FEWEST_QUICK = 8
_SHORTEST_LONG = 512
_LONG_BUDGETS = 2.0
"""Budgets of time that long documents may cost: few of them cost much."""
_LONGEST_S = 120.0
"""One text of the full length is run whatever the budget, unless the machine's own products alone take longer."""


def measure(bench: Bench) -> Iterator[Measurement | Absence]:
    """Run all embedders on the three sets of texts."""
    for shape in bench.shapes:
        if shape.task == "embed":
            yield from Contest(bench, shape, works(bench, shape)).run()


def works(bench: Bench, shape: Shape) -> list[Work]:
    """Give the three sets, each with as many texts as the budget of time allows."""
    texts = bench.texts(shape)
    return [
        _affordable(bench, shape, "bulk short queries", texts.queries),
        _affordable(bench, shape, "bulk passages", texts.passages),
        _long(bench, shape, texts),
    ]


def _affordable(bench: Bench, shape: Shape, name: str, first: Callable[[int], list[str]]) -> Work:
    """Take the first texts, as many as the budget allows."""
    count = _FEWEST_QUICK if bench.quick else _FEWEST[name]
    budget, texts = bench.affordable_flops(shape), bench.texts(shape)
    found = first(count)
    lengths = texts.lengths(found, shape.max_tokens)
    while shape.flops(lengths) < budget and len(found) < _MOST:
        found = first(2 * len(found))
        lengths = texts.lengths(found, shape.max_tokens)
    spent = shape.flops(lengths[:count])
    while count < len(lengths) and spent < budget:
        spent += shape.flops(lengths[count : count + 1])
        count += 1
    return Work(name=name, texts=found[:count], lengths=lengths[:count], fewest=_FEWEST[name])


def _long(bench: Bench, shape: Shape, texts: Texts) -> Work:
    budget = _LONG_BUDGETS * bench.affordable_flops(shape)
    longest = 0.0 if bench.quick else bench.affordable_flops(shape, _LONGEST_S)
    found = texts.of_lengths(long_lengths(shape, budget, longest))
    lengths = texts.lengths(found, shape.max_tokens)
    return Work(name="bulk long documents", texts=found, lengths=lengths)


def long_lengths(shape: Shape, budget: float, longest: float = 0.0) -> list[int]:
    """Give lengths of texts: one as long as the shape reads, then shorter ones in turn, down to 512.

    Args:
        shape: One that reads no more than 512 tokens gets documents of that length only.
        budget: Operations that they cost together; more, if the first one alone costs more.
        longest: Operations that one text may cost, or half the budget if that is more; longer ones are left out.
    """
    ladder = [shape.max_tokens]
    while ladder[-1] >= 2 * _SHORTEST_LONG:
        ladder.append(ladder[-1] // 2)
    most = max(longest, budget / 2)
    steps = [length for length in ladder if shape.flops([length]) <= most] or ladder[-1:]
    found = steps[:1]
    while shape.flops(found) < budget:
        found.append(steps[len(found) % len(steps)])
    return found
