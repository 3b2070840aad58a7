"""The user's own documents: the text files below a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ...errors import InputError
from ..console import complain
from .passages import Document

SUFFIXES = (".txt", ".md", ".markdown", ".rst", ".html", ".htm")


def folder_documents(folder: Path) -> Iterator[Document]:
    """Give the text files below a folder, in the order of their names; hidden ones are left out.

    Raises:
        InputError: If there is none.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES and path.is_file()]
    paths = [
        path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not paths:
        raise InputError(f"no text files ({', '.join(SUFFIXES)}) below {folder}")
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            complain(f"warning: left out {path}: {error}")
            continue
        name = str(path.relative_to(folder))
        yield Document(name, path.stem, text, path.suffix.lower())
