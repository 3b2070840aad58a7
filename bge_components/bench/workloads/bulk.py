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
"""Below that there is too little to sort by length: systems that pad would seem slower than they are."""
_FEWEST_QUICK = 8
_SHORTEST_LONG = 512
_LONG_BUDGETS = 2.0
"""Budgets of time that long documents may cost: few of them cost much."""


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
    return Work(name=name, texts=found[:count], lengths=lengths[:count])


def _long(bench: Bench, shape: Shape, texts: Texts) -> Work:
    found = texts.of_lengths(long_lengths(shape, _LONG_BUDGETS * bench.affordable_flops(shape)))
    lengths = texts.lengths(found, shape.max_tokens)
    return Work(name="bulk long documents", texts=found, lengths=lengths)


def long_lengths(shape: Shape, budget: float) -> list[int]:
    """Give lengths that cost `budget`: the longest that takes half of it, then shorter ones in turn, down to 512.

    A shape that reads no more than 512 tokens gets documents of that length only.
    """
    ladder = [shape.max_tokens]
    while ladder[-1] >= 2 * _SHORTEST_LONG:
        ladder.append(ladder[-1] // 2)
    steps = [length for length in ladder if shape.flops([length]) <= budget / 2] or ladder[-1:]
    found: list[int] = []
    spent = 0.0
    while not found or spent < budget:
        found.append(steps[len(found) % len(steps)])
        spent = shape.flops(found)
    return found
