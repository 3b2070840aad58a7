"""What the further outputs of BGE-M3 cost: dense alone, with sparse, with sparse and token vectors."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from statistics import median

from ..records import Absence, Measurement
from ..shapes import Shape
from ..suite import Bench
from .ours import affordable, form_of, in_turns, named_ours, our_pool, plain_encoder, seconds_of

WORKLOAD = "outputs"
OUTPUTS = (("dense",), ("dense", "sparse"), ("dense", "sparse", "multi"))
MOST_TEXTS = 100
WARM_UP_TEXTS = 4


def measure(bench: Bench) -> Iterator[Measurement | Absence]:
    """Encode passages with every set of outputs in turns, down to the finished arrays."""
    for shape in bench.shapes:
        if shape.m3:
            yield from _of(bench, shape)


def _of(bench: Bench, shape: Shape) -> Iterator[Measurement]:
    texts = bench.texts(shape)
    passages = texts.passages(MOST_TEXTS)
    lengths = texts.lengths(passages, shape.max_tokens)
    count = affordable(shape, lengths, bench.affordable_flops(shape))
    passages, lengths = passages[:count], lengths[:count]
    with our_pool(bench.threads) as pool:
        encoder = plain_encoder(bench.checkpoint(shape).folder, pool)
        encoder.encode(passages[:WARM_UP_TEXTS], outputs=OUTPUTS[-1])
        jobs = {
            outputs: partial(seconds_of, partial(encoder.encode, passages, outputs=outputs))
            for outputs in OUTPUTS
        }
        form = form_of(encoder)
        seconds = in_turns(jobs, bench.rounds)
    dense = median(seconds[OUTPUTS[0]])
    for outputs, found in seconds.items():
        yield Measurement(
            workload=WORKLOAD,
            shape=shape.name,
            system=named_ours(" + ".join(outputs), form),
            seconds=tuple(found),
            texts=count,
            tokens=sum(lengths),
            flops=shape.flops(lengths, outputs),
            numbers={"over_dense_percent": 100 * (median(found) / dense - 1)},
        )
