"""Small JSON files that are either as they were or as they shall be, whatever happens meanwhile."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any


def read_json(path: Path) -> Any:
    """Give what a file holds; None where there is no file.

    Raises:
        ValueError: If it holds no JSON.
    """
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None


def write_json(path: Path, data: Any) -> None:
    """Put data in place of what the file holds, or make it; safe also against loss of power.

    Raises:
        OSError: If there is no room, say; the file is then as it was.
        TypeError: If the data are no JSON.
    """
    new = path.with_name(f"{path.name}.new")
    content = json.dumps(data, ensure_ascii=True).encode()
    try:
        with open(new, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except OSError:
        new.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make sure that the names in a folder outlive a loss of power, where the system can."""
    if os.name == "nt":
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
