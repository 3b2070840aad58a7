"""A hundred texts to a hundred thousand, each in a process of its own: whether speed and memory stay as they are."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from statistics import median

from ...catalogue import locate
from ..records import Absence, Measurement
from ..shapes import Shape, of_checkpoint
from ..suite import Bench
from ..texts import Texts
from .fresh import Finished, FreshProcessError, run_fresh
from .ours import in_turns, named_ours, short_form

WORKLOAD = "growth"
"""Begins the name of every measurement here; the number of texts follows."""
MODEL = "mini"
COUNTS = (100, 1_000, 10_000, 100_000)
MOST_OFTEN = 10_000
"""Texts up to which a number is measured in every round; more of them average by themselves."""
DIFFERENT_TEXTS = 2_000
LIMIT_S = 1_200.0

_CHILD = ("-m", f"{__package__}.growing")
_MB = 1e6


def measure(bench: Bench) -> Iterator[Measurement | Absence]:
    """Encode short texts in numbers that grow, and yield what each number took."""
    shape = of_checkpoint(MODEL)
    texts = Texts.read(locate(MODEL) / "tokenizer.json", bench.corpus)
    different = texts.queries(DIFFERENT_TEXTS)
    counts = [count for count in COUNTS if count <= MOST_OFTEN or not bench.quick]
    try:
        yield from grown(different, texts.lengths(different), shape, counts, bench)
    except FreshProcessError as error:
        yield Absence(workload=WORKLOAD, shape=shape.name, system=named_ours("bulk"), reason=str(error))


def grown(
    texts: list[str], lengths: Sequence[int], shape: Shape, counts: Sequence[int], bench: Bench
) -> Iterator[Measurement]:
    """Encode so many texts for each of `counts`, taken from `texts` in turn, over and over."""
    jobs = {
        count: partial(
            run_fresh,
            sys.executable,
            _CHILD,
            given={"model": MODEL, "texts": texts, "count": count},
            threads=bench.threads,
            limit_s=LIMIT_S,
        )
        for count in counts
    }
    often = {count: job for count, job in jobs.items() if count <= MOST_OFTEN}
    once = {count: job for count, job in jobs.items() if count > MOST_OFTEN}
    for count, found in {**in_turns(often, bench.rounds), **in_turns(once, 1)}.items():
        rounds, rest = divmod(count, len(texts))
        flops = rounds * shape.flops(lengths) + shape.flops(lengths[:rest])
        yield _measurement(count, found, shape, flops)


def _measurement(count: int, found: Sequence[Finished], shape: Shape, flops: float) -> Measurement:
    def middle(name: str) -> float:
        return median(float(one.said[name]) for one in found)

    seconds = tuple(float(one.said["seconds"]) for one in found)
    return Measurement(
        workload=f"{WORKLOAD}, {count:,} texts",
        shape=shape.name,
        system=named_ours("bulk", short_form(found[0].said["dtype"])),
        seconds=seconds,
        texts=count,
        tokens=int(middle("tokens")),
        flops=flops,
        numbers={
            "peak_mb": middle("peak_bytes") / _MB,
            "result_mb": middle("result_bytes") / _MB,
            "without_result_mb": (middle("peak_bytes") - middle("result_bytes")) / _MB,
            "before_mb": middle("before_bytes") / _MB,
            "tokenising_s": middle("tokenising_s"),
            "computing_s": middle("computing_s"),
            "tokenising_percent": 100 * middle("tokenising_s") / median(seconds),
        },
    )
