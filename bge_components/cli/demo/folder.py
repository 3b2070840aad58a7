"""The user's own documents: the text files below a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..textfiles import files_below, text_in
from .passages import Document


def folder_documents(folder: Path) -> Iterator[Document]:
    """Give the text files below a folder, in the order of their names; hidden ones are left out.

    Raises:
        InputError: If there is none.
    """
    for path in files_below(folder):
        text = text_in(path)
        if text is not None:
            yield Document(str(path.relative_to(folder)), path.stem, text, path.suffix.lower())
