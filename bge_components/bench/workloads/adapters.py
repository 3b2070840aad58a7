"""What the classes of LangChain and LlamaIndex add to the encoder below them, for a batch of documents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from statistics import median

from ...encoders import Encoder
from ..records import Measurement
from ..shapes import Shape
from ..stopwatch import interleaved
from ..texts import Texts
from .frameworks import BATCH, Asked
from .ours import form_of, named_ours, seconds_of

WORKLOAD = f"adapters, {BATCH} documents"
ENCODER = "encoder"
LEAST_ROUNDS = 9
"""The difference is small beside the time, so it is taken often."""


def adapter_costs(
    encoder: Encoder, found: Mapping[str, Asked], shape: Shape, texts: Texts, *, rounds: int
) -> Iterator[Measurement]:
    """Embed the same documents through the encoder and through each class, in turns."""
    documents = texts.queries(BATCH)
    lengths = texts.lengths(documents, shape.max_tokens)
    jobs: dict[str, Callable[[], float]] = {
        ENCODER: partial(seconds_of, lambda: encoder.encode(documents)),
        **{name: partial(seconds_of, partial(one.documents, documents)) for name, one in found.items()},
    }
    for job in jobs.values():
        job()
    seconds = interleaved(jobs, max(rounds, LEAST_ROUNDS))
    form = form_of(encoder)
    for name, taken in seconds.items():
        over = median(one / plain for one, plain in zip(taken, seconds[ENCODER])) - 1
        yield Measurement(
            workload=WORKLOAD,
            shape=shape.name,
            system=named_ours(name, form),
            seconds=taken,
            texts=BATCH,
            tokens=sum(lengths),
            flops=shape.flops(lengths),
            numbers={"over_encoder_percent": 100 * over},
        )
