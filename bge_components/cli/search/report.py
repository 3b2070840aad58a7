"""How hits are shown: a paragraph each, with the channels as bars where they are explained; or as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ...contracts import Span
from ...retrieval import Alignment, Hit
from .marks import excerpt, one_line
from .meetings import met_words

_EXCERPT = 200
_EXPLAINED_EXCERPT = 420
_BAR = 30
_NAME = 6
_PAIRS = 6
_EIGHTHS = " ▏▎▍▌▋▊▉"


def hits_report(query: str, hits: Sequence[Hit]) -> RenderableType:
    """Show the hits of one question."""
    rows = [(hit, _passage(hit, (), _EXCERPT, coloured=False)) for hit in hits]
    return _report(query, [(hit, [passage]) for hit, passage in rows])


def explained_report(
    query: str, hits: Sequence[Hit], marks: Sequence[Sequence[Span]], *, coloured: bool
) -> RenderableType:
    """Show the hits of one question and why each was found.

    Args:
        query: The question.
        hits: With explanations, best first.
        marks: Of each hit, the characters of its passage to mark.
        coloured: Mark by colour; else by [brackets].
    """
    best = _best(hits)
    return _report(
        query,
        [
            (
                hit,
                [
                    _passage(hit, spans, _EXPLAINED_EXCERPT, coloured=coloured),
                    _bars(hit, best),
                    *_met(hit.explanation.alignment if hit.explanation else None),
                ],
            )
            for hit, spans in zip(hits, marks)
        ],
    )


def empty_report(query: str, why: str) -> RenderableType:
    """Show a question that has no hits, and why."""
    return Group(Text(query, style="bold"), Text(f"{why}\n", style="dim"))


def plain_hits(hits: Sequence[Hit]) -> list[dict[str, Any]]:
    """Give hits as JSON values."""
    return [_plain(hit, rank) for rank, hit in enumerate(hits, start=1)]


def _report(query: str, hits: Sequence[tuple[Hit, list[RenderableType]]]) -> RenderableType:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(justify="right", no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column()
    for rank, (hit, parts) in enumerate(hits, start=1):
        table.add_row(Text(str(rank), style="bold"), f"{hit.score:.3f}", Group(_title(hit), *parts, ""))
    return Group(Text(query, style="bold"), table)


def _title(hit: Hit) -> Text:
    title = Text(hit.id, style="cyan", overflow="ellipsis", no_wrap=True)
    if hit.window is not None:
        title.append(f"  window {hit.window.number + 1} of {hit.window.count}", style="dim")
    known = {name: value for name, value in hit.metadata.items() if value != hit.id}
    if known:
        title.append("  " + json.dumps(known, ensure_ascii=False), style="dim")
    return title


def _passage(hit: Hit, spans: Sequence[Span], length: int, *, coloured: bool) -> Text:
    shown, places = excerpt(one_line(hit.passage), spans, length)
    if coloured:
        text = Text(shown)
        for start, stop in places:
            text.stylize("bold yellow", start, stop)
        return text
    for start, stop in reversed(places):
        shown = f"{shown[:start]}[{shown[start:stop]}]{shown[stop:]}"
    return Text(shown)


def _scores(hit: Hit) -> dict[str, float | None]:
    """Give what stands beside the bars: every channel, then the stages that made one score of them."""
    scores = {name: part.score for name, part in hit.parts.items()}
    if len(scores) > 1:
        scores["fused"] = hit.fused
    if hit.reranked is not None:
        scores["rerank"] = hit.reranked
    return scores


def _best(hits: Sequence[Hit]) -> dict[str, float]:
    best: dict[str, float] = {}
    for hit in hits:
        for name, score in _scores(hit).items():
            best[name] = max(best.get(name, 0.0), score or 0.0)
    return best


def _bars(hit: Hit, best: dict[str, float]) -> Table:
    """Draw each score as its share of the best one that is shown."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(min_width=_NAME, no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    for name, score in _scores(hit).items():
        share = max(score or 0.0, 0.0) / best[name] if best[name] else 0.0
        style = "magenta" if name in ("fused", "rerank") else "green"
        rank = hit.parts[name].rank if name in hit.parts else None
        number = "-" if score is None else f"{score:.3f}"
        table.add_row(name, Text(_bar(share), style=style), number, f"rank {rank}" if rank else "")
    return table


def _bar(share: float) -> str:
    full, rest = divmod(round(share * _BAR * 8), 8)
    return ("█" * full + _EIGHTHS[rest].strip()).ljust(_BAR, "·")


def _met(alignment: Alignment | None) -> list[Table]:
    """Say which words met in late interaction, the nearest first, as long as they are about as near."""
    pairs = [] if alignment is None else met_words(alignment)[:_PAIRS]
    if not pairs:
        return []
    least = pairs[0][2] / 2
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(min_width=_NAME, no_wrap=True)
    table.add_column()
    told = [f"{mine} → {its} {cosine:.2f}" for mine, its, cosine in pairs if cosine >= least]
    table.add_row("met", " · ".join(told))
    return [table]


def _plain(hit: Hit, rank: int) -> dict[str, Any]:
    found: dict[str, Any] = {
        "rank": rank,
        "id": hit.id,
        "score": hit.score,
        "text": hit.text,
        "metadata": hit.metadata,
        "passage": hit.passage,
        "window": None if hit.window is None else [hit.window.start, hit.window.stop],
        "channels": {name: {"score": part.score, "rank": part.rank} for name, part in hit.parts.items()},
        "fused": hit.fused,
        "reranked": hit.reranked,
    }
    if hit.explanation is None:
        return found
    matched = {
        name: [
            {"token": one.token, "query_weight": one.query_weight, "passage_weight": one.passage_weight}
            for one in tokens
        ]
        for name, tokens in hit.explanation.matched.items()
    }
    alignment = hit.explanation.alignment
    met = [] if alignment is None else [list(pair) for pair in alignment.pairs()]
    return {**found, "matched": matched, "met": met}
