"""What is known of one checkpoint: an entry of facts, and the prompt that follows from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Literal

from ..contracts import Output, Role
from .examples import Example


class Family(str, Enum):
    """What kind of answer a checkpoint gives."""

    EMBEDDER = "embedder"
    """One dense vector per text."""
    M3 = "m3"
    """A dense vector, and token weights or token vectors from heads of its own."""
    CROSS_ENCODER = "cross-encoder"
    """One score per (query, passage) pair."""

    def __str__(self) -> str:
        return self.value


Pooling = Literal["cls", "mean"]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """One checkpoint, described in full.

    Attributes:
        name: Name on the hub ("BAAI/bge-m3"), "mini", or for a local folder what the caller called it.
        family: What kind of answer it gives.
        architecture: `model_type` of its config.json ("bert", "xlm-roberta", ...).
        dim: Dimensions of the dense vector; None for a cross-encoder.
        max_tokens: Longest sequence that the network takes, special tokens included.
        recommended_tokens: What to use unless asked otherwise.
        outputs: What it can be asked for.
        pooling: How the hidden states become one vector; None for a cross-encoder.
        normalize: Whether its dense vectors are meant to have unit length.
        query_instruction: Put before a query by default.
        document_instruction: Put before a document by default.
        query_format: How instruction and query are joined, as `str.format` takes it.
        document_format: How instruction and document are joined.
        tasks: (query, document) instruction pairs of the tasks it was trained for, by name of the task.
        licence: SPDX identifier, or "unknown".
        languages: ISO 639-1 codes, or "multilingual"; empty if unknown.
        parameters: Millions of them; None if unknown.
        trust_remote_code: Whether it only runs with code that comes from the hub.
        examples: Published numbers to hold the running checkpoint against.
        note: What a user should know before choosing it.
    """

    name: str
    family: Family
    architecture: str
    dim: int | None
    max_tokens: int
    recommended_tokens: int
    outputs: frozenset[Output]
    pooling: Pooling | None
    normalize: bool
    query_instruction: str = ""
    document_instruction: str = ""
    query_format: str = "{}{}"
    document_format: str = "{}{}"
    tasks: Mapping[str, tuple[str, str]] = field(default_factory=dict, hash=False)
    licence: str = "unknown"
    languages: tuple[str, ...] = ()
    parameters: float | None = None
    trust_remote_code: bool = False
    examples: tuple[Example, ...] = field(default=(), repr=False)
    note: str = ""

    @property
    def base_name(self) -> str:
        """The name without the organisation."""
        return self.name.rpartition("/")[2]

    def prompted(self, text: str, role: Role, instruction: str | None = None) -> str:
        """Give the text as the network is meant to read it in this role.

        Args:
            text: The caller's text; braces in it stay as they are.
            role: Query or document.
            instruction: Instead of the checkpoint's own; "" gives the bare text.
        """
        query = role == "query"
        own = self.query_instruction if query else self.document_instruction
        chosen = own if instruction is None else instruction
        if not chosen:
            return text
        return (self.query_format if query else self.document_format).format(chosen, text)
