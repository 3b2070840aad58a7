"""`bge rerank`: texts and a query in, the texts in order out."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from .arguments import model_arguments
from .console import say, short_floats, write_json_line
from .options import (
    AsJsonLines,
    Backend,
    BackendOption,
    CacheFolder,
    Device,
    DType,
    DTypeOption,
    Files,
    FormatOption,
    InputFormat,
    MaxTokens,
    Offline,
    Revision,
    Scale,
    TrustRemoteCode,
)
from .records import records_from


def rerank(
    files: Files = None,
    query: Annotated[str, typer.Option("--query", "-q", help="What to order the texts by.")] = ...,  # type: ignore[assignment]
    model: Annotated[
        str, typer.Option("--model", "-m", help="Reranker, or an encoder with token vectors.")
    ] = "BAAI/bge-reranker-v2-m3",
    top_n: Annotated[int | None, typer.Option("--top-n", "-n", min=0, help="Keep so many.")] = None,
    threshold: Annotated[float | None, typer.Option(help="Keep those that score at least this.")] = None,
    scores: Annotated[Scale, typer.Option(help="Scale of the scores.")] = Scale.SIGMOID,
    text: Annotated[bool, typer.Option("--text/--no-text", help="Repeat the texts in the output.")] = True,
    format_: FormatOption = InputFormat.AUTO,
    max_tokens: MaxTokens = None,
    revision: Revision = None,
    device: Device = None,
    dtype: DTypeOption = DType.AUTO,
    backend: BackendOption = Backend.TORCH,
    cache_folder: CacheFolder = None,
    offline: Offline = False,
    trust_remote_code: TrustRemoteCode = False,
    as_json: AsJsonLines = False,
) -> None:
    """Order texts by a query: JSON lines {"rank", "id", "score", "text"}, best first.

    Equal scores keep the order in which the texts came.
    """
    records = list(records_from(files, format_))
    if not records:
        say("no texts came in, so nothing went out")
        return
    from ..assembly import make_reranker
    from ..rerankers import RerankerSettings

    reranker = make_reranker(
        model_arguments(
            model,
            revision=revision,
            device=device,
            dtype=dtype,
            backend=backend,
            cache_folder=cache_folder,
            offline=offline,
            trust_remote_code=trust_remote_code,
        ),
        RerankerSettings(scores=scores.value, max_tokens=max_tokens),
    )
    ranking = reranker.rank(query, [record.text for record in records]).best(top_n, threshold)
    found = zip(ranking.indices, short_floats(ranking.scores))
    for rank, (index, score) in enumerate(found, start=1):
        line = {"rank": rank, "id": records[index].id, "score": score}
        write_json_line({**line, "text": records[index].text} if text else line, sys.stdout)
