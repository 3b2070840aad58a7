"""Results as tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby

from rich.table import Table

from .records import Absence, Machine, Measurement, Results, fastest_exact_peer

_UNMEASURED = "-"
_SHOWN_OTHERWISE = frozenset({"peak_mb"})


def tables(results: Results) -> list[Table]:
    """Give one table per workload and shape, then what was not measured, then the machine."""
    found = [_comparison(cell, results.machine) for cell in cells(results.measurements)]
    if results.absences:
        found.append(_absences(results.absences))
    return [*found, _facts(results)]


def cells(measurements: Sequence[Measurement]) -> Iterator[list[Measurement]]:
    """Give the measurements of each workload and shape, in the order in which they first occur."""
    order: dict[tuple[str, str], int] = {}
    for one in measurements:
        order.setdefault((one.workload, one.shape), len(order))
    ranked = sorted(measurements, key=lambda one: order[one.workload, one.shape])
    for _, group in groupby(ranked, key=lambda one: (one.workload, one.shape)):
        yield list(group)


def peak_share(one: Measurement, machine: Machine) -> float | None:
    """Give useful arithmetic as a share of the machine's own products; None where that is not known.

    A system in bf16 is held against bf16 products, one in int8 against none.
    """
    if not one.flops or "int8" in one.system:
        return None
    dtype = "bfloat16" if "bf16" in one.system else "float32"
    peak = machine.peaks.get(f"{one.shape} {dtype}")
    return one.gflops / peak if peak else None


def told_seconds(one: Measurement, digits: int) -> str:
    """Give the median of the rounds and, of several, the fastest and the slowest: "1.64 (1.60–1.71)"."""
    median, fastest, slowest = (f"{s:.{digits}f}" for s in (one.median_s, min(one.seconds), max(one.seconds)))
    return f"{median} ({fastest}–{slowest})" if len(one.seconds) > 1 else median


def told_cosine(one: Measurement, otherwise: str) -> str:
    """Give the lowest cosine, "reference" for what others are compared with, or `otherwise`."""
    if one.reference:
        return "reference"
    return otherwise if one.lowest_cosine is None else f"{one.lowest_cosine:.6f}"


def _comparison(cell: Sequence[Measurement], machine: Machine) -> Table:
    first = cell[0]
    title = f"{first.workload}, {first.shape}: {first.texts:,} texts, {first.tokens:,} tokens"
    table = Table(title=title, title_justify="left")
    others = list(dict.fromkeys(name for one in cell for name in one.numbers if name not in _SHOWN_OTHERWISE))
    table.add_column("system", overflow="fold")
    for column in (
        "seconds",
        "times as fast",
        "tokens/s",
        "GFLOP/s",
        "of peak",
        "lowest cosine",
        "MB",
        *others,
    ):
        table.add_column(column, justify="right")
    peer = fastest_exact_peer(cell)
    for one in sorted(cell, key=lambda one: one.median_s):
        extras = [_number(one.numbers.get(name)) for name in others]
        table.add_row(one.system, *_numbers(one, peer, machine), *extras)
    return table


def _numbers(one: Measurement, peer: Measurement | None, machine: Machine) -> list[str]:
    """Give the common columns; the ratio is to the fastest system that is not ours and gives the same numbers."""
    share = peak_share(one, machine)
    return [
        told_seconds(one, 3),
        f"{peer.median_s / one.median_s:.2f}" if peer and one.median_s else _UNMEASURED,
        f"{one.tokens_per_s:,.0f}" if one.tokens else _UNMEASURED,
        f"{one.gflops:.0f}" if one.flops else _UNMEASURED,
        f"{share:.0%}" if share is not None else _UNMEASURED,
        told_cosine(one, _UNMEASURED),
        _number(one.numbers.get("peak_mb")),
    ]


def _number(value: float | None) -> str:
    if value is None:
        return _UNMEASURED
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _absences(absences: Sequence[Absence]) -> Table:
    """Draw them with one row per reason, however many workloads it kept a system from."""
    table = Table(title="not measured", title_justify="left")
    for column in ("system", "shape", "workloads", "why"):
        table.add_column(column, overflow="fold")
    kept_from: dict[tuple[str, str, str], list[str]] = {}
    for one in absences:
        kept_from.setdefault((one.system, one.shape, one.reason), []).append(one.workload)
    for (system, shape, reason), workloads in kept_from.items():
        table.add_row(system, shape, ", ".join(workloads), reason)
    return table


def _facts(results: Results) -> Table:
    table = Table(title="measured on", title_justify="left", show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in results.machine.facts.items():
        table.add_row(name, value)
    for name, rate in results.machine.peaks.items():
        table.add_row(f"products, {name}", f"{rate:.0f} GFLOP/s")
    for note in results.notes:
        table.add_row("note", note)
    return table
