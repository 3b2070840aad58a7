"""One query against a hundred passages of mixed lengths, as after a first search."""

from __future__ import annotations

from collections.abc import Iterator

from ..contest import Contest
from ..contestants import Work
from ..records import Absence, Measurement
from ..shapes import Shape
from ..suite import Bench

_PASSAGES = 100
_PASSAGES_QUICK = 10


def measure(bench: Bench) -> Iterator[Measurement | Absence]:
    """Run all rerankers."""
    for shape in bench.shapes:
        if shape.task == "rerank":
            yield from Contest(bench, shape, [work(bench, shape)]).run()


def work(bench: Bench, shape: Shape) -> Work:
    """Give the query and its passages."""
    texts = bench.texts(shape)
    (query,) = texts.queries(1)
    passages = texts.passages(_PASSAGES_QUICK if bench.quick else _PASSAGES)
    lengths = texts.pair_lengths(query, passages, shape.max_tokens)
    return Work(name=f"rerank 1 x {len(passages)}", texts=passages, lengths=lengths, query=query)
