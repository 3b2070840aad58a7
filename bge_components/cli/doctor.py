"""`bge doctor`: what is installed, what computes and how, and whether it works."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from .console import show, show_json
from .doorway import NEGATIVE
from .inspection import Finding, findings
from .options import AsJson

if TYPE_CHECKING:
    from rich.table import Table

_STYLES = {"ok": "green", "warn": "yellow", "fail": "red"}


def doctor(
    offline: Annotated[bool, typer.Option("--offline", help="Do not try to reach the hub.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check versions, devices, number formats, the hub and a first encoding; exit code 1 if something is broken."""
    found = list(findings(ask_hub=not offline))
    healthy = all(one.status != "fail" for one in found)
    if as_json:
        checks = [{"name": one.name, "status": one.status, "detail": one.detail, **one.data} for one in found]
        show_json({"healthy": healthy, "checks": checks})
    else:
        show(
            _table(found), "everything works" if healthy else "something is broken: see the lines marked fail"
        )
    if not healthy:
        raise typer.Exit(NEGATIVE)


def _table(found: list[Finding]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False)
    for _ in range(2):
        table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for one in found:
        table.add_row(Text(one.status, style=_STYLES[one.status]), one.name, one.detail)
    return table
