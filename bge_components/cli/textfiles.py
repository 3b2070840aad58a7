"""Text files below a folder, and what stands in them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from ..errors import InputError
from .console import complain

HTML_SUFFIXES = (".html", ".htm")
TEXT_SUFFIXES = (".txt", ".md", ".markdown", ".rst", *HTML_SUFFIXES)


def files_below(folder: Path, suffixes: Collection[str] = TEXT_SUFFIXES) -> list[Path]:
    """Give the files with these suffixes below a folder, in the order of their names; hidden ones are left out.

    Raises:
        InputError: If there is none.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in suffixes and path.is_file()]
    paths = [
        path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]
    if not paths:
        raise InputError(f"no text files ({', '.join(suffixes)}) below {folder}")
    return paths


def text_in(path: Path) -> str | None:
    """Read a file; of one that is no text, or cannot be read, people are told, and there is None."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        complain(f"warning: left out {path}: {error}")
        return None
