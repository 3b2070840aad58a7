"""Callers that each send one text at a time, 1 to 32 of them, through every door of this package and of peers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from statistics import median

from ...encoders import Encoder
from ..records import OURS, Absence, Measurement
from ..shapes import Shape
from ..stopwatch import percentile
from ..suite import Bench
from .adapters import adapter_costs
from .doors import BARE, BULK, Way, bare_way, bulk_way, encoder_ways, framework_ways
from .frameworks import frameworks
from .online_peers import peers_at_work
from .ours import embedders, form_of, in_turns, named_ours, our_pool, plain_encoder
from .traffic import Traffic

CALLERS = (1, 8, 32)
QUERIES, PASSAGES = 512, 64
"""Different texts of either kind, some 6,000 tokens; callers take them in turn, over and over."""

_WARM_UP_S = 0.2
_LONGEST_S = 2.0

Found = Mapping[tuple[str, int], Sequence[Traffic]]
"""System and number of callers to the traffic of every round."""


@dataclass(frozen=True, kw_only=True)
class Asking:
    """One kind of texts, and how they are asked for.

    Attributes:
        kind: "queries" or "passages".
        shape: The network.
        texts: What callers send.
        lengths: Their tokens.
        form: The number format in which this package computes.
        ways: System to what lets callers use it.
    """

    kind: str
    shape: Shape
    texts: Sequence[str]
    lengths: tuple[int, ...]
    form: str
    ways: Mapping[str, Way]

    @property
    def bulk(self) -> str:
        """The name of all texts in one call."""
        return named_ours(BULK, self.form)

    @property
    def bare(self) -> str:
        """The name of forward passes with nothing around them."""
        return named_ours(BARE, self.form)


def measure(bench: Bench) -> Iterator[Measurement | Absence]:
    """Measure latency and rate for queries and for passages, then what the frameworks' classes cost in a batch."""
    for shape in embedders(bench.shapes, quick=bench.quick):
        yield from _of(bench, shape)


def _of(bench: Bench, shape: Shape) -> Iterator[Measurement | Absence]:
    texts, folder = bench.texts(shape), bench.checkpoint(shape).folder
    sent = {"queries": texts.queries(QUERIES), "passages": texts.passages(PASSAGES)}
    with ExitStack() as stack:
        encoder = plain_encoder(folder, stack.enter_context(our_pool(bench.threads)))
        form = form_of(encoder)
        classes, missing = frameworks(folder, encoder.pool)
        for name, reason in missing.items():
            yield Absence(workload="online", shape=shape.name, system=named_ours(name, form), reason=reason)
        peers = stack.enter_context(peers_at_work(bench, shape, sent))
        for kind, some in sent.items():
            ours = encoder_ways(encoder, some)
            ours |= framework_ways(classes, some) if kind == "queries" else {}
            asking = Asking(
                kind=kind,
                shape=shape,
                texts=some,
                lengths=texts.lengths(some, shape.max_tokens),
                form=form,
                ways={**{named_ours(name, form): way for name, way in ours.items()}, **peers.ways(kind)},
            )
            yield from asked(asking, encoder, rounds=bench.rounds, seconds=min(_LONGEST_S, bench.seconds))
        yield from peers.absences
        yield from adapter_costs(encoder, classes, shape, texts, rounds=bench.rounds)


def asked(asking: Asking, encoder: Encoder, *, rounds: int, seconds: float) -> Iterator[Measurement]:
    """Let every number of callers use every way, in turns with a bulk and bare forward passes of the same texts."""
    with encoder.pool.lease(encoder.source) as lease:
        bare = bare_way(lease.residents[0].model, asking.texts, asking.shape.max_tokens)
        bulk = bulk_way(encoder, asking.texts)
        cells: dict[tuple[str, int], Way] = {(asking.bulk, 1): bulk, (asking.bare, 1): bare}
        cells |= {(name, callers): way for callers in CALLERS for name, way in asking.ways.items()}
        for (_, callers), way in cells.items():
            way(callers, _WARM_UP_S)
        jobs: dict[tuple[str, int], Callable[[], Traffic | None]] = {
            (name, callers): partial(way, callers, seconds) for (name, callers), way in cells.items()
        }
        found = in_turns(jobs, rounds)
    for name, callers in found:
        yield _measurement(asking, name, callers, found)


def _measurement(asking: Asking, system: str, callers: int, found: Found) -> Measurement:
    """Make one measurement; its seconds are those of all texts once, at the rate of each round."""
    rounds, lengths = found[system, callers], asking.lengths
    rates = [one.tokens_per_s(lengths) for one in rounds]
    return Measurement(
        workload=f"online {asking.kind}, bulk"
        if system == asking.bulk
        else f"online {asking.kind}, {callers} at a time",
        shape=asking.shape.name,
        system=system,
        seconds=tuple(sum(lengths) / rate for rate in rates),
        texts=len(lengths),
        tokens=sum(lengths),
        flops=asking.shape.flops(lengths),
        numbers={
            "callers": callers,
            "texts_per_s": median(rates) * len(lengths) / sum(lengths),
            **({} if system == asking.bulk else _waited(rounds)),
            **_compared(asking, system, callers, found),
        },
    )


def _waited(rounds: Sequence[Traffic]) -> dict[str, float]:
    """Give percentiles over the calls of all rounds."""
    waited = [latency for one in rounds for latency in one.latencies_s]
    return {f"p{percent}_ms": 1000 * percentile(waited, percent) for percent in (50, 99)}


def _compared(asking: Asking, system: str, callers: int, found: Found) -> dict[str, float]:
    """Give what a caller pays above the bare forward pass, and the rate as a share of the bulk's."""
    if not system.startswith(OURS) or system in (asking.bulk, asking.bare):
        return {}
    bulk = _rate(found[asking.bulk, 1], asking.lengths)
    shares = {"of_bulk_percent": 100 * _rate(found[system, callers], asking.lengths) / bulk}
    if callers > 1:
        return shares
    return {**shares, "over_bare_ms": _over_ms(found[system, 1], found[asking.bare, 1], len(asking.texts))}


def _over_ms(rounds: Sequence[Traffic], bare: Sequence[Traffic], count: int) -> float:
    """Give what a call waits beyond the bare pass of the same text: the median over texts.

    A quicker way comes to more texts in its time, longer ones perhaps, so medians over all calls do not compare.
    """
    waited, passes = _by_text(rounds, count), _by_text(bare, count)
    return 1000 * median(
        median(waited[text]) - median(passes[text]) for text in waited.keys() & passes.keys()
    )


def _by_text(rounds: Sequence[Traffic], count: int) -> dict[int, list[float]]:
    """Sort the latencies of a single caller, who asks for so many texts in turn, by text."""
    waited: dict[int, list[float]] = defaultdict(list)
    for one in rounds:
        for number, latency in enumerate(one.latencies_s):
            waited[number % count].append(latency)
    return waited


def _rate(rounds: Sequence[Traffic], lengths: Sequence[int]) -> float:
    return median(one.tokens_per_s(lengths) for one in rounds)
