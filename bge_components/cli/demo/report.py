"""What the demo shows: for each question, three ways of searching side by side, or the same as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from ...contracts import ModelInfo
from .search import Answer, Found

_EXCERPT = 100


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What was searched with what, and how long the preparations took."""

    model: ModelInfo
    reranker: ModelInfo
    lexical: str
    passages: int
    sources: int
    load_s: float
    index_s: float

    @property
    def passages_per_s(self) -> float:
        """How many passages were encoded per second."""
        return self.passages / max(self.index_s, 1e-9)


def heading(setup: Setup) -> str:
    """Say what was searched with what, and how to read the tables."""
    return (
        f"{setup.passages:,} passages of {setup.sources} sources, encoded in {setup.index_s:.1f} s "
        f"({setup.passages_per_s:,.0f} passages/s) by {_engine(setup.model)}\n"
        f"reranked by {_engine(setup.reranker)}; loading took {setup.load_s:.1f} s\n"
        "↑ ↓ = new: against the column to the left; scores (cosine, fused, the reranker's sigmoid) compare within a "
        "column only"
    )


def answer_table(answer: Answer, setup: Setup, top_n: int) -> Table:
    """Show the first results of the three ways side by side, and how each moved from one to the next."""
    table = Table(title=answer.query, title_justify="left", title_style="bold", show_lines=True, expand=False)
    table.add_column("", justify="right")
    titles = ("dense alone", f"hybrid: dense + {setup.lexical}", "hybrid + rerank")
    for title, stage in zip(titles, answer.stages):
        table.add_column(f"{title} ({stage.seconds * 1000:.0f} ms)", ratio=1, max_width=60, overflow="fold")
    columns = [stage.found[:top_n] for stage in answer.stages]
    for rank, row in enumerate(zip(*columns), start=1):
        cells = [_cell(found, rank, first=number == 0) for number, found in enumerate(row)]
        table.add_row(str(rank), *cells)
    return table


def plain(setup: Setup, answers: list[Answer], top_n: int) -> dict[str, Any]:
    """Give everything as JSON-ready values."""
    return {
        "model": _plain_model(setup.model),
        "reranker": _plain_model(setup.reranker),
        "channels": ["dense", setup.lexical],
        "passages": setup.passages,
        "sources": setup.sources,
        "load_s": round(setup.load_s, 3),
        "encode_s": round(setup.index_s, 3),
        "passages_per_s": round(setup.passages_per_s, 1),
        "questions": [_plain_answer(answer, top_n) for answer in answers],
    }


def _plain_answer(answer: Answer, top_n: int) -> dict[str, Any]:
    found = {
        stage.name: [_plain_found(one, rank) for rank, one in enumerate(stage.found[:top_n], start=1)]
        for stage in answer.stages
    }
    times = {f"{stage.name}_ms": round(stage.seconds * 1000, 2) for stage in answer.stages}
    return {"query": answer.query, "encode_ms": round(answer.encode_s * 1000, 2), **times, **found}


def _plain_found(found: Found, rank: int) -> dict[str, Any]:
    passage = found.passage
    return {
        "rank": rank,
        "rank_before": found.before,
        "score": round(found.score, 6),
        "source": passage.source,
        "title": passage.title,
        "text": passage.text,
    }


def _plain_model(info: ModelInfo) -> dict[str, Any]:
    return {"name": info.name, "device": info.device, "dtype": info.dtype, "engine": info.engine}


def _engine(info: ModelInfo) -> str:
    return f"{info.name} ({info.dtype} on {info.device})"


def _excerpt(found: Found) -> str:
    text = found.passage.text
    short = text if len(text) <= _EXCERPT else text[:_EXCERPT].rsplit(" ", 1)[0] + " …"
    source = found.passage.source
    return short if short.lower().startswith(source.lower()) else f"[{source}] {short}"


def _cell(found: Found, rank: int, *, first: bool) -> Text:
    moved, style = ("", "") if first else _moved(found.before, rank)
    cell = Text.assemble((f"{found.score:.3f}", "bold"), "  ", (moved, style), "\n")
    return cell.append(_excerpt(found))


def _moved(before: int | None, now: int) -> tuple[str, str]:
    """Give a mark, and its style, for how a passage moved from the stage before."""
    if before is None:
        return "new", "green"
    if before == now:
        return "=", "dim"
    return (f"↑{before - now}", "green") if before > now else (f"↓{now - before}", "red")
