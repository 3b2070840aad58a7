"""What users put into an index: documents with an id, a text and metadata, checked before any work is done."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from math import isfinite
from typing import Any
from uuid import uuid4

from ..errors import InputError, InputTypeError
from ..texts import checked_text

_DEPTH = 32
_INTEGERS = range(-(2**63), 2**63)


@dataclass(frozen=True, kw_only=True)
class Document:
    """A text to be found.

    Attributes:
        text: Any length; what is longer than the checkpoint reads is handled as `IndexSettings.long_documents` says.
        id: Any string; None gives it a random one.
        metadata: JSON values by name: str, int (64 bits), float, bool, None, lists and dicts of these.
    """

    text: str
    id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CheckedDocument:
    """A document that an index can take.

    Attributes:
        id: Its own, or a new one.
        text: Without lone surrogates.
        metadata: A copy of its own.
        digest: Of text and metadata: equal for equal contents.
    """

    id: str
    text: str
    metadata: dict[str, Any]
    digest: str


def checked_documents(documents: Iterable[Document | str], first: int = 0) -> Iterator[CheckedDocument]:
    """Check documents one by one, as they are asked for; a plain string is a document without id and metadata.

    Args:
        documents: The caller's.
        first: Place of the first one in the caller's whole list, for messages.

    Raises:
        InputTypeError: If `documents` is one string, or holds something that is no document.
        InputError: If an id is empty, or metadata is no JSON; the message names the place.
    """
    if isinstance(documents, (str, bytes, Mapping)) or not isinstance(documents, Iterable):
        raise InputTypeError(
            f"documents must be a list of Document or of strings, got one {type(documents).__name__}"
        )
    return (_checked(document, f"documents[{place}]") for place, document in enumerate(documents, first))


def checked_id(given: Any, what: str = "id") -> str:
    """Give an id as a string that can be stored.

    Raises:
        InputTypeError: If it is no string.
        InputError: If it is empty, or no text that can be written as UTF-8.
    """
    text = checked_text(given, what)
    if not text:
        raise InputError(f"{what} must not be empty")
    if text != given:
        raise InputError(f"{what} holds half of a UTF-16 pair, which cannot be stored: choose another id")
    return text


def checked_ids(given: Iterable[Any]) -> list[str]:
    """Give ids as strings; see `checked_id`. A single string is refused."""
    if isinstance(given, (str, bytes)) or not isinstance(given, Iterable):
        raise InputTypeError(
            f"ids must be a list of strings, got one {type(given).__name__}: wrap it in a list"
        )
    return [checked_id(one, f"ids[{place}]") for place, one in enumerate(given)]


def digest_of(text: str, metadata: Mapping[str, Any]) -> str:
    """Give 32 hexadecimal digits that change when text or metadata do."""
    digest = blake2b(text.encode("utf-8"), digest_size=16)
    digest.update(b"\0")
    digest.update(json.dumps(metadata, sort_keys=True, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _checked(document: Any, what: str) -> CheckedDocument:
    if isinstance(document, str):
        document = Document(text=document)
    if not isinstance(document, Document):
        raise InputTypeError(f"{what} must be a Document or a string, got {type(document).__name__}")
    text = checked_text(document.text, f"{what}.text")
    identity = str(uuid4()) if document.id is None else checked_id(document.id, f"{what}.id")
    if not isinstance(document.metadata, Mapping):
        raise InputTypeError(f"{what}.metadata must be a dict, got {type(document.metadata).__name__}")
    metadata = _json_dict(document.metadata, f"{what}.metadata", _DEPTH)
    return CheckedDocument(id=identity, text=text, metadata=metadata, digest=digest_of(text, metadata))


def _json(value: Any, what: str, depth: int) -> Any:
    """Give a copy of a JSON value, lone surrogates replaced."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return checked_text(value, what)
    if isinstance(value, int) and value in _INTEGERS:
        return int(value)
    if isinstance(value, float) and isfinite(value):
        return float(value)
    if depth and isinstance(value, Mapping):
        return _json_dict(value, what, depth - 1)
    if depth and isinstance(value, (list, tuple)):
        return [_json(one, f"{what}[{place}]", depth - 1) for place, one in enumerate(value)]
    raise InputTypeError(_complaint(value, what, depth))


def _json_dict(value: Mapping[Any, Any], what: str, depth: int) -> dict[str, Any]:
    for name in value:
        if not isinstance(name, str):
            raise InputTypeError(f"{what} has a key of type {type(name).__name__}: JSON keys are strings")
    return {checked_text(name): _json(one, f"{what}[{name!r}]", depth) for name, one in value.items()}


def _complaint(value: Any, what: str, depth: int) -> str:
    if not depth:
        return f"{what} is nested deeper than {_DEPTH} levels, or refers to itself"
    if isinstance(value, float):
        return f"{what} is {value}, which JSON cannot hold: leave it out or use None"
    if isinstance(value, int):
        return f"{what} is an integer beyond 64 bits: store it as a string"
    return (
        f"{what} is a {type(value).__name__}, which is no JSON value: convert it first "
        "(dates with .isoformat(), numpy numbers with .item(), paths and UUIDs with str())"
    )
