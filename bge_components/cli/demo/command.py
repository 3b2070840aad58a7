"""`bge demo`: three ways of searching real text that every machine has, or the user's own."""

from __future__ import annotations

import time
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ...errors import InputError
from ..arguments import model_arguments
from ..console import is_interactive, say, show, show_json
from ..options import AsJson, Backend, BackendOption, CacheFolder, Device, DType, DTypeOption, Offline
from .folder import folder_documents
from .installed import installed_documents
from .passages import Passage, passages_of

if TYPE_CHECKING:
    from ...assembly import ModelArguments
    from .report import Setup
    from .search import ThreeWays

QUESTIONS = (
    "Which library gives me arrays like NumPy but on the graphics card?",
    "What is ceil_mode in pooling?",
    "What is padding_idx?",
    "What can I use to parse a web address with non-English letters?",
    "Is it safe to put text typed by a user into a web page?",
)
"""Answered by texts that come with this package's own dependencies."""
PASSAGE_LIMIT = 1000
_MINI_NOTE = (
    "'mini' is the small English model that comes with this package (an all-MiniLM-L6-v2 trunk, its token vectors "
    "reranking by late interaction): a stand-in that runs anywhere. For real work, and for other languages:\n"
    "  bge demo --model BAAI/bge-m3 --reranker BAAI/bge-reranker-v2-m3"
)


def demo(
    query: Annotated[
        list[str] | None, typer.Option("--query", "-q", help="A question of your own; repeatable.")
    ] = None,
    docs: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Search the .txt, .md, .rst and .html files below this folder."
        ),
    ] = None,
    model: Annotated[str, typer.Option("--model", "-m", help="Encoder for recall.")] = "mini",
    reranker: Annotated[str, typer.Option("--reranker", "-r", help="Reranker for the candidates.")] = "mini",
    top_n: Annotated[int, typer.Option("--top-n", "-n", min=1, help="Results to show.")] = 3,
    candidates: Annotated[int, typer.Option(min=1, help="Passages that the reranker gets.")] = 50,
    limit: Annotated[
        int | None,
        typer.Option(
            min=0, help=f"Most passages to search; 0 is all. [default: {PASSAGE_LIMIT}; all with --docs]"
        ),
    ] = None,
    device: Device = None,
    dtype: DTypeOption = DType.AUTO,
    backend: BackendOption = Backend.TORCH,
    cache_folder: CacheFolder = None,
    offline: Offline = False,
    as_json: AsJson = False,
) -> None:
    """Show dense, hybrid and reranked search side by side.

    Searches the descriptions and docstrings of the Python packages that are installed here, nothing is
    downloaded; or the files below a folder of yours. For each question the results of dense vectors alone stand
    beside those of hybrid search (with M3's sparse vectors, or BM25 where the encoder gives none) and those that
    a reranker makes of them.
    """
    if docs and not query:
        raise typer.BadParameter(
            "a folder of your own needs questions of your own: add --query", param_hint="--docs"
        )
    passages = _passages(docs, limit)
    say(f"{len(passages):,} passages read; loading {' and '.join(dict.fromkeys((model, reranker)))}")
    from .report import answer_table, heading, plain

    parts = {
        name: model_arguments(
            name, device=device, dtype=dtype, backend=backend, cache_folder=cache_folder, offline=offline
        )
        for name in (model, reranker)
    }
    search, setup = _prepared(parts[model], parts[reranker], passages, candidates)
    if as_json:
        show_json(plain(setup, [search.answer(one) for one in query or QUESTIONS], top_n))
        return
    show(heading(setup))
    for one in query or QUESTIONS:
        show("", answer_table(search.answer(one), setup, top_n))
    if "mini" in parts:
        say(f"\n{_MINI_NOTE}")


def _passages(docs: Path | None, limit: int | None) -> list[Passage]:
    documents = folder_documents(docs) if docs else installed_documents()
    most = (0 if docs else PASSAGE_LIMIT) if limit is None else limit
    passages = list(islice(passages_of(documents, only_prose=docs is None), most or None))
    if not passages:
        raise InputError("no text was found to search")
    return passages


def _prepared(
    model: ModelArguments, reranker: ModelArguments, passages: list[Passage], candidates: int
) -> tuple[ThreeWays, Setup]:
    """Load both models and encode the passages."""
    from ...assembly import make_encoder, make_reranker
    from ...contracts import Output
    from ...encoders import EncoderSettings
    from ...pool import progress_bar, shared_pool
    from ...rerankers import RerankerSettings
    from .report import Setup
    from .search import ThreeWays

    started = time.perf_counter()
    infos = [shared_pool().warm_up(one.source()) for one in (model, reranker)]
    load_s = time.perf_counter() - started
    lexical = "sparse" if Output.SPARSE in infos[0].outputs else "bm25"
    search = ThreeWays(
        make_encoder(model, EncoderSettings(on_truncation="ignore")),
        make_reranker(reranker, RerankerSettings(on_truncation="ignore")),
        passages,
        lexical,
        candidates,
    )
    with progress_bar("encoding passages", show=is_interactive()) as progress:
        index_s = search.index(progress)
    if search.cut:
        say(f"{search.cut} passages are longer than {model.model} reads and were cut")
    sources = len({passage.source for passage in passages})
    return search, Setup(
        model=infos[0],
        reranker=infos[1],
        lexical=lexical,
        passages=len(passages),
        sources=sources,
        load_s=load_s,
        index_s=index_s,
    )
