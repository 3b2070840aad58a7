"""Where the values of goals are found in a run: each function gives one that yields them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from bge_components.bench.records import Measurement, Results, fastest_exact_peer
from bge_components.bench.report import cells, peak_share
from bge_components.bench.shapes import SHAPES


@dataclass(frozen=True, kw_only=True)
class Value:
    """A number that a goal is about.

    Attributes:
        of: What it was measured of, in words.
        shape: The network.
        number: The number itself.
        exact: Whether what gave it gives the numbers of the reference too, as far as they are compared.
    """

    of: str
    shape: str
    number: float
    exact: bool = True


Found = Callable[[Results], Iterator[Value]]


def over_peers(*workloads: str, shapes: str = "", peer: str = "") -> Found:
    """Give, per workload and shape, how many times as fast our fastest exact way is as a peer.

    Args:
        workloads: Beginnings of their names.
        shapes: Pattern of the names of shapes; empty means every one.
        peer: Beginning of the peer's name; empty means the fastest exact one.
    """

    def found(results: Results) -> Iterator[Value]:
        for cell in cells(_of(results, *workloads, shapes=shapes)):
            named = [one for one in cell if not one.ours and one.system.startswith(peer)]
            rival = (
                min(named, key=lambda one: one.median_s, default=None) if peer else fastest_exact_peer(cell)
            )
            ours = [one for one in cell if one.ours and one.exact]
            if rival and ours:
                best = min(ours, key=lambda one: one.median_s)
                yield _beside(best, rival, rival.median_s / best.median_s)

    return found


def peak_percent(workload: str, shape: str, form: str) -> Found:
    """Give the share of the machine's own products that ours reaches in a number format ("bf16").

    The network has to be one of `SHAPES` that gives [CLS] vectors or scores: arithmetic that they do not depend on,
    which ours leaves out, is not counted.
    """

    def found(results: Results) -> Iterator[Value]:
        for one in _of(results, workload, shapes=shape):
            unread = SHAPES[shape].unread_flops(one.flops, one.tokens, one.texts)
            share = peak_share(replace(one, flops=one.flops - unread), results.machine) if one.flops else None
            if one.ours and form in one.system and share is not None:
                yield _value(one, 100 * share)

    return found


def number(name: str, *, workload: str, system: str = "", shapes: str = "", callers: int = 0) -> Found:
    """Give a number of measurements of ours.

    Args:
        name: Of the number.
        workload: Beginning of its name.
        system: Pattern that the whole of the system's name follows behind ours; empty means every one.
        shapes: Pattern of the names of shapes; empty means every one.
        callers: Only with so many callers; 0 means any number.
    """

    def found(results: Results) -> Iterator[Value]:
        for one in _ours(results, workload, system, shapes):
            if name in one.numbers and callers in (0, one.numbers.get("callers")):
                yield _value(one, one.numbers[name])

    return found


def ratio(workload: str, system: str, to: str) -> Found:
    """Give the time of ours whose name follows a pattern as a multiple of the one that follows another."""

    def found(results: Results) -> Iterator[Value]:
        for cell in cells(_of(results, workload)):
            base = min((one for one in cell if _is_ours(one, to)), key=lambda one: one.median_s, default=None)
            for one in cell:
                if base and _is_ours(one, system):
                    times = _value(one, one.median_s / base.median_s)
                    yield replace(times, exact=one.exact and base.exact)

    return found


def one_caller_beside_peers(results: Results) -> Iterator[Value]:
    """Give what one caller waits (p50) with the fastest peer, as a multiple of what it waits with ours; no int8."""
    for cell in cells(_of(results, "online")):
        alone = [
            one for one in cell if one.exact and one.numbers.get("callers") == 1 and "p50_ms" in one.numbers
        ]
        peers = [one for one in alone if not one.ours]
        ours = [one for one in alone if _is_ours(one, "threads")]
        if peers and ours:
            rival, own = (min(some, key=lambda one: one.numbers["p50_ms"]) for some in (peers, ours))
            yield _beside(own, rival, rival.numbers["p50_ms"] / own.numbers["p50_ms"])


def waits(results: Results) -> Iterator[Value]:
    """Give what queries beside documents wait, as a multiple of what they may."""
    for one in results.measurements:
        if one.numbers.get("allowed_p99_ms"):
            times = one.numbers["p99_ms"] / one.numbers["allowed_p99_ms"]
            yield Value(of=one.shape, shape=one.shape, number=times)


def tokenising_beside_computing(results: Results) -> Iterator[Value]:
    """Give the time of tokenising alone as a multiple of that of the computing which it overlaps with."""
    for one in _of(results, "growth"):
        if one.numbers.get("computing_s"):
            times = one.numbers["tokenising_s"] / one.numbers["computing_s"]
            yield Value(of=f"{one.texts:,} texts", shape=one.shape, number=times)


def memory_grows(results: Results) -> Iterator[Value]:
    """Give the memory without the result at the most texts as a multiple of that at 10,000."""
    found = _of(results, "growth")
    grown = {one.texts: one.numbers.get("without_result_mb", 0.0) for one in found}
    if grown.get(10_000) and max(grown) > 10_000:
        times = grown[max(grown)] / grown[10_000]
        yield Value(of=f"{max(grown):,} texts", shape=found[0].shape, number=times)


def import_s(results: Results) -> Iterator[Value]:
    """Give the seconds of a program that imports this package, the start of Python included."""
    for one in _of(results, "startup, import"):
        if one.ours:
            yield _value(one, one.median_s)


def first_beside_torch(results: Results) -> Iterator[Value]:
    """Give the time to the first embedding with mini as a multiple of `import torch` alone."""
    bare = [one.median_s for one in _of(results, "startup, import") if one.system == "import torch"]
    for one in _of(results, "startup, first embedding", shapes="mini"):
        if one.ours and bare:
            yield _value(one, one.median_s / bare[0])


def _of(results: Results, *workloads: str, shapes: str = "") -> list[Measurement]:
    return [
        one
        for one in results.measurements
        if one.workload.startswith(workloads) and re.fullmatch(shapes or ".*", one.shape)
    ]


def _ours(results: Results, workload: str, system: str, shapes: str) -> Sequence[Measurement]:
    return [one for one in _of(results, workload, shapes=shapes) if _is_ours(one, system)]


def _is_ours(one: Measurement, pattern: str) -> bool:
    """Say whether it is ours, and what stands behind our name and the number format follows the pattern."""
    _, _, name = one.system.partition(" ")
    return one.ours and bool(re.fullmatch(pattern or ".*", re.sub(r"^(fp32|bf16|fp16|int8)\b,? ?", "", name)))


def _value(one: Measurement, number: float) -> Value:
    of = f"{one.workload}, {one.shape}, {one.system}"
    return Value(of=of, shape=one.shape, number=number, exact=one.exact)


def _beside(own: Measurement, rival: Measurement, times: float) -> Value:
    of = f"{own.workload}, {own.shape}, {own.system} beside {rival.system}"
    return Value(of=of, shape=own.shape, number=times)
