"""`bge index`: documents into an index that stays in a folder, or what is in it."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ..errors import CheckpointNotFoundError, InputError
from .arguments import model_arguments
from .console import complain, counter, is_interactive, joined, say, show, show_json
from .doorway import advise
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
_PACKAGED = "mini"
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
    prune: Annotated[
        bool,
        typer.Option(
            "--prune",
            help="Delete the documents of text files that are not there any more below the folders that are given, "
            "after the others are added.",
        ),
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
    are metadata to filter by. The id of a text file is its absolute path, and that of a line without one follows from
    what it says. Documents that are there already are passed over without being encoded, so a run that
    was interrupted goes on where it stopped when it is run again. Search it with `bge search`.
    """
    from .stored import IndexChoice, made_with, stored_index

    folders = [file for file in files or [] if file.is_dir()]
    if prune and not folders:
        raise typer.BadParameter("name the folder whose files may be gone", param_hint="--prune")
    stored = stored_index(path)
    if not files and not delete:
        _describe(stored, as_json=as_json)
        return
    if not files:
        stored.need_manifest()
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
    if stored.manifest is not None:
        arguments = made_with(arguments, stored.manifest, model)
    choice = IndexChoice(
        channels=listed(channels, "--channels"),
        projection=projection,
        storage=None if storage is None else storage.value,
        long_documents=None if long is None else long.value,
        window_tokens=window_tokens,
    )
    settings = stored.settings(choice)
    from ..retrieval import HybridIndex
    from .inventory import inventory
    from .removal import deleted, pruned

    with (
        _small_one_advised(path, files or [], wanted=model is None and stored.manifest is None),
        HybridIndex(stored.encoder(arguments), stored.engine, settings) as opened,
    ):
        removed, missing = deleted(opened, delete or [])
        started = time.perf_counter()
        report = _written(opened, files or [], format_, replacing=replace)
        seconds = time.perf_counter() - started
        lost = pruned(opened, folders) if prune else 0
        if report.stored or removed or lost:
            _tidied(opened)
        held = inventory(path, opened.engine)
    done = {"deleted": removed, "not_there": missing, "pruned": lost, **asdict(report)}
    if as_json:
        show_json({**done, "seconds": round(seconds, 3), "index": held})
    else:
        _tell(done, seconds, held)


def _describe(stored: StoredIndex, *, as_json: bool) -> None:
    from .inventory import inventory, inventory_table

    stored.need_manifest()
    with closing(stored.engine):
        held = inventory(stored.path, stored.engine)
    if as_json:
        show_json(held)
    else:
        show(inventory_table(held))


@contextmanager
def _small_one_advised(path: Path, files: list[Path], *, wanted: bool) -> Iterator[None]:
    """Say how to go on without a download, where the checkpoint that nobody named cannot be had."""
    try:
        yield
    except CheckpointNotFoundError as error:
        command = shlex.join(["bge", "index", str(path), *map(str, files), "--model", _PACKAGED])
        if wanted:
            advise(error, f"To try it without a download: {command}")
        raise


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
        except InputError as error:
            raise InputError(str(error).replace("upsert()", "--replace")) from error
        except KeyboardInterrupt:
            say(f"the first {done:,} documents are stored: run the same again to go on")
            raise


def _tidied(opened: HybridIndex) -> None:
    with counter("documents: optimizing", show=is_interactive()):
        opened.optimize()
        opened.flush()


def _tell(done: dict[str, Any], seconds: float, held: dict[str, Any]) -> None:
    from .inventory import inventory_table

    told = [f"{done['stored']:,} stored", f"{done['unchanged']:,} unchanged"]
    told += [f"{done['deleted']:,} deleted"] if done["deleted"] else []
    told += [f"{done['pruned']:,} deleted because their files are gone"] if done["pruned"] else []
    rate = f" ({done['stored'] / seconds:,.0f} documents/s)" if done["stored"] else ""
    show(f"{joined(told)}, in {seconds:.1f} s{rate}", inventory_table(held))
    if done["not_there"]:
        complain(f"warning: --delete found no document {joined(map(repr, done['not_there']))}")
    if done["cut"]:
        complain(f"warning: {done['cut']:,} passages were longer than the checkpoint reads and were cut")
