"""The reranker: a LlamaIndex node postprocessor over any reranker of this package."""

from __future__ import annotations

from typing import Any

from llama_index.core.bridge.pydantic import Field
from llama_index.core.postprocessor.types import BaseNodePostprocessor
from llama_index.core.schema import MetadataMode, NodeWithScore, QueryBundle

from ..assembly import Reranker, picked
from ..contracts import ScoreScale
from ..errors import InputError
from ..rerankers import RerankerSettings
from ..rerankers.settings import LongPassages
from ..texts import checked_text, checked_top_n
from ..vectors import Ranking
from .component import Component
from .events import dispatcher, rerank_events
from .nodes import checked_nodes, rescored, texts_of
from .swapped import reranker_arguments


class BGEReranker(Component, BaseNodePostprocessor):
    """Orders nodes by how well they answer the query, best first, and keeps the best.

    Any cross-encoder of the catalogue, or a checkpoint with token vectors (BAAI/bge-m3, "mini"), which then serves
    as embedder and reranker with one copy of its weights. The nodes given are never written to.
    """

    model: str = Field(
        default="BAAI/bge-reranker-v2-m3",
        min_length=1,
        description='Name in the catalogue or on the hub, path of a folder, or "mini".',
    )
    top_n: int | None = Field(default=3, description="How many nodes to keep; None keeps all.")
    score_threshold: float | None = Field(
        default=None,
        allow_inf_nan=False,
        description="Drop nodes that score less, on the scale of `scores`.",
    )
    scores: ScoreScale = Field(
        default="sigmoid", description='"sigmoid" is between 0 and 1, "raw" the logit.'
    )
    metadata_mode: MetadataMode = Field(
        default=MetadataMode.EMBED, description="Which metadata is part of the text that is scored."
    )
    keep_retrieval_score: bool = Field(
        default=False, description="Give `RerankedNode`s, which hold the score from before."
    )
    query_max_tokens: int | None = Field(
        default=None, ge=1, description="Longest query; None is three quarters of a pair."
    )
    long_passages: LongPassages = Field(
        default="first",
        description='Of a passage that is too long, read the "first" part, or all in windows: "max" or "mean".',
    )
    window_overlap: int = Field(default=64, ge=0, description="Tokens that two windows share.")

    def __init__(self, model: str | None = None, **arguments: Any) -> None:
        """Set up; nothing is loaded before the first call.

        Args:
            model: The checkpoint; None is the default.
            arguments: The other fields; also those of `FlagEmbeddingReranker` and `SentenceTransformerRerank`
                that make sense.

        Raises:
            InputError: If an argument is unknown or wrong.
        """
        if model is not None:
            arguments["model"] = model
        arguments = reranker_arguments(arguments)
        checked_top_n(arguments.get("top_n"))
        super().__init__(**arguments)
        self._reranker()

    @classmethod
    def class_name(cls) -> str:
        """Name for serialisation."""
        return "BGEReranker"

    def _postprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        nodes, query = checked_nodes(nodes), _checked_query(query_bundle)
        with rerank_events(self.callback_manager, self.model, query, nodes, self.top_n) as kept:
            if nodes:
                texts = texts_of(nodes, self.metadata_mode)
                ranking = self._reranker().rank(query.query_str, texts, self.call_options())
                kept.extend(self._best(nodes, ranking))
        return kept

    @dispatcher.span
    async def _apostprocess_nodes(
        self, nodes: list[NodeWithScore], query_bundle: QueryBundle | None = None
    ) -> list[NodeWithScore]:
        nodes, query = checked_nodes(nodes), _checked_query(query_bundle)
        with rerank_events(self.callback_manager, self.model, query, nodes, self.top_n) as kept:
            if nodes:
                texts = texts_of(nodes, self.metadata_mode)
                ranking = await self._reranker().arank(query.query_str, texts, self.call_options())
                kept.extend(self._best(nodes, ranking))
        return kept

    def _best(self, nodes: list[NodeWithScore], ranking: Ranking) -> list[NodeWithScore]:
        best = ranking.best(self.top_n, self.score_threshold)
        return rescored(nodes, best, keep_retrieval_score=self.keep_retrieval_score)

    def _reranker(self) -> Reranker:
        return Reranker(self.checkpoint_source(self.model), picked(RerankerSettings, self), self.pool)


def _checked_query(query_bundle: Any) -> QueryBundle:
    if query_bundle is None:
        raise InputError("nodes are ranked by a query: give query_bundle=QueryBundle(...) or query_str=...")
    if not isinstance(query_bundle, QueryBundle):
        raise InputError(f"query_bundle must be a QueryBundle, got {type(query_bundle).__name__}")
    checked_text(query_bundle.query_str, "query_str")
    return query_bundle
