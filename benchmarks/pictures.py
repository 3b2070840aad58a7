"""The pictures of docs/benchmarks.md, drawn from results: the same file for the same results, light or dark."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bge_components.bench.records import Measurement, Results
from bge_components.bench.report import cells

OURS, OTHERS, INK = "#2f81f7", "#9aa0a6", "#7d8590"
"""Blue for ours, grey for others, and a grey that can be read on white and on black."""

_STYLE: dict[Any, Any] = {
    "svg.hashsalt": "bge_components",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.labelcolor": INK,
}
_WIDTH = 8.0
_BARS = 0.26

Draw = Callable[[Sequence[Measurement]], "Figure | None"]


def draw_all(results: Results, folder: Path, stamp: str) -> list[Path]:
    """Write every picture for which there are results.

    Args:
        results: What was measured.
        folder: Where to write them.
        stamp: Kept in each file, to tell which results it shows; see `stamped`.

    Returns:
        The files, in the order of `PICTURES`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with mpl.rc_context(_STYLE):
        for name, draw in PICTURES.items():
            figure = draw(results.measurements)
            if figure is not None:
                path = folder / f"{name}.svg"
                figure.savefig(path, metadata={"Date": None, "Description": stamp}, transparent=True)
                written.append(path)
    return written


def stamped(path: Path, stamp: str) -> bool:
    """Say whether a picture was drawn from the results of this stamp."""
    return path.is_file() and stamp in path.read_text(encoding="utf-8")


def bulk(measurements: Sequence[Measurement]) -> Figure | None:
    """Draw tokens per second of every system, one row of bars per workload and shape."""
    found = list(cells([one for one in measurements if one.workload.startswith(("bulk", "rerank"))]))
    if not found:
        return None
    heights = [1.0 + _BARS * len(cell) for cell in found]
    figure = Figure((_WIDTH, sum(heights)), layout="constrained")
    axes = figure.subplots(len(found), 1, squeeze=False, height_ratios=heights)[:, 0]
    for place, cell in zip(axes, found):
        _bars(place, sorted(cell, key=lambda one: one.tokens_per_s))
    return figure


def online(measurements: Sequence[Measurement]) -> Figure | None:
    """Draw what callers wait for a query, per number of callers: a line from p50 to p99 for every system."""
    found = [
        one for one in measurements if one.workload.startswith("online queries") and "p50_ms" in one.numbers
    ]
    if not found:
        return None
    groups = list(cells(found))
    heights = [1.0 + _BARS * len(cell) for cell in groups]
    figure = Figure((_WIDTH, sum(heights)), layout="constrained")
    axes = figure.subplots(len(groups), 1, squeeze=False, height_ratios=heights)[:, 0]
    for place, cell in zip(axes, groups):
        _waits(place, list(reversed(cell)))
    return figure


def growth(measurements: Sequence[Measurement]) -> Figure | None:
    """Draw rate and memory over the number of texts."""
    found = sorted(
        (one for one in measurements if one.workload.startswith("growth")), key=lambda one: one.texts
    )
    if not found:
        return None
    figure = Figure((_WIDTH, 2.8), layout="constrained")
    rate, memory = figure.subplots(1, 2)
    counts = [one.texts for one in found]
    _line(rate, counts, [one.tokens_per_s for one in found], "tokens per second")
    _line(
        memory, counts, [one.numbers["without_result_mb"] for one in found], "MB of memory without the result"
    )
    return figure


PICTURES: Mapping[str, Draw] = {"bulk": bulk, "online": online, "growth": growth}


def _bars(axes: Axes, cell: Sequence[Measurement]) -> None:
    places = range(len(cell))
    rates = [one.tokens_per_s for one in cell]
    axes.barh(places, rates, color=list(_colours(cell)), height=0.7)
    for place, rate in zip(places, rates):
        axes.text(rate, place, f" {rate:,.0f}", va="center", fontsize=9)
    _named(axes, cell, "tokens per second")
    axes.set_xlim(0, 1.12 * max(rates))


def _waits(axes: Axes, cell: Sequence[Measurement]) -> None:
    for place, (one, colour) in enumerate(zip(cell, _colours(cell))):
        p50, p99 = one.numbers["p50_ms"], one.numbers["p99_ms"]
        axes.plot([p50, p99], [place, place], color=colour, linewidth=2)
        axes.plot([p50], [place], "o", color=colour)
        axes.plot([p99], [place], "|", color=colour, markersize=10)
        axes.text(p99, place, f"  {p50:,.1f} / {p99:,.1f}", va="center", fontsize=9)
    _named(axes, cell, "milliseconds: p50 (dot) to p99 (bar)")
    axes.set_xlim(0, 1.2 * max(one.numbers["p99_ms"] for one in cell))
    axes.set_ylim(-0.6, len(cell) - 0.4)


def _line(axes: Axes, counts: Sequence[int], values: Sequence[float], title: str) -> None:
    axes.plot(counts, values, "o-", color=OURS)
    axes.set_xscale("log")
    axes.set_ylim(0, 1.2 * max(values))
    axes.set_xticks(counts, [f"{count:,}" for count in counts])
    axes.minorticks_off()
    axes.set_xlabel("texts")
    axes.set_title(title, loc="left", fontsize=10)


def _named(axes: Axes, cell: Sequence[Measurement], unit: str) -> None:
    axes.set_yticks(range(len(cell)), [one.system for one in cell])
    axes.tick_params(axis="y", length=0)
    axes.set_title(f"{cell[0].workload}, {cell[0].shape}: {unit}", loc="left", fontsize=10)


def _colours(cell: Sequence[Measurement]) -> Iterator[str]:
    return (OURS if one.ours else OTHERS for one in cell)
