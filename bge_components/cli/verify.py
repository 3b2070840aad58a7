"""`bge verify`: does this checkpoint give the numbers that were published for it?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import InputError
from .arguments import model_arguments
from .console import say, show, show_json
from .doorway import NEGATIVE
from .options import (
    AsJson,
    Backend,
    BackendOption,
    CacheFolder,
    Device,
    DType,
    DTypeOption,
    Offline,
    Revision,
    TrustRemoteCode,
)

if TYPE_CHECKING:
    from rich.table import Table

    from ..assembly import ModelArguments
    from ..catalogue import Example
    from .measurements import Measurement

_Report = tuple[str, "list[Measurement]"]


def verify(
    checkpoint: Annotated[str, typer.Argument(help="Name in the catalogue or on the hub, or a folder.")],
    like: Annotated[
        str | None,
        typer.Option(help="Use the published numbers of this checkpoint (for a copy in a folder)."),
    ] = None,
    examples: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, readable=True, help="JSON file with numbers of your own."),
    ] = None,
    revision: Revision = None,
    device: Device = None,
    dtype: DTypeOption = DType.FLOAT32,
    backend: BackendOption = Backend.TORCH,
    cache_folder: CacheFolder = None,
    offline: Offline = False,
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJson = False,
) -> None:
    """Run the published examples of a checkpoint and print measured beside published; exit code 1 if they differ.

    A checkpoint without published numbers is checked against itself: each text alone and in company.
    """
    arguments = model_arguments(
        checkpoint,
        revision=revision,
        device=device,
        dtype=dtype,
        backend=backend,
        cache_folder=cache_folder,
        offline=offline,
        trust_remote_code=trust_remote_code,
    )
    chosen = _examples(arguments, like, examples)
    reports = _measured(arguments, chosen)
    passed = all(one.passed for _, measurements in reports for one in measurements)
    if as_json:
        show_json(_plain(checkpoint, reports, passed, published=bool(chosen)))
    else:
        if not chosen:
            say(f"no numbers were published for {checkpoint}: checking it against itself")
        show(*(_table(title, measurements) for title, measurements in reports), _verdict(reports, passed))
    if not passed:
        raise typer.Exit(NEGATIVE)


def _examples(arguments: ModelArguments, like: str | None, file: Path | None) -> list[Example]:
    if file is not None:
        from .expectations import examples_from

        return examples_from(file)
    if like is not None:
        return _published(like)
    return list(arguments.source().checkpoint().examples)


def _published(name: str) -> list[Example]:
    from ..catalogue import find, suggestions

    entry = find(name)
    if entry is None or not entry.examples:
        known = "has no published numbers" if entry else "is not in the catalogue"
        near = f"; did you mean {' or '.join(suggestions(name))}?" if not entry and suggestions(name) else ""
        raise InputError(f"--like {name}: it {known}{near}")
    return list(entry.examples)


def _measured(arguments: ModelArguments, examples: list[Example]) -> list[_Report]:
    from .measurements import measured, self_consistency

    if not examples:
        return [("against itself", self_consistency(arguments.source().checkpoint(), arguments))]
    return [(example.source, measured(example, arguments)) for example in examples]


def _table(title: str, measurements: list[Measurement]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("what", overflow="fold")
    for column in ("expected", "measured", "tolerance", ""):
        table.add_column(column, justify="right", no_wrap=True)
    for one in measurements:
        verdict = ("ok", "green") if one.passed else ("DIFFERS", "red")
        numbers = (f"{one.expected:.6g}", f"{one.measured:.6g}", f"{one.tolerance:.0e}")
        table.add_row(one.what, *numbers, verdict[0], style=None if one.passed else verdict[1])
    return table


def _verdict(reports: list[_Report], passed: bool) -> str:
    every = [one for _, measurements in reports for one in measurements]
    worst = max(abs(one.expected - one.measured) for one in every)
    good = sum(one.passed for one in every)
    return f"{'passed' if passed else 'FAILED'}: {good} of {len(every)} numbers agree, largest difference {worst:.2g}"


def _plain(checkpoint: str, reports: list[_Report], passed: bool, *, published: bool) -> dict[str, Any]:
    return {
        "checkpoint": checkpoint,
        "passed": passed,
        "published": published,
        "examples": [
            {
                "source": title,
                "measurements": [
                    {
                        "what": one.what,
                        "expected": one.expected,
                        "measured": one.measured,
                        "tolerance": one.tolerance,
                        "passed": one.passed,
                    }
                    for one in measurements
                ],
            }
            for title, measurements in reports
        ],
    }
