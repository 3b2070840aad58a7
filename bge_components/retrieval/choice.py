"""From ranked points to documents: each document once, by its best window, and nothing that is gone or outdated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from .contracts import Engine, Passage, PointId
from .recall import Candidates


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A document among the candidates.

    Attributes:
        row: Its place in the candidates.
        id: The point that was found.
        passage: What the point holds.
        text: The whole document's text.
        score: Of the last stage that saw it.
        reranked: The last reranker's score, if one saw it.
    """

    row: int
    id: PointId
    passage: Passage
    text: str
    score: float
    reranked: float | None = None

    def with_rerank_score(self, score: float) -> Chosen:
        """Give the same with the score of a reranker."""
        return replace(self, score=score, reranked=score)


def choose(engine: Engine, candidates: Candidates, count: int) -> list[Chosen]:
    """Give the first `count` distinct documents of the candidates, in their order.

    A point that was deleted since it was recalled is passed over, and so is a window that does not belong to the
    document's present version.
    """
    chosen: dict[str, Chosen] = {}
    start = 0
    while start < len(candidates) and len(chosen) < count:
        rows = range(start, min(start + count, len(candidates)))
        for one in _resolved(engine, candidates, rows):
            chosen.setdefault(one.passage.document, one)
        start = rows.stop
    return list(chosen.values())[:count]


def _resolved(engine: Engine, candidates: Candidates, rows: Sequence[int]) -> list[Chosen]:
    ids = [candidates.ids[row] for row in rows]
    points = engine.get(ids)
    passages = [(row, point.id, point.passage) for row, point in zip(rows, points) if point is not None]
    heads = _heads(engine, [passage for _, _, passage in passages])
    return [
        Chosen(row=row, id=identity, passage=passage, text=text, score=float(candidates.fused[row]))
        for row, identity, passage in passages
        if (text := _whole_text(passage, heads)) is not None
    ]


def _heads(engine: Engine, passages: Sequence[Passage]) -> dict[str, Passage]:
    """Give the first windows of the documents of later windows: they hold the whole text and the valid version."""
    documents = list(dict.fromkeys(one.document for one in passages if one.window and one.window.number))
    points = engine.get([engine.point_id(document) for document in documents]) if documents else []
    return {point.passage.document: point.passage for point in points if point is not None}


def _whole_text(passage: Passage, heads: dict[str, Passage]) -> str | None:
    """Give the text of a passage's document; None where the passage is of another version than the document."""
    head = passage if not passage.window or not passage.window.number else heads.get(passage.document)
    if head is None or head.version != passage.version:
        return None
    return head.text if head.whole is None else head.whole
