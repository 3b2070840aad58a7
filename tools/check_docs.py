"""Holds the generated blocks of the documents against what the code gives, or rewrites them (`--write`).

A block stands between two comments; the name says what makes it::

    <!-- generated: models -->
    ...
    <!-- end -->
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.tables import blocks

DOCUMENTS = ("README.md", "README.zh-CN.md", "docs/*.md")
HELP_WIDTH = 96

_BLOCK = re.compile(r"<!-- generated: (?P<name>\S+) -->\n(?P<body>.*?)<!-- end -->", re.DOTALL)
_MARKER = re.compile(r"<!-- (generated:.*?|end) -->")

Generators = Mapping[str, Callable[[], str]]


class DocumentError(Exception):
    """A document whose blocks cannot be read."""


def main(arguments: Sequence[str]) -> int:
    """Check or rewrite the documents; give the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="rewrite the blocks that differ")
    parser.add_argument(
        "--root", type=Path, default=Path(__file__).parents[1], help="folder of the documents"
    )
    options = parser.parse_args(arguments)
    try:
        stale = stale_documents(options.root, GENERATORS)
    except DocumentError as error:
        print(error, file=sys.stderr)
        return 1
    for path, text in stale.items():
        if options.write:
            path.write_text(text, encoding="utf-8")
        print(f"{path}: {'rewritten' if options.write else 'out of step, run `make docs`'}", file=sys.stderr)
    if not stale:
        print("docs: every generated block is in step")
    return 1 if stale and not options.write else 0


def stale_documents(root: Path, generators: Generators) -> dict[Path, str]:
    """Give the documents with a block that is out of step, each with the text it should have.

    Raises:
        DocumentError: If a block is not closed, or nothing makes a block of its name.
    """
    stale = {}
    for path in sorted(path for pattern in DOCUMENTS for path in root.glob(pattern)):
        text = path.read_text(encoding="utf-8")
        fresh = rewritten(text, generators, str(path))
        if fresh != text:
            stale[path] = fresh
    return stale


def rewritten(text: str, generators: Generators, where: str) -> str:
    """Give a document's text with every block made anew; `where` names it in errors."""
    blocks = list(_BLOCK.finditer(text))
    if any(_MARKER.search(block["body"]) for block in blocks) or 2 * len(blocks) != len(
        _MARKER.findall(text)
    ):
        raise DocumentError(f"{where}: a generated block is not closed, or not opened")
    unknown = {block["name"] for block in blocks} - set(generators)
    if unknown:
        known = ", ".join(generators)
        raise DocumentError(
            f"{where}: nothing makes the block {', '.join(sorted(unknown))}; there are: {known}"
        )
    return _BLOCK.sub(lambda block: _block(block["name"], generators[block["name"]]()), text)


def models_table() -> str:
    """Make the table of the catalogue."""
    from bge_components.catalogue import all_checkpoints

    return checkpoint_table(all_checkpoints())


def cli_help() -> str:
    """Make the help of every command, as `bge COMMAND --help` gives it, without colour and of one width."""
    from typer.main import get_command

    from bge_components.cli import app

    return command_help(get_command(app), "bge")


GENERATORS: Generators = {"models": models_table, "cli": cli_help, **blocks()}


def checkpoint_table(checkpoints: Iterable[Any]) -> str:
    """Draw catalogue entries as a Markdown table."""
    columns: dict[str, Callable[[Any], Any]] = {
        "Checkpoint": lambda entry: f"`{entry.name}`",
        "Family": lambda entry: entry.family,
        "Outputs": lambda entry: entry.outputs,
        "Dimensions": lambda entry: entry.dim,
        "Tokens, at most": lambda entry: entry.max_tokens,
        "Tokens, recommended": lambda entry: entry.recommended_tokens,
        "Pooling": lambda entry: entry.pooling,
        "Languages": lambda entry: entry.languages,
        "Parameters": lambda entry: _in_millions(entry.parameters),
        "Licence": lambda entry: entry.licence,
        "Query instruction": lambda entry: (
            f"`{entry.query_instruction}`" if entry.query_instruction else None
        ),
    }
    rows = [[_cell(read(entry)) for read in columns.values()] for entry in checkpoints]
    lines = [list(columns), ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def command_help(command: Any, name: str) -> str:
    """Draw the help of a command and of those below it, each under a heading of its own."""
    return "\n".join(
        f"### `{path}`\n\n```text\n{help_text.strip()}\n```\n"
        for path, help_text in _helps(command, name, None)
    )


def _block(name: str, body: str) -> str:
    return f"<!-- generated: {name} -->\n{body.rstrip()}\n<!-- end -->"


def _helps(command: Any, name: str, parent: Any) -> Iterator[tuple[str, str]]:
    command.rich_markup_mode = None  # plain text: boxes and colours belong to a terminal
    context = command.context_class(command, info_name=name, parent=parent, terminal_width=HELP_WIDTH)
    yield context.command_path, command.get_help(context)
    for inner_name, inner in getattr(command, "commands", {}).items():
        if not inner.hidden:
            yield from _helps(inner, inner_name, context)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, (set, frozenset)):
        value = sorted(value, key=str)
    if isinstance(value, (tuple, list)):
        return ", ".join(map(_cell, value)) or "–"
    return str(getattr(value, "value", value)).replace("|", "\\|").replace("\n", "\\n")


def _in_millions(parameters: float | None) -> str | None:
    return None if parameters is None else f"{parameters:,.0f} M"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
