"""BGE as LangChain embeddings: one dense vector per text."""

from __future__ import annotations

from typing import Any

from langchain_core.embeddings import Embeddings

from ..assembly import picked
from ..contracts import CallOptions, Priority, Role
from ..encoders import Encoder, EncoderSettings
from ..pool import Steps, progress_bar
from ..texts import checked_text
from .component import Component, Count, NameOrPath
from .migration import migrated_embeddings


class BGEEmbeddings(Component, Embeddings):
    """Dense vectors of a BGE checkpoint (or any other that the catalogue knows), from the shared pool.

    Queries get the instruction that the checkpoint was trained with, and no text is changed otherwise. Texts that
    arrive together, from any thread or event loop, are computed together.

    The arguments of `HuggingFaceBgeEmbeddings` and `HuggingFaceEmbeddings` are accepted too and translated; a
    `MigrationWarning` then says what changes.

    Example:
        ```python
        embeddings = BGEEmbeddings(model="BAAI/bge-m3")
        store = InMemoryVectorStore.from_texts(texts, embedding=embeddings)
        ```
    """

    model: NameOrPath = "BAAI/bge-m3"
    """Name in the catalogue or on the hub, path of a folder, or "mini", the packaged checkpoint.
    Also accepted as `model_name`."""
    document_instruction: str | None = None
    """Put before every document; None means the checkpoint's own, "" means none."""
    task: str | None = None
    """Name of a task whose instruction pair the checkpoint has (llm-embedder: "qa", "chat", ...)."""
    normalize: bool | None = None
    """Scale vectors to unit length; None does as the checkpoint says."""
    dimensions: Count | None = None
    """Keep only so many leading dimensions and scale to unit length again."""

    def __init__(self, **arguments: Any) -> None:
        """Check the settings; nothing is loaded.

        Raises:
            InputError: If an argument is unknown or makes no sense.
        """
        super().__init__(**migrated_embeddings(arguments))
        self._encoder()

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts that are to be found.

        Args:
            texts: A list of strings; an empty one gives an empty list.

        Returns:
            One vector per text, in their order.

        Raises:
            InputTypeError: If a text is no string.
            TextTooLongError: If a text is too long and `on_truncation="error"`.
            CheckpointError: If the checkpoint cannot be had or run.
            PoolError: If the engine failed; see `bge_components.errors`.
        """
        encoder = self._encoder()
        with progress_bar("Embedding", show=self.show_progress) as progress:
            return encoder.pool.drive(_vectors(encoder, texts, "document", self._call_options(progress)))

    def embed_query(self, text: str) -> list[float]:
        """Embed a text that is looked for; see `embed_documents`."""
        encoder, texts = self._encoder(), [checked_text(text)]
        return encoder.pool.drive(_vectors(encoder, texts, "query", self._call_options()))[0]

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """Embed texts that are to be found, without blocking the event loop; see `embed_documents`."""
        encoder = self._encoder()
        with progress_bar("Embedding", show=self.show_progress) as progress:
            steps = _vectors(encoder, texts, "document", self._call_options(progress))
            return await encoder.pool.adrive(steps, Priority.BULK)

    async def aembed_query(self, text: str) -> list[float]:
        """Embed a text that is looked for, without blocking the event loop; see `embed_documents`."""
        encoder, texts = self._encoder(), [checked_text(text)]
        return (await encoder.pool.adrive(_vectors(encoder, texts, "query", self._call_options())))[0]

    def _encoder(self) -> Encoder:
        return Encoder(self._source(), picked(EncoderSettings, self), self.pool)


def _vectors(
    encoder: Encoder, texts: list[str], role: Role, options: CallOptions
) -> Steps[list[list[float]]]:
    """Encode as steps, down to plain floats: a large list is not converted on an event loop's thread."""
    encoding = yield from encoder.encode_steps(texts, role, options=options)
    return encoding.need_dense().tolist()
