"""What goes where: results to stdout, everything said to people on the way to stderr, colours to terminals only."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.text import Text

_PIPED_WIDTH = 200


def say(message: str) -> None:
    """Tell people something on stderr."""
    _console(sys.stderr).print(Text(message, style="dim"), soft_wrap=True)


def complain(message: str) -> None:
    """Tell people on stderr that something is wrong."""
    _console(sys.stderr).print(Text(message, style="red"), soft_wrap=True)


def show(*things: Any) -> None:
    """Print tables and texts on stdout."""
    console = _console(sys.stdout)
    for thing in things:
        console.print(thing)


def show_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    sys.stdout.write(_json(value, sys.stdout, indent=2) + "\n")


def write_json_line(value: Any, stream: TextIO) -> None:
    """Write one JSON document on one line."""
    stream.write(_json(value, stream) + "\n")


def is_interactive() -> bool:
    """Say whether somebody watches stderr."""
    return sys.stderr.isatty()


def is_coloured() -> bool:
    """Say whether stdout shows colours."""
    console = _console(sys.stdout)
    return console.is_terminal and not console.no_color


@contextmanager
def counter(what: str, *, show: bool) -> Iterator[Callable[[int], None]]:
    """Show on stderr how many there are so far while the block runs; gives a function to tell it."""
    if not show:
        yield lambda count: None
        return
    with _console(sys.stderr).status(what) as status:
        yield lambda count: status.update(f"{count:,} {what}")


def short_floats(values: NDArray[np.float32]) -> list[float]:
    """Give float32 numbers as floats that print with as few digits as bring the same float32 back."""
    return [float(text) for text in values.astype(str).tolist()]  # float(np.str_) swallows interrupts


def joined(names: Iterable[object]) -> str:
    """Give names with commas between."""
    return ", ".join(str(name) for name in names)


def _console(stream: TextIO) -> Console:
    """Make a console for the stream as it is now; a pipe gets wide lines, so that nothing is cut."""
    width = None if stream.isatty() or "COLUMNS" in os.environ else _PIPED_WIDTH
    return Console(file=stream, width=width, markup=False, emoji=False, highlight=False)


def _json(value: Any, stream: TextIO, indent: int | None = None) -> str:
    ascii_only = (stream.encoding or "utf-8").lower().replace("-", "") != "utf8"
    return json.dumps(value, ensure_ascii=ascii_only, allow_nan=False, indent=indent)
