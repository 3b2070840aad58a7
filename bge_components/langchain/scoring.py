"""What components that score (query, passage) pairs have in common: the settings of a reranker."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from ..assembly import Reranker, picked
from ..contracts import ScoreScale
from ..rerankers import RerankerSettings
from ..rerankers.settings import LongPassages
from .component import Component, Count


class ScoringComponent(Component):
    """A component that holds the settings of a reranker."""

    scores: ScoreScale = "sigmoid"
    """"sigmoid" maps the checkpoint's scores to 0..1; "raw" leaves them. The order is the same."""
    query_max_tokens: Count | None = None
    """Longest query in tokens; None is three quarters of `max_tokens`."""
    long_passages: LongPassages = "first"
    """What a passage beyond `max_tokens` scores: "first" reads its beginning; "max" and "mean" read all of it in
    overlapping windows and aggregate their scores."""
    window_overlap: Annotated[int, Field(ge=0)] = 64
    """Tokens that two such windows share."""

    def __init__(self, **arguments: Any) -> None:
        """Check the settings; nothing is loaded.

        Raises:
            InputError: If an argument is unknown or makes no sense.
        """
        super().__init__(**arguments)
        self._reranker()

    def _reranker(self) -> Reranker:
        return Reranker(self._source(), picked(RerankerSettings, self), self.pool)
