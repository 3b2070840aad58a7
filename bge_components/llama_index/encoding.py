"""What embeddings of either kind have in common: the settings of an encoder, its calls, and long lists in batches."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from llama_index.core.async_utils import run_jobs
from llama_index.core.bridge.pydantic import Field

from ..assembly import picked
from ..contracts import CallOptions, Output, Priority, ProgressCallback, Role
from ..encoders import Encoder, EncoderSettings
from ..pool import Steps, progress_bar
from ..texts import checked_texts
from ..vectors import Encoding
from .batches import BatchProgress, batches_of
from .component import Component
from .swapped import embedding_arguments

T = TypeVar("T")
Plain = Callable[[Encoding], list[T]]
"""Turns an encoding into what the framework wants, one item per text. It runs off the event loop's thread."""

_MOST_TEXTS = 2048


class EncodingComponent(Component):
    """A component that holds the settings of an encoder.

    Components with the same settings share more than the weights: what one of them has just computed of a text is
    there for the others, and outputs that are asked for together are soon computed together.
    """

    model_name: str = Field(
        default="BAAI/bge-m3",
        min_length=1,
        description='Name in the catalogue or on the hub, path of a folder, or "mini".',
    )
    document_instruction: str | None = Field(
        default=None, description='Put before every document; "" for none, None for the checkpoint\'s own.'
    )
    task: str | None = Field(
        default=None, description="Task whose instructions to use, of a checkpoint that has some."
    )
    normalize: bool | None = Field(
        default=None, description="Scale dense vectors to unit length; None as the checkpoint does."
    )
    dimensions: int | None = Field(
        default=None,
        ge=1,
        description="Keep so many leading dimensions of dense vectors, scaled to unit length again.",
    )
    embed_batch_size: int = Field(
        default=_MOST_TEXTS,
        gt=0,
        le=_MOST_TEXTS,
        exclude=True,
        description="Texts in one call to the pool and in one pair of events; the pool forms its own batches.",
    )
    num_workers: int | None = Field(
        default=None, exclude=True, description="Calls of one awaited batch that may be under way at once."
    )
    show_progress: bool = Field(default=False, exclude=True, description="Show a bar on long work.")

    def __init__(self, model_name: str | None = None, **arguments: Any) -> None:
        """Set up; nothing is loaded before the first call.

        Args:
            model_name: The checkpoint; None is the default. `model` is accepted too.
            arguments: The other fields; also those of `HuggingFaceEmbedding` that make sense.

        Raises:
            InputError: If an argument is unknown or wrong.
        """
        if model_name is not None:
            arguments["model_name"] = model_name
        super().__init__(**embedding_arguments(arguments))
        self._encoder()

    def _in_batches(
        self,
        texts: list[str],
        show_progress: bool,
        embedded: Callable[[list[str], ProgressCallback | None], list[T]],
    ) -> list[T]:
        """Embed documents, `embed_batch_size` of them at a time, under one bar."""
        texts = checked_texts(texts)
        with progress_bar("embedding", show=show_progress or self.show_progress) as bar:
            progress = BatchProgress(bar, len(texts))
            batches = batches_of(texts, self.embed_batch_size)
            found = [embedded(batch, progress.part(len(batch))) for batch in batches]
        return [one for batch in found for one in batch]

    async def _ain_batches(
        self,
        texts: list[str],
        show_progress: bool,
        embedded: Callable[[list[str], ProgressCallback | None], Coroutine[Any, Any, list[T]]],
    ) -> list[T]:
        """Do the same without blocking the event loop, `num_workers` batches at once."""
        texts = checked_texts(texts)
        with progress_bar("embedding", show=show_progress or self.show_progress) as bar:
            progress = BatchProgress(bar, len(texts))
            batches = batches_of(texts, self.embed_batch_size)
            jobs = [embedded(batch, progress.part(len(batch))) for batch in batches]
            if self.num_workers is not None and self.num_workers > 0:
                found = await run_jobs(jobs, workers=self.num_workers)
            else:
                found = await asyncio.gather(*jobs)
        return [one for batch in found for one in batch]

    def _encoded(
        self,
        texts: list[str],
        role: Role,
        output: Output,
        plain: Plain[T],
        progress: ProgressCallback | None = None,
    ) -> list[T]:
        if not texts:
            return []
        encoder = self._encoder()
        return encoder.pool.drive(
            _plain_steps(encoder, texts, role, output, plain, self.call_options(progress))
        )

    async def _aencoded(
        self,
        texts: list[str],
        role: Role,
        output: Output,
        plain: Plain[T],
        progress: ProgressCallback | None = None,
    ) -> list[T]:
        if not texts:
            return []
        encoder = self._encoder()
        steps = _plain_steps(encoder, texts, role, output, plain, self.call_options(progress))
        return await encoder.pool.adrive(steps, Priority.QUERY if role == "query" else Priority.BULK)

    def _encoder(self) -> Encoder:
        return Encoder(self.checkpoint_source(self.model_name), picked(EncoderSettings, self), self.pool)


def _plain_steps(
    encoder: Encoder, texts: list[str], role: Role, output: Output, plain: Plain[T], options: CallOptions
) -> Steps[list[T]]:
    encoding = yield from encoder.encode_steps(texts, role, (output,), options)
    return plain(encoding)
