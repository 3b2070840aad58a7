"""BGE as LangChain's `BaseCrossEncoder`, the `model=` of `CrossEncoderReranker`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..contracts import CallOptions
from ..pool import Steps, progress_bar
from ..texts import checked_pairs
from .component import NameOrPath
from .migration import migrated_cross_encoder
from .scoring import ScoringComponent

if TYPE_CHECKING:
    from langchain_core.cross_encoders import BaseCrossEncoder
else:
    from .cross_encoder_base import BaseCrossEncoder


class BGECrossEncoder(ScoringComponent, BaseCrossEncoder):
    """Scores (query, text) pairs.

    For chains that are built around `CrossEncoderReranker`; `BGEReranker` does the same with async calls, a score
    threshold, a run in the trace and scores in the metadata.

    Example:
        ```python
        compressor = CrossEncoderReranker(model=BGECrossEncoder(), top_n=3)
        ```
    """

    model: NameOrPath = "BAAI/bge-reranker-v2-m3"
    """A cross-encoder, or a checkpoint with token vectors; see `BGEReranker`. Also accepted as `model_name`."""

    def __init__(self, **arguments: Any) -> None:
        """Check the settings; nothing is loaded. The arguments of `HuggingFaceCrossEncoder` are translated.

        Raises:
            InputError: If an argument is unknown or makes no sense.
        """
        super().__init__(**migrated_cross_encoder(arguments))

    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """Score pairs.

        Args:
            text_pairs: (query, text) tuples; an empty list gives an empty list.

        Returns:
            One score per pair, in their order, on the scale that `scores` names.

        Raises:
            InputTypeError: If an item is no pair of strings.
            TextTooLongError: If a pair is too long and `on_truncation="error"`.
            CheckpointError: If the checkpoint cannot be had, or cannot rerank.
            PoolError: If the engine failed; see `bge_components.errors`.
        """
        with progress_bar("Scoring", show=self.show_progress) as progress:
            return self._reranker().pool.drive(self._steps(text_pairs, self._call_options(progress)))

    async def ascore(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """Score pairs without blocking the event loop; see `score`."""
        with progress_bar("Scoring", show=self.show_progress) as progress:
            return await self._reranker().pool.adrive(self._steps(text_pairs, self._call_options(progress)))

    def _steps(self, text_pairs: list[tuple[str, str]], options: CallOptions) -> Steps[list[float]]:
        pairs = checked_pairs(text_pairs)
        if not pairs:
            return []
        scores: Any = yield from self._reranker().score_steps(pairs, options)
        return [float(score) for score in scores]
