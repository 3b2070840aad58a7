"""Late interaction: any multi-vector encoder as a reranker, with no second model in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np

from ..backends import CheckpointSource
from ..contracts import CallOptions, Float32, Output, Progress, ProgressCallback, Role
from ..pool import ModelPool, Steps
from ..similarity import late_interaction
from ..vectors import Encoding, TokenVectors
from .reranker import StepReranker
from .settings import RerankerSettings

_MULTI = frozenset({Output.MULTI})
_PAIRS_AT_ONCE = 256


class MultiVectorEncoder(Protocol):
    """What is needed of an encoder."""

    source: CheckpointSource

    @property
    def pool(self) -> ModelPool:
        """The pool it draws from."""
        ...

    def encode_steps(
        self, texts: Iterable[str], role: Role, outputs: Iterable[Output | str], options: CallOptions
    ) -> Steps[Encoding]:
        """Encode as steps."""
        ...


class LateInteraction(StepReranker):
    """Scores a pair by the mean over query tokens of the best cosine with a passage token (BGE-M3, ColBERT).

    The raw score is a mean cosine, between -1 and 1; the "sigmoid" scale is its logistic function, as for the
    other rerankers, so it lies between 0.27 and 0.73.
    """

    def __init__(self, encoder: MultiVectorEncoder, settings: RerankerSettings | None = None) -> None:
        """Set up.

        Args:
            encoder: Of a checkpoint with multi-vector output. Its settings say how long a text may be and which
                instruction goes before a query; of `settings` only `scores` is used.
            settings: The score scale.
        """
        super().__init__(encoder.source, settings, None)
        self.encoder = encoder

    @property
    def pool(self) -> ModelPool:
        """The pool of the encoder."""
        return self.encoder.pool

    def raw_score_steps(self, pairs: Sequence[tuple[str, str]], options: CallOptions) -> Steps[Float32]:
        """Score pairs; the result is one mean cosine each. Each distinct query is encoded once."""
        place: dict[str, int] = {}
        query_of = np.array([place.setdefault(query, len(place)) for query, _ in pairs], dtype=np.intp)
        queries = yield from self._encode(list(place), "query", replace(options, progress=None))
        scores = np.zeros(len(pairs), dtype=np.float32)
        for start in range(0, max(len(pairs), 1), _PAIRS_AT_ONCE):
            passages = [passage for _, passage in pairs[start : start + _PAIRS_AT_ONCE]]
            part_options = replace(options, progress=_shifted(options.progress, start, len(pairs)))
            documents = yield from self._encode(passages, "document", part_options)
            part = query_of[start : start + _PAIRS_AT_ONCE]
            scores[start : start + _PAIRS_AT_ONCE] = _scored(queries, part, documents)
        return scores

    def _encode(self, texts: list[str], role: Role, options: CallOptions) -> Steps[TokenVectors]:
        encoding: Any = yield from self.encoder.encode_steps(texts, role, _MULTI, options)
        vectors: TokenVectors = encoding.need_multi()
        return vectors


def _shifted(report: ProgressCallback | None, done: int, total: int) -> ProgressCallback | None:
    """Report the progress of a part as that of the whole."""
    if report is None:
        return None
    return lambda progress: report(Progress(done + progress.done, total))


def _scored(queries: TokenVectors, query_of: np.ndarray[Any, Any], documents: TokenVectors) -> Float32:
    scores = np.zeros(len(query_of), dtype=np.float32)
    for query in np.unique(query_of):
        mine = np.flatnonzero(query_of == query)
        rows = [documents[index] for index in mine.tolist()]
        scores[mine] = late_interaction(queries[int(query)], TokenVectors.from_rows(rows, documents.dim))
    return scores
