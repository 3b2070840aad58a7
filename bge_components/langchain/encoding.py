"""What components that encode texts have in common: the settings of an encoder, and calls for either role."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from ..assembly import picked
from ..contracts import CallOptions, Output, Priority, Role
from ..encoders import Encoder, EncoderSettings
from ..pool import Steps, progress_bar
from ..texts import checked_text
from ..vectors import Encoding
from .component import Component, Count, NameOrPath

T = TypeVar("T")
Plain = Callable[[Encoding], list[T]]
"""Turns an encoding into what a framework wants, one item per text. It runs off the event loop's thread."""


class EncodingComponent(Component):
    """A component that holds the settings of an encoder.

    Components with the same settings share more than the weights: what one of them has just computed of a text is
    there for the others, and outputs that are asked for together are soon computed together.
    """

    model: NameOrPath = "BAAI/bge-m3"
    """Name in the catalogue or on the hub, path of a folder, or "mini", the packaged checkpoint.
    Also accepted as `model_name`."""
    document_instruction: str | None = None
    """Put before every document; None means the checkpoint's own, "" means none."""
    task: str | None = None
    """Name of a task whose instruction pair the checkpoint has (llm-embedder: "qa", "chat", ...)."""
    normalize: bool | None = None
    """Scale dense vectors to unit length; None does as the checkpoint says."""
    dimensions: Count | None = None
    """Keep only so many leading dimensions of dense vectors and scale to unit length again."""

    def __init__(self, **arguments: Any) -> None:
        """Check the settings; nothing is loaded.

        Raises:
            InputError: If an argument is unknown or makes no sense.
        """
        super().__init__(**arguments)
        self._encoder()

    def _documents(self, texts: list[str], output: Output, plain: Plain[T]) -> list[T]:
        encoder = self._encoder()
        with progress_bar("Embedding", show=self.show_progress) as progress:
            steps = _plain_steps(encoder, texts, "document", output, plain, self._call_options(progress))
            return encoder.pool.drive(steps)

    async def _adocuments(self, texts: list[str], output: Output, plain: Plain[T]) -> list[T]:
        encoder = self._encoder()
        with progress_bar("Embedding", show=self.show_progress) as progress:
            steps = _plain_steps(encoder, texts, "document", output, plain, self._call_options(progress))
            return await encoder.pool.adrive(steps, Priority.BULK)

    def _query(self, text: str, output: Output, plain: Plain[T]) -> T:
        encoder, texts = self._encoder(), [checked_text(text)]
        return encoder.pool.drive(_plain_steps(encoder, texts, "query", output, plain, self._call_options()))[
            0
        ]

    async def _aquery(self, text: str, output: Output, plain: Plain[T]) -> T:
        encoder, texts = self._encoder(), [checked_text(text)]
        steps = _plain_steps(encoder, texts, "query", output, plain, self._call_options())
        return (await encoder.pool.adrive(steps))[0]

    def _encoder(self) -> Encoder:
        return Encoder(self._source(), picked(EncoderSettings, self), self.pool)


def _plain_steps(
    encoder: Encoder, texts: list[str], role: Role, output: Output, plain: Plain[T], options: CallOptions
) -> Steps[list[T]]:
    """Encode as steps, down to plain objects: a large list is not converted on an event loop's thread."""
    encoding = yield from encoder.encode_steps(texts, role, (output,), options)
    return plain(encoding)
