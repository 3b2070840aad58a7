"""The ways in which callers reach this package, each as something that lets so many of them work for so long."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...contracts import Model, Output, TokenSequence
from ...encoders import Encoder
from .frameworks import Asked
from .traffic import Ask, AskAsync, Traffic, by_tasks, by_threads

Way = Callable[[int, float], "Traffic | None"]
"""Lets so many callers work for so many seconds; None if what they call does not work."""

BULK, BARE = "bulk", "bare forward pass"
THREADS, ASYNCIO = "threads", "asyncio"


def encoder_ways(encoder: Encoder, texts: Sequence[str]) -> dict[str, Way]:
    """Give the two ways to call an encoder, by name: from threads that block, and from tasks that await."""
    return {
        THREADS: _threads(lambda text: encoder.encode([text], "query"), texts),
        ASYNCIO: _tasks(lambda text: encoder.aencode([text], "query"), texts),
    }


def framework_ways(found: Mapping[str, Asked], texts: Sequence[str]) -> dict[str, Way]:
    """Give the two ways to call the class of each framework."""
    made: dict[str, Way] = {}
    for name, asked in found.items():
        made[f"{name} {THREADS}"] = _threads(asked.query, texts)
        made[f"{name} {ASYNCIO}"] = _tasks(asked.aquery, texts)
    return made


def bulk_way(encoder: Encoder, texts: Sequence[str]) -> Way:
    """Give the way of one caller that has all texts at once; its time is shared out among them.

    The texts have to differ: equal ones of one call are computed once.
    """
    many = list(texts)

    def work(callers: int, seconds: float) -> Traffic:
        calls = by_threads(lambda _: encoder.encode(many), [""], callers=1, seconds=seconds)
        each = [latency / len(many) for latency in calls.latencies_s for _ in many]
        return Traffic(latencies_s=tuple(each), elapsed_s=calls.elapsed_s)

    return work


def bare_way(model: Model, texts: Sequence[str], max_tokens: int) -> Way:
    """Give forward passes of one text each, tokenised before, with nothing around them."""
    ids, _ = model.tokenizer.encode(list(texts), max_tokens)
    sequences = dict(zip(texts, (TokenSequence(row, frozenset({Output.DENSE})) for row in ids)))
    return lambda callers, seconds: by_threads(
        lambda text: model.run([sequences[text]]), texts, callers=1, seconds=seconds
    )


def _threads(ask: Ask, texts: Sequence[str]) -> Way:
    return lambda callers, seconds: by_threads(ask, texts, callers=callers, seconds=seconds)


def _tasks(ask: AskAsync, texts: Sequence[str]) -> Way:
    return lambda callers, seconds: by_tasks(ask, texts, callers=callers, seconds=seconds)
