"""Examples computed by the running checkpoint: each expected number beside the one that came out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from ..assembly import ModelArguments, make_encoder, make_reranker
from ..catalogue import (
    Checkpoint,
    Example,
    Family,
    LexicalWeightsExample,
    PairScoresExample,
    RerankExample,
    SimilarityExample,
    VectorExample,
)
from ..contracts import Output
from ..encoders import Encoder, EncoderSettings, pair_scores
from ..errors import InputError
from ..rerankers import RerankerSettings
from ..vectors import Float32, sigmoid

_WORD_MARKS = "▁Ġ "


@dataclass(frozen=True, slots=True)
class Measurement:
    """One number: what was expected, what came out, and how far apart they may be."""

    what: str
    expected: float
    measured: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the two numbers are the same within the tolerance."""
        return abs(self.expected - self.measured) <= self.tolerance


def measured(example: Example, arguments: ModelArguments) -> list[Measurement]:
    """Compute an example with the checkpoint.

    Raises:
        InputError: If the example is of a kind that is not known here.
        BGEError: If the checkpoint cannot be had or has not what the example needs.
    """
    for kind, measure in _KINDS:
        if isinstance(example, kind):
            return list(measure(example, arguments))
    raise InputError(f"no way is known to measure a {type(example).__name__}")


def self_consistency(checkpoint: Checkpoint, arguments: ModelArguments) -> list[Measurement]:
    """Compare each text computed alone with the same text computed among others: what else can go without numbers."""
    if checkpoint.family is Family.CROSS_ENCODER:
        reranker = make_reranker(arguments, RerankerSettings(scores="raw"))
        pairs = [(_TEXTS[0], text) for text in _TEXTS]
        together = reranker.score(pairs)
        return [
            Measurement(
                f"score, alone and in company: {_short(text)}",
                float(both),
                float(alone),
                _loose(arguments, 1e-4),
            )
            for (_, text), both, alone in zip(pairs, together, (reranker.score([pair])[0] for pair in pairs))
        ]
    encoder = make_encoder(arguments)
    return [
        Measurement(f"cosine of alone and in company: {_short(text)}", 1.0, cosine, _loose(arguments, 1e-6))
        for text, cosine in zip(_TEXTS, _company_cosines(encoder))
    ]


def _company_cosines(encoder: Encoder) -> list[float]:
    together = encoder.encode(_TEXTS).need_dense().values.astype(np.float64)
    alone = np.concatenate([encoder.encode([text]).need_dense().values for text in _TEXTS]).astype(np.float64)
    norms = np.linalg.norm(together, axis=1) * np.linalg.norm(alone, axis=1)
    return [float(value) for value in (together * alone).sum(axis=1) / norms]


def _similarities(example: SimilarityExample, arguments: ModelArguments) -> Iterator[Measurement]:
    encoder = make_encoder(arguments, EncoderSettings(task=example.task))
    queries = encoder.encode(example.queries, "query").need_dense().values
    passages = encoder.encode(example.passages, "document").need_dense().values
    for query, expected, row in zip(example.queries, example.matrix, queries @ passages.T):
        labels = [f"similarity: {_short(query)} / {_short(passage)}" for passage in example.passages]
        yield from _compared(labels, expected, row, example.tolerance)


def _pair_scores(example: PairScoresExample, arguments: ModelArguments) -> Iterator[Measurement]:
    scores = pair_scores(make_encoder(arguments), example.pairs, example.weights)
    for name in ("dense", "sparse", "multi", "sparse_dense", "all"):
        labels = [f"{name}: {_short(query)} / {_short(passage)}" for query, passage in example.pairs]
        yield from _compared(labels, getattr(example, name), getattr(scores, name), example.tolerance)


def _lexical_weights(example: LexicalWeightsExample, arguments: ModelArguments) -> Iterator[Measurement]:
    encoder = make_encoder(arguments)
    rows = encoder.encode(example.texts, "query", {Output.SPARSE}).need_sparse()
    for expected, row in zip(example.weights, rows):
        tokens = [token.strip(_WORD_MARKS) for token in encoder.tokens_of(row)]
        found = dict(zip(tokens, row.values()))
        for token in dict.fromkeys((*expected, *found)):
            yield Measurement(
                f"weight of {token!r}", expected.get(token, 0.0), found.get(token, 0.0), example.tolerance
            )


def _rerank_scores(example: RerankExample, arguments: ModelArguments) -> Iterator[Measurement]:
    logits = make_reranker(arguments, RerankerSettings(scores="raw")).score(example.pairs)
    labels = [f"{_short(query)} / {_short(passage)}" for query, passage in example.pairs]
    yield from _compared([f"logit: {label}" for label in labels], example.raw, logits, example.tolerance)
    if example.sigmoid:
        steepest = 0.25  # the sigmoid's largest slope
        yield from _compared(
            [f"sigmoid: {label}" for label in labels],
            example.sigmoid,
            sigmoid(logits),
            example.tolerance * steepest,
        )


def _vector(example: VectorExample, arguments: ModelArguments) -> Iterator[Measurement]:
    values = make_encoder(arguments).encode([example.text], example.role).need_dense()[0]
    labels = [f"{_short(example.text)}, dimension {index}" for index in range(len(example.first))]
    yield from _compared(labels, example.first, values, example.tolerance)


def _compared(
    labels: Iterable[str], expected: Sequence[float], found: Float32, tolerance: float
) -> Iterator[Measurement]:
    for label, number, value in zip(labels, expected, found.tolist()):
        yield Measurement(label, number, value, tolerance)


def _loose(arguments: ModelArguments, tolerance: float) -> float:
    """Give the tolerance for fp32, or a wider one for the 8 bits of precision of other formats."""
    return tolerance if arguments.dtype == "float32" else 1e-2


def _short(text: str, width: int = 28) -> str:
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


_Measure = Callable[[Any, ModelArguments], Iterator[Measurement]]
_KINDS = cast(
    "tuple[tuple[type[Example], _Measure], ...]",
    (
        (SimilarityExample, _similarities),
        (PairScoresExample, _pair_scores),
        (LexicalWeightsExample, _lexical_weights),
        (RerankExample, _rerank_scores),
        (VectorExample, _vector),
    ),
)
_TEXTS = (
    "What is recall?",
    "A reranker reads the query and a passage together.",
    "Short.",
    "Recall finds a few dozen candidates among millions of passages; because it compares vectors that were "
    "computed beforehand it is quick, and because each passage was read without knowing the question it is coarse. "
    "Reranking then reads those candidates again, with the question at hand, and puts the best ones first.",
)
