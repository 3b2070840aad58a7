"""What the demo shows: a table per question with recall alone beside recall and rerank, or the same as JSON."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rich.table import Table

from ...contracts import ModelInfo
from .search import Answer, Found

_EXCERPT = 100


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What was searched with what, and how long the preparations took."""

    model: ModelInfo
    reranker: ModelInfo
    passages: int
    sources: int
    load_s: float
    index_s: float

    @property
    def passages_per_s(self) -> float:
        """How many passages were encoded per second."""
        return self.passages / max(self.index_s, 1e-9)


def heading(setup: Setup) -> str:
    """Say what was searched with what."""
    return (
        f"{setup.passages:,} passages of {setup.sources} sources, encoded in {setup.index_s:.1f} s "
        f"({setup.passages_per_s:,.0f} passages/s) by {_engine(setup.model)}\n"
        f"reranked by {_engine(setup.reranker)}; loading took {setup.load_s:.1f} s"
    )


def answer_table(answer: Answer, top_n: int) -> Table:
    """Show the first results of both stages side by side."""
    times = f"recall {answer.recall_s * 1000:.0f} ms, rerank {answer.rerank_s * 1000:.0f} ms"
    table = Table(title=f"{answer.query}   ({times})", title_justify="left", show_lines=True, expand=False)
    table.add_column("", justify="right")
    table.add_column("recall alone", ratio=1, max_width=70)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("recall + rerank", ratio=1, max_width=70)
    table.add_column("score", justify="right", no_wrap=True)
    table.add_column("moved", justify="right", no_wrap=True)
    for rank, (left, right) in enumerate(zip(answer.recalled[:top_n], answer.reranked[:top_n]), start=1):
        moved = _moved(right.before, rank)
        style = "bold" if right.before != rank else None
        cells = (_excerpt(left), f"{left.score:.3f}", _excerpt(right), f"{right.score:.3f}", moved)
        table.add_row(str(rank), *cells, style=style if rank == 1 else None)
    return table


def plain(setup: Setup, answers: list[Answer], top_n: int) -> dict[str, Any]:
    """Give everything as JSON-ready values."""
    return {
        "model": _plain_model(setup.model),
        "reranker": _plain_model(setup.reranker),
        "passages": setup.passages,
        "sources": setup.sources,
        "load_s": round(setup.load_s, 3),
        "encode_s": round(setup.index_s, 3),
        "passages_per_s": round(setup.passages_per_s, 1),
        "questions": [_plain_answer(answer, top_n) for answer in answers],
    }


def _plain_answer(answer: Answer, top_n: int) -> dict[str, Any]:
    return {
        "query": answer.query,
        "recall_ms": round(answer.recall_s * 1000, 2),
        "rerank_ms": round(answer.rerank_s * 1000, 2),
        "recall": [_plain_found(found, rank) for rank, found in enumerate(answer.recalled[:top_n], start=1)],
        "reranked": [
            _plain_found(found, rank) for rank, found in enumerate(answer.reranked[:top_n], start=1)
        ],
    }


def _plain_found(found: Found, rank: int) -> dict[str, Any]:
    passage = found.passage
    return {
        "rank": rank,
        "recall_rank": found.before,
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


def _moved(before: int, now: int) -> str:
    if before == now:
        return "="
    return f"↑{before - now}" if before > now else f"↓{now - before}"
