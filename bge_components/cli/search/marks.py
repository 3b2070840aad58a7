"""Where in a passage the words and tokens stand that found it, and the part of it that shows most of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from ...contracts import Span
from ...encoders import Encoder
from ...retrieval import Explanation, MatchedToken
from ...retrieval.words import words_of

_LEAST_SHARE = 0.2
_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff]|[^\W_]+(?:[-_\u2010][^\W_]+)*")


def one_line(passage: str) -> str:
    """Give a passage as it is shown: white space as single blanks."""
    return " ".join(passage.split())


def marked_spans(text: str, explanation: Explanation, encoder: Encoder, language: str) -> list[Span]:
    """Give the characters of a passage that shared words and tokens take, ascending and disjoint.

    What adds less than a fifth of the heaviest is left out: every passage has an "of".

    Args:
        text: The passage, as it is shown.
        explanation: Of its hit.
        encoder: Whose tokens the sparse channel holds.
        language: In which BM25 stems words.
    """
    words, tokens = (_heavy(explanation.matched.get(name, ())) for name in ("bm25", "sparse"))
    return _joined([*_of_words(text, words, language), *_of_tokens(text, tokens, encoder)])


def excerpt(text: str, spans: Sequence[Span], length: int) -> tuple[str, list[Span]]:
    """Cut a text to a length where most marks are; dots stand where something was left out.

    Returns:
        The excerpt, and the spans that lie in it, at their places there.
    """
    if len(text) <= length:
        return text, list(spans)
    start = _fullest(text, spans, length)
    stop = text.rfind(" ", start, start + length) if start + length < len(text) else len(text)
    stop = stop if stop > start else start + length
    before, after = "… " if start else "", " …" if stop < len(text) else ""
    moved = [(first - start + len(before), last - start + len(before)) for first, last in spans]
    inside = [span for span, (first, last) in zip(moved, spans) if first >= start and last <= stop]
    return f"{before}{text[start:stop]}{after}", inside


def _heavy(matched: Sequence[MatchedToken]) -> set[str]:
    products = [one.query_weight * one.passage_weight for one in matched]
    least = _LEAST_SHARE * max(products, default=0.0)
    return {one.token for one, product in zip(matched, products) if product >= least}


def _of_words(text: str, words: set[str], language: str) -> list[Span]:
    if not words:
        return []
    return [
        found.span() for found in _WORD.finditer(text) if not words.isdisjoint(words_of(found[0], language))
    ]


def _of_tokens(text: str, tokens: set[str], encoder: Encoder) -> list[Span]:
    if not tokens:
        return []
    with encoder.pool.lease(encoder.source) as lease:
        ((ids, spans),) = lease.tokenizer.encode_spans([text])
        names = lease.tokenizer.tokens_of(ids.tolist())
    places = [(int(start), int(stop)) for start, stop in spans]
    return [place for name, place in zip(names, places) if name in tokens and 0 <= place[0] < place[1]]


def _joined(spans: Iterable[Span]) -> list[Span]:
    joined: list[Span] = []
    for start, stop in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(stop, joined[-1][1]))
        else:
            joined.append((start, stop))
    return joined


def _fullest(text: str, spans: Sequence[Span], length: int) -> int:
    """Give where an excerpt begins: at the text's start, or some words before the mark that most others follow."""
    starts = [0, *(text.rfind(" ", 0, max(0, first - length // 8)) + 1 for first, _ in spans)]
    return max(
        starts, key=lambda start: sum(start <= first and last <= start + length for first, last in spans)
    )
