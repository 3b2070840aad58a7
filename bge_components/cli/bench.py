"""`bge bench`: the speed of this package and of others on this machine, on the same weights and texts."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from .console import say, show, show_json
from .options import AsJson

_QUICK_S = 0.3
_QUICK_ROUNDS = 2
_WHAT = "What is measured"
_WHERE = "Where things are"


def bench(
    shape: Annotated[
        list[str] | None, typer.Option(help="Network, such as bge-base; repeatable.", rich_help_panel=_WHAT)
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Checkpoint to measure instead: folder or name; repeatable.", rich_help_panel=_WHAT
        ),
    ] = None,
    workload: Annotated[
        list[str] | None,
        typer.Option(
            help="bulk, rerank, outputs, online, mixed, growth or startup; repeatable.", rich_help_panel=_WHAT
        ),
    ] = None,
    system: Annotated[
        list[str] | None,
        typer.Option(help="System, or the beginning of its name; repeatable.", rich_help_panel=_WHAT),
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Times that each system runs, in turns.")] = 3,
    seconds: Annotated[
        float, typer.Option(min=0.01, help="What a round is to cost our own system; more texts take longer.")
    ] = 3.0,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads of every system; all cores if not given.")
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Few texts, one small network: to see that it runs.")
    ] = False,
    peers: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Folder of environments with other packages (make peers).",
            rich_help_panel=_WHERE,
        ),
    ] = None,
    texts: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Corpus in BEIR layout, to cut texts from.",
            rich_help_panel=_WHERE,
        ),
    ] = None,
    tokenizers: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Folder with bert-base-uncased/ and xlm-roberta/, each with a tokenizer.json.",
            rich_help_panel=_WHERE,
        ),
    ] = None,
    work: Annotated[
        Path | None,
        typer.Option(
            file_okay=False,
            help="Folder that keeps the checkpoints that are made (gigabytes); ~/.cache/bge-components if not given.",
            rich_help_panel=_WHERE,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write the results as JSON too.", rich_help_panel=_WHERE),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Measure this package and others, each in a process of its own, on networks of the true sizes.

    The weights are random where no checkpoint is given: speed does not depend on them. Rounds are interleaved and
    medians compared; beside every time stand the share of the machine's own matrix products and the lowest cosine
    to the fp32 reference.
    """
    from ..bench.choice import chosen_shapes, chosen_systems, chosen_workloads
    from ..bench.machine import cores, describe, processor_flags
    from ..bench.report import tables
    from ..bench.suite import Bench, run
    from ..bench.systems.environments import interpreters, missing

    workloads = chosen_workloads(workload or ())
    shapes = chosen_shapes(shape or (), model or (), quick=quick)
    systems = chosen_systems(system or (), processor_flags())
    count = threads or len(cores())
    say("measuring the machine's own matrix products")
    asked = Bench(
        shapes=shapes,
        systems=systems,
        interpreters=interpreters(peers),
        missing=missing(peers),
        machine=describe(shapes, count),
        work=work or _cache_folder(),
        tokenizers=tokenizers,
        corpus=texts,
        rounds=min(rounds, _QUICK_ROUNDS) if quick else rounds,
        seconds=min(seconds, _QUICK_S) if quick else seconds,
        threads=count,
        quick=quick,
        log=say,
    )
    results = run(asked, workloads, command=" ".join(["bge", *sys.argv[1:]]), out=out)
    if as_json:
        show_json(results.document())
    else:
        show(*tables(results))


def _cache_folder() -> Path:
    """Give the folder in which programs of this user keep what can be made again."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "bge-components" / "bench"
