"""Texts from files and pipes, read line by line: plain lines, or JSON lines with an id."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import InputError
from ..texts import checked_text
from .console import say
from .options import InputFormat

_BATCH_CHARACTERS = 400_000


@dataclass(frozen=True, slots=True)
class Record:
    """One text; `id` is its own, or its place among all texts that were read."""

    id: str | int
    text: str


def records_from(files: Sequence[Path] | None, kind: InputFormat = InputFormat.AUTO) -> Iterator[Record]:
    """Read texts, one at a time; blank lines are skipped.

    Args:
        files: Where from, in order; "-", None or nothing is stdin.
        kind: Plain lines, JSON lines, or whatever the first line of each file looks like.

    Raises:
        InputError: If a line is not UTF-8 text, or no JSON record where records are expected.
    """
    number = 0
    for file in files or [Path("-")]:
        for where, entry in entries_of(file, kind):
            text, own_id = (entry, None) if isinstance(entry, str) else (entry["text"], entry.get("id"))
            identity = checked_record_id(own_id, where)
            yield Record(number if identity is None else identity, checked_text(text, where))
            number += 1


def batches_of(records: Iterable[Record], max_items: int) -> Iterator[list[Record]]:
    """Give records in batches that start small, so that the first results come early, and grow to `max_items`."""
    batch, characters, room = list[Record](), 0, min(16, max_items)
    for record in records:
        batch.append(record)
        characters += len(record.text)
        if len(batch) >= room or characters >= _BATCH_CHARACTERS:
            yield batch
            batch, characters, room = [], 0, min(2 * room, max_items)
    if batch:
        yield batch


def entries_of(
    file: Path, kind: InputFormat = InputFormat.AUTO
) -> Iterator[tuple[str, str | dict[str, Any]]]:
    """Read one file, or stdin, line by line; blank lines are skipped.

    Yields:
        Where it stands, for messages, and a plain line or the object of a JSON line, whose "text" is a string.

    Raises:
        InputError: If a line is not UTF-8 text, or no JSON record where records are expected.
    """
    if str(file) == "-":
        if sys.stdin.isatty():
            say("reading texts from the terminal, one per line; end with Ctrl-D")
        yield from _parsed(sys.stdin.buffer, "stdin", kind)
    else:
        if not file.is_file():
            raise InputError(f"file {str(file)!r} " + ("is a folder" if file.is_dir() else "does not exist"))
        with file.open("rb") as stream:
            yield from _parsed(stream, str(file), kind)


def checked_record_id(value: Any, where: str) -> str | int | None:
    """Give the id of a record, None where it has none.

    Raises:
        InputError: If it is neither a string nor an integer.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, (str, int))):
        raise InputError(f'{where}: "id" must be a string or an integer, got {value!r}')
    return value


def _parsed(stream: BinaryIO, name: str, kind: InputFormat) -> Iterator[tuple[str, str | dict[str, Any]]]:
    for number, raw in enumerate(stream, start=1):
        where = f"{name}, line {number}"
        line = _decoded(raw, where).lstrip("\ufeff" if number == 1 else "").rstrip("\r\n")
        if not line.strip():
            continue
        if kind is InputFormat.AUTO:
            kind = InputFormat.JSONL if _looks_like_record(line) else InputFormat.LINES
        yield where, _json_record(line, where) if kind is InputFormat.JSONL else line


def _decoded(raw: bytes, where: str) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"{where} is not UTF-8 text (byte 0x{raw[error.start]:02x} at place {error.start}): "
            "convert the file, or name a text file"
        ) from error


def _looks_like_record(line: str) -> bool:
    if not line.lstrip().startswith("{"):
        return False
    try:
        value = json.loads(line)
    except ValueError:
        return False
    return isinstance(value, dict) and "text" in value


def _json_record(line: str, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except ValueError as error:
        raise InputError(f"{where} is not JSON: {error}") from error
    if not isinstance(value, dict) or not isinstance(value.get("text"), str):
        found = f"keys {', '.join(map(repr, value))}" if isinstance(value, dict) else type(value).__name__
        raise InputError(f'{where} must be an object with a string "text", found {found}')
    return value
