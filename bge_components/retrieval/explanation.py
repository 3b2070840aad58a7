"""Says why a passage was found: shared tokens with their weights, and which token met which."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ..contracts import CallOptions
from ..pool import Steps
from .contracts import ChannelVector, Engine, Point, PointId, SparseRow
from .hits import Alignment, Explanation, MatchedToken
from .vectorizer import Row, Vectorizer

NamesOf = Callable[[Sequence[int]], Sequence[str]]


def explanations_steps(
    engine: Engine,
    vectorizer: Vectorizer,
    query: str | None,
    vectors: Row,
    found: Sequence[tuple[PointId, str]],
    options: CallOptions,
) -> Steps[list[Explanation]]:
    """Explain passages.

    Args:
        engine: Holds their vectors.
        vectorizer: Knows tokens and words.
        query: Its text; without it there is no alignment, as its tokens are not known.
        vectors: The query's, by channel.
        found: Point and text of each passage.
        options: For the encoder.
    """
    if not found:
        return []
    points = engine.get([identity for identity, _ in found], [name for name in vectors if name != "dense"])
    stored = [{} if point is None else point.vectors for point in points]
    if "bm25" in vectors:
        vectors = {**vectors, "bm25": _with_frequencies(engine, vectors["bm25"], points)}
    tokens: list[list[str]] = []
    if query is not None and "multi" in vectors:
        tokens = yield from _tokens_steps(vectorizer, query, [text for _, text in found], options)
    return [
        Explanation(
            matched=_matches(vectorizer, query, vectors, of_passage, text),
            alignment=_alignment(vectors, of_passage, tokens[0], tokens[place + 1]) if tokens else None,
        )
        for place, (of_passage, (_, text)) in enumerate(zip(stored, found))
    ]


def _with_frequencies(engine: Engine, row: ChannelVector, points: Sequence[Point | None]) -> SparseRow:
    """Multiply the weights of a query's words by the inverse document frequencies that the engine counts.

    It applies them when it scores, and tells none: a word's is its score alone, over its weight in the passage.
    """
    ids, weights = row
    frequencies = np.ones_like(weights)
    for point in points:
        if point is None or "bm25" not in point.vectors:
            continue
        held, its = point.vectors["bm25"]
        _, places, among = np.intersect1d(ids, held, assume_unique=True, return_indices=True)
        for place, there in zip(places.tolist(), among.tolist()):
            if frequencies[place] == 1:
                alone = (ids[place : place + 1], np.ones(1, np.float32))
                frequencies[place] = engine.score("bm25", alone, [point.id])[0] / its[there]
    return ids, np.asarray(weights * np.nan_to_num(frequencies), dtype=np.float32)


def _tokens_steps(
    vectorizer: Vectorizer, query: str, texts: Sequence[str], options: CallOptions
) -> Steps[list[list[str]]]:
    """Give the tokens that have a vector: of the query, then of each passage."""
    encoder = vectorizer.encoder
    of_query: list[list[str]] = yield from encoder.tokens_steps([query], "query", options)
    of_passages: list[list[str]] = yield from encoder.tokens_steps(texts, "document", options)
    return [tokens[1:] for tokens in (*of_query, *of_passages)]


def _matches(
    vectorizer: Vectorizer, query: str | None, vectors: Row, stored: Mapping[str, ChannelVector], text: str
) -> dict[str, tuple[MatchedToken, ...]]:
    names: dict[str, NamesOf] = {"sparse": vectorizer.encoder.tokens_of}
    if query is not None and "bm25" in vectors:
        words = {**vectorizer.bm25.words_of_ids(text), **vectorizer.bm25.words_of_ids(query)}
        names["bm25"] = lambda ids: [words.get(one, f"#{one}") for one in ids]
    return {
        name: _shared(vectors[name], stored[name], names[name])
        for name in names
        if name in vectors and name in stored
    }


def _shared(query: ChannelVector, passage: ChannelVector, names_of: NamesOf) -> tuple[MatchedToken, ...]:
    (query_ids, query_weights), (ids, weights) = query, passage
    shared, left, right = np.intersect1d(query_ids, ids, assume_unique=True, return_indices=True)
    order = np.argsort(-query_weights[left] * weights[right], kind="stable")
    names = names_of(shared[order].tolist())
    return tuple(
        MatchedToken(token=name, query_weight=float(mine), passage_weight=float(its))
        for name, mine, its in zip(names, query_weights[left][order], weights[right][order])
    )


def _alignment(
    vectors: Row, stored: Mapping[str, ChannelVector], query_tokens: list[str], passage_tokens: list[str]
) -> Alignment | None:
    if "multi" not in stored:
        return None
    query, passage = np.asarray(vectors["multi"]), np.asarray(stored["multi"])
    if len(query) != len(query_tokens) or len(passage) != len(passage_tokens):
        return None  # late chunks: their tokens were read inside the document
    return Alignment(
        query_tokens=tuple(query_tokens),
        passage_tokens=tuple(passage_tokens),
        cosines=np.asarray(query @ passage.T, dtype=np.float32),
    )
