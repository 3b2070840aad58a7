"""`bge index`: documents into an index that stays in a folder, or what is in it."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .arguments import model_arguments
from .console import complain, counter, is_interactive, joined, say, show, show_json
from .options import (
    AsJson,
    Backend,
    BackendOption,
    CacheFolder,
    Device,
    DType,
    DTypeOption,
    IndexFolder,
    InputFormat,
    LongDocuments,
    Offline,
    Revision,
    Storage,
    TrustRemoteCode,
    listed,
)

if TYPE_CHECKING:
    from ..contracts import Progress
    from ..retrieval import HybridIndex, IngestReport
    from .stored import StoredIndex

_FIRST_MODEL = "BAAI/bge-m3"
_NEW_PANEL = "What a new index keeps (it cannot be changed later)"


def index(
    path: IndexFolder,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help='JSON lines (.jsonl), text files, folders of both, or "-" for stdin; without any, the index is '
            "described.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help=f"Checkpoint; if not given, the one that the index was made with, for a new one {_FIRST_MODEL}.",
            show_default=False,
        ),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Replace documents whose id is there with another text or metadata."),
    ] = False,
    delete: Annotated[
        list[str] | None,
        typer.Option(help="Delete the document with this id, before any is added; repeatable."),
    ] = None,
    format_: Annotated[
        InputFormat,
        typer.Option(
            "--format",
            help='"auto": .jsonl files are JSON lines, other files are one document each, and stdin is what its '
            "first line looks like; the others hold for every file.",
        ),
    ] = InputFormat.AUTO,
    channels: Annotated[
        str | None,
        typer.Option(
            help="Some of dense,sparse,multi,bm25; if not given, all that the checkpoint gives, and bm25 where it "
            "gives no sparse vectors.",
            rich_help_panel=_NEW_PANEL,
        ),
    ] = None,
    projection: Annotated[
        int | None,
        typer.Option(min=1, help="Project token vectors to so many dimensions.", rich_help_panel=_NEW_PANEL),
    ] = None,
    storage: Annotated[
        Storage | None,
        typer.Option(
            help="Number format of dense and token vectors. [default: float32 and float16]",
            rich_help_panel=_NEW_PANEL,
        ),
    ] = None,
    long: Annotated[
        LongDocuments | None,
        typer.Option(
            help="Index long documents in overlapping windows, or in chunks that were read in one pass, or only "
            "their beginning. [default: windows]",
            rich_help_panel=_NEW_PANEL,
        ),
    ] = None,
    window_tokens: Annotated[
        int | None,
        typer.Option(min=8, help="Length of a window or chunk.", rich_help_panel=_NEW_PANEL),
    ] = None,
    revision: Revision = None,
    device: Device = None,
    dtype: DTypeOption = DType.AUTO,
    backend: BackendOption = Backend.TORCH,
    cache_folder: CacheFolder = None,
    offline: Offline = False,
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJson = False,
) -> None:
    """Make an index in a folder, add documents to it, or describe it.

    A JSON line is {"text", "id" or "_id", "title", "metadata"}; a title goes before the text, and all other fields
    are metadata to filter by. Documents that are there already are passed over without being encoded, so a run that
    was interrupted goes on where it stopped when it is run again. Search it with `bge search`.
    """
    from .stored import IndexChoice, made_with, stored_index

    stored = stored_index(path)
    if not files and not delete:
        _describe(stored, as_json=as_json)
        return
    arguments = model_arguments(
        model or _FIRST_MODEL,
        revision=revision,
        device=device,
        dtype=dtype,
        backend=backend,
        cache_folder=cache_folder,
        offline=offline,
        trust_remote_code=trust_remote_code,
    )
    if model is None and stored.manifest is not None:
        arguments = made_with(arguments, stored.manifest)
    choice = IndexChoice(
        channels=listed(channels, "--channels"),
        projection=projection,
        storage=None if storage is None else storage.value,
        long_documents=None if long is None else long.value,
        window_tokens=window_tokens,
    )
    from ..retrieval import HybridIndex
    from .inventory import inventory

    with HybridIndex(stored.encoder(arguments), stored.engine, stored.settings(choice)) as opened:
        deleted = _deleted(opened, delete or [])
        started = time.perf_counter()
        report = _written(opened, files or [], format_, replacing=replace)
        seconds = time.perf_counter() - started
        if report.stored or deleted:
            _tidied(opened)
        held = inventory(path, opened.engine)
    _tell(report, deleted, seconds, held, as_json=as_json)


def _describe(stored: StoredIndex, *, as_json: bool) -> None:
    from .inventory import inventory, inventory_table

    stored.need_manifest()
    with closing(stored.engine):
        held = inventory(stored.path, stored.engine)
    if as_json:
        show_json(held)
    else:
        show(inventory_table(held))


def _deleted(opened: HybridIndex, ids: list[str]) -> int:
    """Delete documents; give how many of them were there."""
    if not ids:
        return 0
    there = sum(document is not None for document in opened.get(ids))
    opened.delete(ids)
    return there


def _written(opened: HybridIndex, files: list[Path], kind: InputFormat, *, replacing: bool) -> IngestReport:
    """Add the documents of the files; whoever interrupts is told what is stored."""
    from ..contracts import CallOptions
    from .documents import documents_from

    done = 0
    with counter("documents done", show=is_interactive()) as tell:

        def advance(progress: Progress) -> None:
            nonlocal done
            done = progress.done
            tell(done)

        write = opened.upsert if replacing else opened.add
        try:
            return write(documents_from(files, kind), CallOptions(progress=advance))
        except KeyboardInterrupt:
            say(f"the first {done:,} documents are stored: run the same again to go on")
            raise


def _tidied(opened: HybridIndex) -> None:
    with counter("documents: optimizing", show=is_interactive()):
        opened.optimize()
        opened.flush()


def _tell(report: IngestReport, deleted: int, seconds: float, held: dict[str, Any], *, as_json: bool) -> None:
    from .inventory import inventory_table

    if as_json:
        done = {"deleted": deleted, **asdict(report), "seconds": round(seconds, 3)}
        show_json({**done, "index": held})
        return
    told = [f"{report.stored:,} stored", f"{report.unchanged:,} unchanged"]
    told += [f"{deleted:,} deleted"] if deleted else []
    rate = f" ({report.stored / seconds:,.0f} documents/s)" if report.stored else ""
    show(f"{joined(told)}, in {seconds:.1f} s{rate}", inventory_table(held))
    if report.cut:
        complain(f"warning: {report.cut:,} passages were longer than the checkpoint reads and were cut")
