"""Documents for an index: from JSON lines, text files, folders and pipes, read as they are needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..retrieval import Document
from ..retrieval.documents import digest_of
from ..texts import checked_text
from .demo.markup import text_of_html
from .options import InputFormat
from .records import checked_record_id, entries_of
from .textfiles import HTML_SUFFIXES, TEXT_SUFFIXES, files_below, text_in

RECORD_SUFFIXES = (".jsonl", ".ndjson")
_PLACE = "source"


def documents_from(files: Sequence[Path], kind: InputFormat = InputFormat.AUTO) -> Iterator[Document]:
    """Read documents, one at a time.

    What has no id gets one that follows from where it is (a file's absolute path, however it was spelled) or what it
    is (a line, a record), so that the same documents have the same ids when they are read again.

    Args:
        files: Where from, in order: JSON lines; other files, each a document; folders of both; "-" is stdin.
        kind: Plain lines or JSON lines, instead of what the name of a file, or stdin's first line, looks like.

    Raises:
        InputError: If there is no such file, or a line is no document.
    """
    for file in files:
        if str(file) != "-" and file.is_dir():
            for path in files_below(file, (*TEXT_SUFFIXES, *RECORD_SUFFIXES)):
                yield from _in_file(path, kind)
        else:
            yield from _in_file(file, kind)


def place_of(file: Path) -> str:
    """Give the id of the document that a text file is: its absolute path, without links."""
    return file.resolve().as_posix()


def is_lost(identity: str, metadata: Mapping[str, Any], folders: Sequence[Path]) -> bool:
    """Say whether a document was a text file below one of these folders that is not there any more."""
    if metadata.get(_PLACE) != identity:
        return False
    below = any(identity.startswith(f"{place_of(folder).rstrip('/')}/") for folder in folders)
    return below and not Path(identity).exists()


def _in_file(file: Path, kind: InputFormat) -> Iterator[Document]:
    if file.suffix.lower() in RECORD_SUFFIXES and kind is InputFormat.AUTO:
        kind = InputFormat.JSONL
    if str(file) != "-" and kind is InputFormat.AUTO:
        yield from _whole(file)
        return
    for where, entry in entries_of(file, kind):
        yield _of_line(entry) if isinstance(entry, str) else _of_record(entry, where)


def _whole(file: Path) -> Iterator[Document]:
    if not file.exists():
        raise InputError(f"file {str(file)!r} does not exist")
    text = text_in(file)
    if text is not None:
        page = text_of_html(text) if file.suffix.lower() in HTML_SUFFIXES else text
        place = place_of(file)
        yield Document(id=place, text=page, metadata={_PLACE: place})


def _of_line(line: str) -> Document:
    text = checked_text(line)
    return Document(id=digest_of(text, {}), text=text)


def _of_record(record: dict[str, Any], where: str) -> Document:
    """Take a record's title before its text, and all fields but id and text for its metadata."""
    others = {name: value for name, value in record.items() if name not in ("id", "_id", "text", "metadata")}
    metadata = {**_object(record.get("metadata"), where), **others}
    title = record.get("title")
    text = f"{title}\n{record['text']}" if title and isinstance(title, str) else record["text"]
    own_id = checked_record_id(record.get("id", record.get("_id")), where)
    identity = digest_of(checked_text(text), metadata) if own_id is None else str(own_id)
    return Document(id=identity, text=text, metadata=metadata)


def _object(value: Any, where: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InputError(f'{where}: "metadata" must be an object, got {type(value).__name__}')
    return value
