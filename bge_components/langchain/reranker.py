"""BGE as a LangChain document compressor: documents in, the best of them out, best first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any

from langchain_core.callbacks import Callbacks
from langchain_core.documents import BaseDocumentCompressor, Document
from pydantic import Field, StrictInt

from ..assembly import Reranker
from ..contracts import CallOptions
from ..errors import InputTypeError
from ..pool import Steps, progress_bar
from ..texts import checked_text
from .component import NameOrPath
from .scoring import ScoringComponent
from .tracing import atraced, traced

RUN_NAME = "BGEReranker"
SCORE_KEY = "relevance_score"


class BGEReranker(ScoringComponent, BaseDocumentCompressor):
    """Orders documents by how well they answer the query, and keeps the best.

    The documents given are never changed: new ones come back, with their id and metadata. Equal scores keep the
    order in which the documents came. A call is a run in the trace, named "BGEReranker".

    Example:
        ```python
        reranker = BGEReranker(model="BAAI/bge-reranker-v2-m3", top_n=3)
        retriever = ContextualCompressionRetriever(base_compressor=reranker, base_retriever=retriever)
        ```
    """

    model: NameOrPath = "BAAI/bge-reranker-v2-m3"
    """A cross-encoder (BAAI/bge-reranker-v2-m3), or a checkpoint with token vectors (BAAI/bge-m3, "mini"), which
    reranks by late interaction with no second model in memory. Also accepted as `model_name`."""
    top_n: Annotated[StrictInt, Field(ge=0)] | None = 3
    """How many documents to keep, as LangChain's other rerankers; None keeps all, in their new order."""
    score_threshold: Annotated[float, Field(allow_inf_nan=False)] | None = None
    """Drop documents with a lower score, on the scale that `scores` names; None drops none."""
    add_scores: bool = False
    """Write the score to `metadata["relevance_score"]` of the new documents. Off, because some chains put all
    metadata into the prompt."""

    def compress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Rerank documents.

        Args:
            documents: What was retrieved, in any number; no documents give no documents and load no model.
            query: What was looked for.
            callbacks: Handlers or a manager for the run in the trace.

        Returns:
            New documents, best first.

        Raises:
            InputTypeError: If `query` is no string or an item of `documents` no Document.
            TextTooLongError: If a document is too long and `on_truncation="error"`.
            CheckpointError: If the checkpoint cannot be had, or cannot rerank.
            PoolError: If the engine failed; see `bge_components.errors`.
        """
        with (
            progress_bar("Reranking", show=self.show_progress) as progress,
            traced(RUN_NAME, {"query": query, "documents": documents}, callbacks) as run,
        ):
            reranker = self._reranker()
            steps = self._steps(reranker, documents, query, self._call_options(progress))
            kept = reranker.pool.drive(steps)
            run.on_chain_end({"documents": kept})
        return kept

    async def acompress_documents(
        self, documents: Sequence[Document], query: str, callbacks: Callbacks | None = None
    ) -> Sequence[Document]:
        """Rerank documents without blocking the event loop; see `compress_documents`."""
        with progress_bar("Reranking", show=self.show_progress) as progress:
            async with atraced(RUN_NAME, {"query": query, "documents": documents}, callbacks) as run:
                reranker = self._reranker()
                steps = self._steps(reranker, documents, query, self._call_options(progress))
                kept = await reranker.pool.adrive(steps)
                await run.on_chain_end({"documents": kept})
        return kept

    def _steps(
        self, reranker: Reranker, documents: Sequence[Document], query: str, options: CallOptions
    ) -> Steps[list[Document]]:
        query, given = checked_text(query, "query"), _checked(documents)
        if not given or self.top_n == 0:
            return []
        ranking = yield from reranker.rank_steps(query, [one.page_content for one in given], options)
        best = ranking.best(self.top_n, self.score_threshold)
        return [self._copied(given[index], score) for index, score in best]

    def _copied(self, document: Document, score: float) -> Document:
        added = {SCORE_KEY: score} if self.add_scores else {}
        return document.model_copy(update={"metadata": {**document.metadata, **added}})


def _checked(documents: Any) -> list[Document]:
    """Give the documents as a list, or say which of them is none."""
    if isinstance(documents, (str, bytes, Document)) or not isinstance(documents, Iterable):
        raise InputTypeError(f"documents must be a list of Documents, got {type(documents).__name__}")
    given = list(documents)
    for index, document in enumerate(given):
        if not isinstance(document, Document):
            raise InputTypeError(f"documents[{index}] must be a Document, got {type(document).__name__}")
    return given
