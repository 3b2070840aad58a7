"""What all rerankers share: checked input, one score policy, a stable order, sync and async doors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..backends import CheckpointSource
from ..contracts import DEFAULT_OPTIONS, CallOptions, Float32, Priority
from ..pool import Envelope, ModelPool, Steps
from ..texts import checked_pairs, checked_text, checked_texts
from ..vectors import Ranking
from .settings import RerankerSettings


class StepReranker(Envelope, ABC):
    """A reranker whose work is written as steps; subclasses say how pairs get their raw scores."""

    settings: RerankerSettings

    def __init__(
        self,
        source: CheckpointSource,
        settings: RerankerSettings | None = None,
        pool: ModelPool | None = None,
    ) -> None:
        """Set up; nothing is loaded before the first call.

        Args:
            source: The checkpoint, and where and how to run it.
            settings: What to do differently from what the checkpoint says.
            pool: The pool to draw from; None is the shared one, looked up at every call.
        """
        super().__init__(source, settings or RerankerSettings(), pool)

    def score(self, pairs: Iterable[tuple[str, str]], options: CallOptions = DEFAULT_OPTIONS) -> Float32:
        """Score (query, text) pairs.

        Args:
            pairs: Tuples; an empty list gives an empty array.
            options: Priority (default: query), timeout, behaviour when the queue is full, progress callback.

        Returns:
            float32 array, shape (len(pairs),), in the order of the pairs, on the scale of `settings.scores`.

        Raises:
            InputTypeError: If an item is no pair of strings.
            TextTooLongError: If a pair is too long and `on_truncation="error"`.
            CheckpointError: If the checkpoint cannot be had or run.
            PoolError: If the engine failed; see `errors`.
        """
        return self.pool.drive(self.score_steps(pairs, options.started()))

    async def ascore(
        self, pairs: Iterable[tuple[str, str]], options: CallOptions = DEFAULT_OPTIONS
    ) -> Float32:
        """Score pairs without blocking the event loop; see `score`."""
        return await self.pool.adrive(self.score_steps(pairs, options.started()))

    def rank(self, query: str, texts: Iterable[str], options: CallOptions = DEFAULT_OPTIONS) -> Ranking:
        """Score every text by the query and order them, best first; see `score`."""
        return self.pool.drive(self.rank_steps(query, texts, options.started()))

    async def arank(
        self, query: str, texts: Iterable[str], options: CallOptions = DEFAULT_OPTIONS
    ) -> Ranking:
        """Rank without blocking the event loop; see `rank`."""
        return await self.pool.adrive(self.rank_steps(query, texts, options.started()))

    def score_steps(
        self, pairs: Iterable[tuple[str, str]], options: CallOptions = DEFAULT_OPTIONS
    ) -> Steps[Float32]:
        """Score as steps; see `score`."""
        raw = yield from self.raw_score_steps(checked_pairs(pairs), urgent(options.started()))
        return self.settings.scaled(raw)

    def rank_steps(
        self, query: str, texts: Iterable[str], options: CallOptions = DEFAULT_OPTIONS
    ) -> Steps[Ranking]:
        """Rank as steps; see `rank`."""
        query = checked_text(query, "query")
        pairs = [(query, text) for text in checked_texts(texts)]
        scores = yield from self.score_steps(pairs, options)
        return Ranking.of(scores, self.settings.scores)

    @abstractmethod
    def raw_score_steps(self, pairs: Sequence[tuple[str, str]], options: CallOptions) -> Steps[Float32]:
        """Give the raw score of each pair as steps."""


def urgent(options: CallOptions) -> CallOptions:
    """Let rerank calls go with the queries, unless the caller says otherwise: somebody waits for them."""
    return options if options.priority is not None else replace(options, priority=Priority.QUERY)
