"""What an encoder can be asked to do differently from what its checkpoint says."""

from __future__ import annotations

from dataclasses import dataclass

from ..contracts import OnTruncation
from ..errors import InputError
from ..truncation import checked_on_truncation


@dataclass(frozen=True, kw_only=True)
class EncoderSettings:
    """How texts become vectors. None means: as the checkpoint's catalogue entry says.

    Attributes:
        query_instruction: Put before every query; "" for none.
        document_instruction: Put before every document; "" for none.
        task: Name of a task whose instruction pair the checkpoint has (llm-embedder: "qa", "chat", ...).
        max_tokens: Longest text in tokens, special tokens included; longer ones are cut.
        dimensions: Keep only so many leading dimensions and normalise again; of dense and token vectors.
        normalize: Scale dense vectors to unit length.
        on_truncation: When texts are cut: warn, raise `TextTooLongError`, or say nothing. Python
            shows an equal warning once per line of the caller unless told otherwise.
    """

    query_instruction: str | None = None
    document_instruction: str | None = None
    task: str | None = None
    max_tokens: int | None = None
    dimensions: int | None = None
    normalize: bool | None = None
    on_truncation: OnTruncation = "warn"

    def __post_init__(self) -> None:
        checked_on_truncation(self.on_truncation)
        for name in ("max_tokens", "dimensions"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} must be 1 or more, got {value}")
