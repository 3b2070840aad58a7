"""`bge search`: the documents of an index that answer a question, and why each was found."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Annotated, Any

import typer

from ...errors import InputError
from ..arguments import model_arguments
from ..console import is_coloured, show, write_json_line
from ..options import (
    Backend,
    BackendOption,
    CacheFolder,
    Device,
    DType,
    DTypeOption,
    FusionName,
    IndexFolder,
    InputFormat,
    Offline,
    Revision,
    TrustRemoteCode,
    listed,
)
from ..records import records_from

_PLAN_PANEL = "How it is searched"


def search(
    path: IndexFolder,
    queries: Annotated[
        list[str], typer.Argument(help='Questions; "-" reads one per line from stdin.', show_default=False)
    ],
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Checkpoint; if not given, the one that the index was made with."),
    ] = None,
    top_k: Annotated[int, typer.Option("--top-k", "-k", min=0, help="Documents to show.")] = 5,
    filter_: Annotated[
        str | None,
        typer.Option("--filter", help='Metadata as JSON: \'{"lang": "en", "year": {"$gte": 2020}}\'.'),
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(
            help="Which of the index's channels count; multi rescores what the others recall. [default: all]",
            rich_help_panel=_PLAN_PANEL,
        ),
    ] = None,
    fusion: Annotated[
        FusionName,
        typer.Option(
            help="Sum of scores normalised so, or reciprocal ranks, or M3's own sum.",
            rich_help_panel=_PLAN_PANEL,
        ),
    ] = FusionName.DISTRIBUTION,
    weights: Annotated[
        str | None,
        typer.Option(
            help='Weights of channels: "dense=1,sparse=0.5"; others weigh 1.', rich_help_panel=_PLAN_PANEL
        ),
    ] = None,
    rerank: Annotated[
        str | None,
        typer.Option(
            help="Reranker, or an encoder with token vectors, for the best candidates.",
            rich_help_panel=_PLAN_PANEL,
        ),
    ] = None,
    candidates: Annotated[
        int, typer.Option(min=1, help="Documents that the reranker gets.", rich_help_panel=_PLAN_PANEL)
    ] = 50,
    threshold: Annotated[
        float | None,
        typer.Option(help="Least score, on the scale of the last stage.", rich_help_panel=_PLAN_PANEL),
    ] = None,
    diverse: Annotated[
        float | None,
        typer.Option(
            min=0,
            max=1,
            help="Maximal marginal relevance with this lambda: 1 is relevance alone, 0 diversity alone.",
            rich_help_panel=_PLAN_PANEL,
        ),
    ] = None,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Show why each was found: channels, shared words, tokens that met."),
    ] = False,
    revision: Revision = None,
    device: Device = None,
    dtype: DTypeOption = DType.AUTO,
    backend: BackendOption = Backend.TORCH,
    cache_folder: CacheFolder = None,
    offline: Offline = False,
    trust_remote_code: TrustRemoteCode = False,
    as_json: Annotated[bool, typer.Option("--json", help="Write one JSON line per question.")] = False,
) -> None:
    """Search an index that `bge index` made, with the checkpoint it was made with.

    With --json, a line for each question: {"query", "hits": [{"rank", "id", "score", "text", "metadata", "passage",
    "window", "channels", "fused", "reranked"}]}, with --explain also "matched" and "met".
    """
    asked = _asked(queries)
    condition = _condition(filter_)
    from ...retrieval import Explanation, HybridIndex
    from ..stored import made_with, stored_index
    from .absence import why_nothing
    from .marks import marked_spans, one_line
    from .plan import PlanChoice, query_plan
    from .report import empty_report, explained_report, hits_report, plain_hits

    choice = PlanChoice(
        top_k=top_k,
        channels=listed(channels, "--channels"),
        fusion=fusion,
        weights=_weights(weights),
        candidates=candidates,
        threshold=threshold,
        diverse=diverse,
    )
    stored = stored_index(path)
    manifest = stored.need_manifest()
    arguments = model_arguments(
        model or manifest.model,
        revision=revision,
        device=device,
        dtype=dtype,
        backend=backend,
        cache_folder=cache_folder,
        offline=offline,
        trust_remote_code=trust_remote_code,
    )
    plan = query_plan(choice, None if rerank is None else replace(arguments, model=rerank, revision=None))
    encoder = stored.encoder(made_with(arguments, manifest, model))
    with HybridIndex(encoder, stored.engine, plan=plan) as index:
        found = index.search_batch(asked, filter=condition, explain=explain)
        for query, hits in zip(asked, found):
            if as_json:
                write_json_line({"query": query, "hits": plain_hits(hits)}, sys.stdout)
            elif not hits:
                show(empty_report(query, why_nothing(index, query, condition)))
            elif explain:
                language = manifest.settings.bm25.language
                marks = [
                    marked_spans(one_line(hit.passage), hit.explanation or Explanation(), encoder, language)
                    for hit in hits
                ]
                show(explained_report(query, hits, marks, coloured=is_coloured()))
            else:
                show(hits_report(query, hits))


def _asked(queries: list[str]) -> list[str]:
    if queries != ["-"]:
        return queries
    return [record.text for record in records_from(None, InputFormat.LINES)]


def _condition(given: str | None) -> Any:
    """Read a filter; what is in it is checked where it is used."""
    if given is None:
        return None
    try:
        value = json.loads(given)
    except ValueError as error:
        raise InputError(f"--filter {given!r} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise InputError(f'--filter must be a JSON object such as {{"lang": "en"}}, got {given!r}')
    return value


def _weights(given: str | None) -> dict[str, float]:
    weights: dict[str, float] = {}
    for part in listed(given, "--weights") or ():
        name, _, number = part.partition("=")
        try:
            weights[name.strip()] = float(number)
        except ValueError as error:
            raise InputError(
                f'--weights must look like "dense=1,sparse=0.5", and {part!r} does not'
            ) from error
    return weights
