"""The parts of the GPU benchmark: what each measures, in the process that is started for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch

from bge_components.assembly import ModelArguments, make_encoder, make_reranker
from bge_components.bench.agreement import lowest_cosine, nearest_score
from bge_components.bench.records import Measurement
from bge_components.bench.stopwatch import interleaved
from bge_components.bench.workloads.ours import named_ours, seconds_of
from bge_components.contracts import Output, TokenSequence
from bge_components.encoders import Encoder, EncoderSettings
from bge_components.pool import ModelPool
from bge_components.rerankers import RerankerSettings
from bge_components.settings import BatchSettings, PoolSettings

from .gpu_recovery import recovery
from .gpu_setting import Given, Setting

ROUNDS = 3
REFERENCE = 64
"""Texts that are compared with the fp32 reference."""
REFERENCE_BATCH = 32
BATCH_TOKENS = (8_192, BatchSettings().tokens_on("cuda"), 131_072)
PEER_BATCHES = (32, 256)
PEER = "sentence-transformers"

T = TypeVar("T")
Job = Callable[[], object]
Way = Callable[[Sequence[str]], Any]
"""Gives a dense vector per text, shape (n, dim)."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One part.

    Attributes:
        measure: Measures it.
        limit_s: Seconds after which its process is ended.
    """

    measure: Callable[[Setting], Iterator[Measurement]]
    limit_s: float


def base(setting: Setting) -> Iterator[Measurement]:
    """Encode texts of 512 and of 50 tokens with bge-base, with several batch sizes of either system."""
    for tokens, total in ((512, 1_500_000), (50, 1_000_000)):
        given = setting.given("bge-base", tokens, total)
        with ExitStack() as stack:
            encoders = {at_once: _encoder(given, setting, at_once, stack) for at_once in BATCH_TOKENS}
            ours = {f"bf16, {at_once} tokens at once": one for at_once, one in encoders.items()}
            ways = {named_ours(name): _ours(one) for name, one in ours.items()} | _peers(given, setting)
            cosines = _cosines(ways, given, _right(given, setting))
            jobs: dict[str, Job] = {name: partial(way, given.texts) for name, way in ways.items()}
            jobs[named_ours("bf16, network alone")] = _network_alone(encoders[max(BATCH_TOKENS)], given)
            yield from _timed(f"gpu bulk, {tokens} tokens", given, jobs, cosines)


def m3(setting: Setting) -> Iterator[Measurement]:
    """Encode texts of 512 tokens with bge-m3, dense beside sentence-transformers, then with all heads."""
    given = setting.given("bge-m3", 512, 300_000)
    with ExitStack() as stack:
        encoder = _encoder(given, setting, max(BATCH_TOKENS), stack)
        ours = {named_ours("bf16, dense"): _ours(encoder)}
        right = _right(given, setting)
        heads = ours | {named_ours("bf16, all heads"): _ours(encoder, ("dense", "sparse", "multi"))}
        for workload, ways in (
            ("gpu bulk, 512 tokens", ours | _peers(given, setting)),
            ("gpu outputs", heads),
        ):
            jobs: dict[str, Job] = {name: partial(way, given.texts) for name, way in ways.items()}
            yield from _timed(workload, given, jobs, _cosines(ways, given, right))


def reranker(setting: Setting) -> Iterator[Measurement]:
    """Score passages by one query with bge-reranker-v2-m3, in pairs of 512 tokens."""
    given = setting.given("bge-reranker-v2-m3", 512, 300_000)
    query = "what does the pool lend"
    with ExitStack() as stack:
        pool = stack.enter_context(_pool(setting, max(BATCH_TOKENS)))
        arguments = ModelArguments(model=str(given.folder), device=setting.device, dtype=setting.dtype)
        ours = make_reranker(arguments, RerankerSettings(on_truncation="ignore", max_tokens=512), pool)
        pairs = [(query, text) for text in given.texts]
        ways: dict[str, Callable[[Sequence[tuple[str, str]]], Any]] = {named_ours("bf16"): ours.score}
        peer = _cross_encoder(given, setting)
        ways |= {f"{PEER} bf16, batch {size}": _in_batches(peer, size) for size in PEER_BATCHES}
        right = _cross_encoder(given, replace(setting, fp32=True))(pairs[:REFERENCE], REFERENCE_BATCH)
        nearest = {name: nearest_score(way(pairs)[: len(right)], right) for name, way in ways.items()}
        jobs: dict[str, Job] = {name: partial(way, pairs) for name, way in ways.items()}
        yield from _timed("gpu rerank, 512 tokens", given, jobs, nearest)


PARTS: Mapping[str, Part] = {
    "bge-base": Part(measure=base, limit_s=140.0),
    "bge-m3": Part(measure=m3, limit_s=120.0),
    "reranker": Part(measure=reranker, limit_s=110.0),
    "recovery": Part(measure=recovery, limit_s=80.0),
}
"""In their order; all limits and the tests are less than ten minutes."""


def _timed(
    workload: str, given: Given, jobs: Mapping[str, Job], cosines: Mapping[str, float]
) -> Iterator[Measurement]:
    for job in jobs.values():
        job()
    times = interleaved({name: partial(seconds_of, job) for name, job in jobs.items()}, ROUNDS)
    tokens = sum(given.lengths)
    for name, seconds in times.items():
        yield Measurement(
            workload=workload,
            shape=given.shape.name,
            system=name,
            seconds=seconds,
            texts=len(given.texts),
            tokens=tokens,
            flops=given.shape.flops(given.lengths),
            lowest_cosine=cosines.get(name),
            numbers={"million_tokens_per_s": tokens / float(np.median(seconds)) / 1e6},
        )


def _pool(setting: Setting, at_once: int) -> ModelPool:
    batch = BatchSettings(max_tokens=at_once, max_items=at_once)
    return ModelPool(PoolSettings(devices=(setting.device,), memo_s=0, batch=batch))


def _encoder(given: Given, setting: Setting, at_once: int, stack: ExitStack) -> Encoder:
    arguments = ModelArguments(model=str(given.folder), device=setting.device, dtype=setting.dtype)
    settings = EncoderSettings(query_instruction="", document_instruction="", on_truncation="ignore")
    return make_encoder(arguments, settings, stack.enter_context(_pool(setting, at_once)))


def _network_alone(encoder: Encoder, given: Given) -> Job:
    """Give forward passes over the same tokens in full batches, with nothing around them."""
    with encoder.pool.lease(encoder.source) as lease:
        model = lease.residents[0].model
        ids, _ = lease.tokenizer.encode(given.texts, given.shape.max_tokens)
    rows = [TokenSequence(row, frozenset({Output.DENSE})) for row in ids]
    size = max(1, max(BATCH_TOKENS) // max(given.lengths))

    def run() -> None:
        for start in range(0, len(rows), size):
            model.run(rows[start : start + size])

    return run


def _ours(encoder: Encoder, outputs: Sequence[str] = ("dense",)) -> Way:
    return lambda texts: encoder.encode(texts, outputs=outputs).need_dense().values


def _peers(given: Given, setting: Setting) -> dict[str, Way]:
    encode = _sentences(given, setting)
    return {f"{PEER} bf16, batch {size}": _in_batches(encode, size) for size in PEER_BATCHES}


def _in_batches(run: Callable[[Sequence[T], int], Any], size: int) -> Callable[[Sequence[T]], Any]:
    return lambda given: run(given, size)


def _right(given: Given, setting: Setting) -> Any:
    """Give the vectors of the first texts by sentence-transformers in fp32."""
    return _sentences(given, replace(setting, fp32=True))(given.texts[:REFERENCE], REFERENCE_BATCH)


def _cosines(ways: Mapping[str, Way], given: Given, right: Any) -> dict[str, float]:
    """Compare the first texts, computed among all of them: in full batches."""
    return {name: lowest_cosine(way(given.texts)[: len(right)], right) for name, way in ways.items()}


def _sentences(given: Given, setting: Setting) -> Callable[[Sequence[str], int], Any]:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(given.folder), device=setting.device, model_kwargs=_kwargs(setting))
    model.max_seq_length = 512
    return lambda texts, size: model.encode(
        list(texts), batch_size=size, show_progress_bar=False, normalize_embeddings=True
    )


def _cross_encoder(given: Given, setting: Setting) -> Callable[[Sequence[tuple[str, str]], int], Any]:
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(
        str(given.folder), device=setting.device, max_length=512, model_kwargs=_kwargs(setting)
    )
    return lambda pairs, size: model.predict(list(pairs), batch_size=size, show_progress_bar=False)


def _kwargs(setting: Setting) -> dict[str, Any]:
    return {"dtype": torch.float32 if setting.fp32 else getattr(torch, setting.dtype)}
