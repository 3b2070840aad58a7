"""The command line as a whole: its commands, its version, and the doorway through which errors leave."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from .. import __version__
from .bench import bench
from .demo.command import demo
from .doctor import doctor
from .doorway import EXIT_CODES, Doorway, last_resort
from .embed import embed
from .index import index
from .models import models
from .rerank import rerank
from .search.command import search
from .verify import verify

app = typer.Typer(
    name="bge",
    cls=Doorway,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="BGE recall and rerank from the shell.",
    epilog=EXIT_CODES,
)
for command in (demo, index, search, models, embed, rerank, verify, doctor, bench):
    app.command(epilog=EXIT_CODES)(command)


def main() -> None:
    """Run the command that the shell asked for."""
    for stream in (sys.stdout, sys.stderr):
        _never_fail_on_encoding(stream)
    with last_resort():
        app(prog_name="bge")


def _never_fail_on_encoding(stream: Any) -> None:
    """Let a terminal that cannot show a character show a question mark instead."""
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="replace")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bge-components {__version__}")
        raise typer.Exit


@app.callback()
def bge(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version and stop."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", envvar="BGE_DEBUG", help="Show the traceback of an error.")
    ] = False,
) -> None:
    """BGE recall and rerank from the shell."""
