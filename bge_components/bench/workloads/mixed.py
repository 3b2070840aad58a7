"""Queries that arrive while documents are taken in: what the queries wait, and what the documents lose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from statistics import median

from ...encoders import Encoder
from ..records import Absence, Measurement
from ..shapes import Shape
from ..stopwatch import percentile
from ..suite import Bench
from ..texts import Texts
from .frameworks import LANGCHAIN, frameworks
from .mixing import Documents, Mixing, Window
from .ours import affordable, embedders, form_of, in_turns, named_ours, our_pool, plain_encoder

QUERIES, BULK = "mixed, queries", "mixed, bulk"
ALONE, TOGETHER = "alone", "both at once"
QUERY_COUNT = 64
MOST_DOCUMENTS = 256
PATIENCE = 3
"""Times the 99th percentile of queries alone that they may take, one batch of the bulk put on top."""

_CALL_S = 1.0

Found = Mapping[tuple[str, str], Sequence[Window]]
"""Workload, and whether it was alone, to the windows of all rounds."""


def measure(bench: Bench) -> Iterator[Measurement | Absence]:
    """Measure queries alone, documents alone, and both at once, in turns."""
    for shape in embedders(bench.shapes, quick=bench.quick):
        folder, texts = bench.checkpoint(shape).folder, bench.texts(shape)
        passages = texts.passages(MOST_DOCUMENTS)
        count = affordable(shape, texts.lengths(passages), bench.affordable_flops(shape, _CALL_S))
        with our_pool(bench.threads) as pool:
            encoder = plain_encoder(folder, pool)
            classes, _ = frameworks(folder, pool)
            take_in = classes[LANGCHAIN].documents if LANGCHAIN in classes else encoder.encode
            yield from mixed(
                encoder,
                take_in,
                shape,
                texts,
                passages[:count],
                rounds=bench.rounds,
                seconds=2 * bench.seconds,
            )


def mixed(
    encoder: Encoder,
    take_in: Documents,
    shape: Shape,
    texts: Texts,
    documents: list[str],
    *,
    rounds: int,
    seconds: float,
) -> Iterator[Measurement]:
    """Measure one network; `take_in` embeds the documents, in the encoder's pool."""
    queries = texts.queries(QUERY_COUNT)
    lengths = texts.lengths(queries, shape.max_tokens)
    work = Mixing(encoder, take_in, queries, lengths, documents)
    jobs: dict[tuple[str, str], Callable[[], Window]] = {
        (QUERIES, ALONE): partial(work.window, seconds, asked=True, bulk=False),
        (BULK, ALONE): partial(work.window, seconds, asked=False, bulk=True),
        (QUERIES, TOGETHER): partial(work.window, seconds, asked=True, bulk=True),
    }
    found: dict[tuple[str, str], Sequence[Window]] = {**in_turns(jobs, rounds)}
    found[BULK, TOGETHER] = found[QUERIES, TOGETHER]
    form = form_of(encoder)
    for way in (ALONE, TOGETHER):
        yield _of_queries(shape, way, form, found, lengths, work.every_s)
    for way in (ALONE, TOGETHER):
        yield _of_bulk(shape, way, form, found)


def _of_queries(
    shape: Shape, way: str, form: str, found: Found, lengths: Sequence[int], every_s: float
) -> Measurement:
    """Make the measurement of queries; its seconds are the median wait of each round."""
    windows = found[QUERIES, way]
    numbers = {"p50_ms": _wait_ms(windows, 50), "p99_ms": _wait_ms(windows, 99), "every_ms": 1000 * every_s}
    if way == TOGETHER:
        batch_ms = 1000 * median(one.batch_s for one in found[BULK, ALONE])
        allowed = PATIENCE * _wait_ms(found[QUERIES, ALONE], 99) + batch_ms
        numbers |= {"batch_ms": batch_ms, "allowed_p99_ms": allowed}
    return Measurement(
        workload=QUERIES,
        shape=shape.name,
        system=named_ours(way, form),
        seconds=tuple(median(one.latencies_s) for one in windows),
        texts=1,
        tokens=round(sum(lengths) / len(lengths)),
        numbers=numbers,
    )


def _of_bulk(shape: Shape, way: str, form: str, found: Found) -> Measurement:
    """Make the measurement of documents; its seconds are those of as many tokens as the first window computed."""
    windows = found[BULK, way]
    tokens = windows[0].bulk_tokens
    if way == ALONE:
        numbers = {"batch_ms": 1000 * median(one.batch_s for one in windows)}
    else:  # passes of queries and of documents
        numbers = {"lost_percent": 100 * (1 - _rate(windows) / _rate(found[BULK, ALONE]))}
    return Measurement(
        workload=BULK,
        shape=shape.name,
        system=named_ours(way, form),
        seconds=tuple(tokens * one.elapsed_s / max(1, one.bulk_tokens) for one in windows),
        texts=0,
        tokens=tokens,
        numbers=numbers,
    )


def _wait_ms(windows: Sequence[Window], percent: float) -> float:
    waited = [latency for one in windows for latency in one.latencies_s]
    return 1000 * percentile(waited, percent)


def _rate(windows: Sequence[Window]) -> float:
    return median(one.bulk_tokens / one.elapsed_s for one in windows)
