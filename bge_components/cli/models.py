"""`bge models`: the catalogue as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..catalogue import Checkpoint, Family, all_checkpoints
from .console import joined, show, show_json
from .options import AsJson

if TYPE_CHECKING:
    from rich.table import Table

_EVERY_LANGUAGE = "multilingual"


def models(
    language: Annotated[
        str | None, typer.Option("--language", "-l", help='Only those for this language ("en", "zh", ...).')
    ] = None,
    family: Annotated[
        Family | None, typer.Option("--family", "-f", help="Only those of this family.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List the checkpoints that are known by name; a folder or any other hub name works too."""
    chosen = [one for one in all_checkpoints() if _speaks(one, language) and family in (None, one.family)]
    if as_json:
        show_json([_plain(one) for one in chosen])
    else:
        show(_table(chosen))


def _speaks(checkpoint: Checkpoint, language: str | None) -> bool:
    return (
        language is None
        or language.lower() in checkpoint.languages
        or _EVERY_LANGUAGE in checkpoint.languages
    )


def _table(checkpoints: list[Checkpoint]) -> Table:
    from rich.table import Table

    table = Table()
    table.add_column("checkpoint", no_wrap=True)
    for column in ("family", "outputs", "languages"):
        table.add_column(column)
    for column in ("dim", "tokens", "params"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("licence")
    for one in checkpoints:
        outputs = joined(sorted(str(output) for output in one.outputs))
        size = "" if one.parameters is None else f"{one.parameters:g} M"
        dim, tokens = "" if one.dim is None else str(one.dim), str(one.recommended_tokens)
        table.add_row(
            one.name, str(one.family), outputs, joined(one.languages), dim, tokens, size, one.licence
        )
    return table


def _plain(one: Checkpoint) -> dict[str, Any]:
    return {
        "name": one.name,
        "family": str(one.family),
        "architecture": one.architecture,
        "outputs": sorted(str(output) for output in one.outputs),
        "dim": one.dim,
        "max_tokens": one.max_tokens,
        "recommended_tokens": one.recommended_tokens,
        "pooling": one.pooling,
        "normalize": one.normalize,
        "query_instruction": one.query_instruction,
        "document_instruction": one.document_instruction,
        "tasks": {name: {"query": pair[0], "document": pair[1]} for name, pair in one.tasks.items()},
        "languages": list(one.languages),
        "parameters_millions": one.parameters,
        "licence": one.licence,
        "published_examples": len(one.examples),
        "note": one.note,
    }
