"""The generated blocks of docs/benchmarks.md, made of results files alone: nothing is measured here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from bge_components.bench.records import Machine, Measurement, Results, fastest_exact_peer
from bge_components.bench.report import cells, peak_share, told_cosine, told_seconds

from .goals import outcomes
from .verdicts import VERDICTS

RESULTS = Path(__file__).parents[1] / "docs" / "benchmarks.json"
GPU_RESULTS = RESULTS.with_name("benchmarks-gpu.json")
"""What `python -m benchmarks.gpu` gave: of another machine, so it is kept apart."""
NOTHING = "Nothing has been measured yet.\n"

Block = Callable[[Results], str]
Column = Callable[[Measurement], str]

_DASH = "–"
_SECONDS = "Seconds (fastest–slowest round)"
_TIMED = ("outputs", "adapters", "online")
"""Of the tables that are about something else, those of workloads whose rounds are of the same texts."""
_OWN_TABLES = ("online", "adapters", "outputs", "mixed", "growth", "startup", "gpu")


def blocks(path: Path = RESULTS, gpu_path: Path = GPU_RESULTS) -> Mapping[str, Callable[[], str]]:
    """Give what makes each block, by the block's name; without a results file it says that there is none.

    Args:
        path: What `bge bench` gave.
        gpu_path: What `python -m benchmarks.gpu` gave; its goals are among those of the other.
    """
    made = {name: partial(_made, make, path) for name, make in _BLOCKS.items()}
    return {
        **made,
        "benchmarks-goals": partial(_made, goals, path, gpu_path),
        "benchmarks-gpu": partial(_made, gpu, gpu_path),
    }


def machine(results: Results) -> str:
    """Describe the machine and its own products."""
    facts = [[name, value] for name, value in results.machine.facts.items()]
    peaks = [[f"products of {name}", f"{rate:,.0f} GFLOP/s"] for name, rate in results.machine.peaks.items()]
    command = f"\nMade by `{results.command}`.\n" if results.command else ""
    notes = "".join(f"- {note}\n" for note in results.notes)
    return table(["Machine", ""], [*facts, *peaks]) + command + (f"\n{notes}" if notes else "")


def goals(results: Results) -> str:
    """Hold the run against the goals."""
    found = outcomes(results)
    counts = Counter(one.verdict for one in found)
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)
    rows = [[one.says, one.reached, _marked(one.verdict)] for one in found]
    return f"{len(found)} goals: {told}.\n\n{table(['Goal', 'Measured', 'Verdict'], rows)}"


def systems(results: Results) -> str:
    """Compare all systems on every workload that is theirs."""
    found = [one for one in results.measurements if not one.workload.startswith(_OWN_TABLES)]
    drawn = [one for one in found if one.workload.startswith(("bulk", "rerank"))]
    compared = "\n".join(_comparison(cell, results.machine) for cell in cells(found))
    return _pictured("bulk", "Tokens per second of every system", drawn) + (compared or NOTHING)


def online(results: Results) -> str:
    """Show what callers wait, and the rate of all of them."""
    drawn = [one for one in results.measurements if one.workload.startswith("online queries")]
    shown = _plain(results, ("online", "adapters"))
    return _pictured("online", "What callers wait for a query", drawn) + shown


def outputs(results: Results) -> str:
    """Show what further outputs cost."""
    return _plain(results, ("outputs",))


def mixed(results: Results) -> str:
    """Show queries and documents alone and at once."""
    return _plain(results, ("mixed",))


def growth(results: Results) -> str:
    """Show rate and memory by the number of texts."""
    found = [one for one in results.measurements if one.workload.startswith("growth")]
    columns: dict[str, Column] = {
        "Texts": lambda one: f"{one.texts:,}",
        _SECONDS: _told_seconds,
        "Tokens/s": lambda one: f"{one.tokens_per_s:,.0f}",
        **{_title(name): _reader(name) for name in _names(found)},
    }
    return _pictured("growth", "Rate and memory by the number of texts", found) + _rows(found, columns)


def startup(results: Results) -> str:
    """Show how long programs take."""
    found = [one for one in results.measurements if one.workload.startswith("startup")]
    columns: dict[str, Column] = {
        "Program": lambda one: f"{one.workload.partition(', ')[2]}: {one.system}",
        "Checkpoint": lambda one: one.shape if one.texts else _DASH,
        _SECONDS: _told_seconds,
    }
    return _rows(found, columns)


def gpu(results: Results) -> str:
    """Show the device, what it computes beside a peer, and how it recovers from full memory."""
    compared = [_comparison(cell, results.machine) for cell in cells(results.measurements)]
    missing = [absences(results)] if results.absences else []
    return "\n".join([machine(results), *compared, *missing])


def absences(results: Results) -> str:
    """Say what was not measured, and why."""
    rows = [[one.workload, one.shape, one.system, one.reason] for one in results.absences]
    if not rows:
        return "Everything that was asked for was measured.\n"
    return table(["Workload", "Shape", "System", "Why it was not measured"], rows)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Draw a Markdown table."""
    lines = [list(head), ["---"] * len(head), *([_cell(text) for text in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _made(make: Block, *paths: Path) -> str:
    """Make a block of the first file, with the measurements of the others."""
    found = [Results.read(path) for path in paths if path.is_file()]
    if not found:
        return NOTHING
    measured = tuple(one for results in found for one in results.measurements)
    return make(replace(found[0], measurements=measured))


def _comparison(cell: Sequence[Measurement], machine: Machine) -> str:
    peer, first = fastest_exact_peer(cell), cell[0]

    def ratio(one: Measurement) -> str:
        return f"{peer.median_s / one.median_s:.2f}" if peer else _DASH

    def share(one: Measurement) -> str:
        found = peak_share(one, machine)
        return _DASH if found is None else f"{found:.0%}"

    columns: dict[str, Column] = {
        "System": lambda one: f"**{one.system}**" if one.ours else one.system,
        _SECONDS: _told_seconds,
        "Times as fast as the fastest exact peer": ratio,
        "Tokens/s": lambda one: f"{one.tokens_per_s:,.0f}" if one.tokens else _DASH,
        "GFLOP/s": lambda one: f"{one.gflops:,.0f}" if one.flops else _DASH,
        "Share of the peak": share,
        "Lowest cosine": lambda one: told_cosine(one, _DASH),
        **{_title(name): _reader(name) for name in _names(cell)},
    }
    ranked = sorted(cell, key=lambda one: one.median_s)
    heading = f"**{first.workload}, {first.shape}** ({first.texts:,} texts, {first.tokens:,} tokens)"
    return f"{heading}\n\n{_rows(ranked, columns)}"


def _told_seconds(one: Measurement) -> str:
    return told_seconds(one, 2)


def _pictured(name: str, title: str, drawn: Sequence[Measurement]) -> str:
    return f"![{title}](pictures/{name}.svg)\n\n" if drawn else ""


def _plain(results: Results, workloads: tuple[str, ...]) -> str:
    found = [one for one in results.measurements if one.workload.startswith(workloads)]
    return "\n".join(_numbers(cell) for cell in cells(found)) or NOTHING


def _numbers(cell: Sequence[Measurement]) -> str:
    columns: dict[str, Column] = {
        "System": lambda one: one.system,
        **({_SECONDS: _told_seconds} if cell[0].workload.startswith(_TIMED) else {}),
        "Tokens/s": lambda one: f"{one.tokens_per_s:,.0f}",
        **{_title(name): _reader(name) for name in _names(cell) if name != "callers"},
    }
    return f"**{cell[0].workload}, {cell[0].shape}**\n\n{_rows(cell, columns)}"


def _rows(found: Sequence[Measurement], columns: Mapping[str, Column]) -> str:
    if not found:
        return NOTHING
    return table(list(columns), ([read(one) for read in columns.values()] for one in found))


def _names(found: Sequence[Measurement]) -> list[str]:
    return list(dict.fromkeys(name for one in found for name in one.numbers))


def _reader(name: str) -> Column:
    def read(one: Measurement) -> str:
        value = one.numbers.get(name)
        if value is None:
            return _DASH
        return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.2f}"

    return read


def _title(name: str) -> str:
    """Give the heading of a number: its unit comes last in its name, and in brackets in the heading."""
    for ending, unit in _UNITS.items():
        if name.endswith(ending):
            return f"{name.removesuffix(ending).replace('_', ' ')} ({unit})".strip().capitalize()
    return name.replace("_", " ").capitalize()


def _marked(verdict: str) -> str:
    return f"**{verdict}**" if verdict == "NOT reached" else verdict


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split()) or _DASH


_UNITS = {"_per_s": "per second", "_percent": "%", "_ms": "ms", "_mb": "MB", "_s": "s"}
_BLOCKS: Mapping[str, Block] = {
    "benchmarks-machine": machine,
    "benchmarks-systems": systems,
    "benchmarks-online": online,
    "benchmarks-outputs": outputs,
    "benchmarks-mixed": mixed,
    "benchmarks-growth": growth,
    "benchmarks-startup": startup,
    "benchmarks-absences": absences,
}
