"""What the package is meant to reach, with its numbers: data."""

from __future__ import annotations

from bge_components.bench.records import Results
from bge_components.bench.shapes import SHAPES

from .values import (
    Found,
    first_beside_torch,
    import_s,
    memory_grows,
    number,
    one_caller_beside_peers,
    over_peers,
    peak_percent,
    ratio,
    tokenising_beside_computing,
    waits,
)
from .verdicts import Goal, Outcome, Processor, outcome


def outcomes(results: Results) -> list[Outcome]:
    """Hold a run against every goal."""
    return [outcome(goal, results) for goal in GOALS]


def _faster(
    says: str,
    bound: float,
    found: Found,
    on: Processor = "any",
    unit: str = " times as fast",
    shapes: tuple[str, ...] = (),
) -> Goal:
    return Goal(says=says, found=found, bound=bound, at_least=True, unit=unit, on=on, shapes=shapes)


def _at_most(says: str, bound: float, found: Found, unit: str) -> Goal:
    return Goal(says=says, found=found, bound=bound, unit=unit)


def _gpu(says: str, bound: float, length: int, shape: str, *, kind: str = "bulk", system: str = "") -> Goal:
    """Give a goal in million tokens per second, at the best batch size."""
    workload = f"gpu {kind}, {length} tokens"
    return Goal(
        says=f"GPU: {says} in bf16 computes {bound:.1f} million tokens/s at {length} tokens",
        found=number("million_tokens_per_s", workload=workload, system=system, shapes=shape),
        bound=bound,
        at_least=True,
        unit=" million tokens/s",
        of="best",
    )


_BGE = tuple(one for one in SHAPES.values() if one.name.startswith("bge-"))
_EMBEDDERS = tuple(one.name for one in _BGE if one.task == "embed")
_LARGE = ("bge-m3", "bge-large", *(one.name for one in _BGE if one.task == "rerank"))
_RERANK = "rerank 1 x 100"
_ALL_HEADS = r"dense \+ sparse \+ multi"

GOALS = (
    _faster(
        "with bf16: bge-base computes passages 2.0 times as fast as the fastest exact peer",
        2.0,
        over_peers("bulk passages", shapes="bge-base"),
        "with bf16",
    ),
    _faster(
        "with bf16: bge-base computes passages at 60 % of the machine's own products in bf16",
        60,
        peak_percent("bulk passages", "bge-base", "bf16"),
        "with bf16",
        " %",
    ),
    _faster(
        "with bf16: bge-small computes passages 2.0 times as fast as the fastest exact peer",
        2.0,
        over_peers("bulk passages", shapes="bge-small"),
        "with bf16",
    ),
    _faster(
        "with bf16: bge-m3, bge-large and rerankers compute passages 2.0 times as fast as the fastest exact peer",
        2.0,
        over_peers("bulk passages", "rerank", shapes="|".join(_LARGE)),
        "with bf16",
        shapes=_LARGE,
    ),
    _faster(
        "with bf16: no list and no reranking takes more than 5 % longer than with the fastest exact peer",
        1 / 1.05,
        over_peers("bulk", "rerank"),
        "with bf16",
        shapes=tuple(one.name for one in _BGE),
    ),
    _faster(
        "without bf16: every network computes passages 1.5 times as fast as sentence-transformers in fp32",
        1.5,
        over_peers("bulk passages", peer="sentence-transformers fp32"),
        "without bf16",
        shapes=_EMBEDDERS,
    ),
    _faster(
        "rerank: 1 query and 100 passages take 1.5 times less than with the fastest exact peer",
        1.5,
        over_peers(_RERANK),
    ),
    _faster(
        "rerank: 1 query and 100 passages take 4 times less than with FlagEmbedding's reranker",
        4.0,
        over_peers(_RERANK, peer="FlagEmbedding"),
    ),
    _at_most(
        "outputs: all three of BGE-M3 take at most 1.15 times what dense alone takes",
        1.15,
        ratio("outputs", _ALL_HEADS, "dense"),
        " times dense alone",
    ),
    _faster(
        "online: 32 callers with a passage each get at least 90 % of the bulk rate",
        90,
        number("of_bulk_percent", workload="online passages", callers=32),
        unit=" %",
    ),
    _faster(
        "online: 32 callers with a query each get at least 90 % of the bulk rate",
        90,
        number("of_bulk_percent", workload="online queries", callers=32),
        unit=" %",
    ),
    _faster(
        "online: one caller with one text waits no more than 5 % longer than with the fastest exact peer",
        1 / 1.05,
        one_caller_beside_peers,
    ),
    _at_most(
        "online: one call costs at most 1 ms above the bare forward pass",
        1.0,
        number("over_bare_ms", workload="online", system="threads"),
        " ms",
    ),
    _at_most(
        "adapters: a batch of 64 costs at most 5 % more than through the encoder",
        5.0,
        number("over_encoder_percent", workload="adapters"),
        " %",
    ),
    _at_most(
        "mixed: queries beside a bulk wait at most 3 times their p99 without it, and one batch (p99)",
        1.0,
        waits,
        " of what is allowed",
    ),
    _at_most(
        "growth: tokenising alone takes less than the computing that it overlaps with",
        1.0,
        tokenising_beside_computing,
        " of the computing",
    ),
    _at_most(
        "growth: memory without the result at 100,000 texts is at most 105 % of that at 10,000",
        1.05,
        memory_grows,
        " of the memory",
    ),
    _at_most(
        "startup: `import bge_components` takes at most 0.3 s, Python's own start included",
        0.3,
        import_s,
        " s",
    ),
    _at_most(
        "startup: the first embedding with mini takes at most 1.3 times what a bare `import torch` takes",
        1.3,
        first_beside_torch,
        " times `import torch`",
    ),
    _gpu("bge-base", 1.8, 512, "bge-base", system=r"\d+ tokens at once"),
    _gpu("bge-base", 1.5, 50, "bge-base", system=r"\d+ tokens at once"),
    _gpu("bge-m3, dense,", 0.6, 512, "bge-m3", system="dense"),
    _at_most(
        "GPU: all three outputs of BGE-M3 take at most 1.15 times what dense alone takes",
        1.15,
        ratio("gpu outputs", "all heads", "dense"),
        " times dense alone",
    ),
    _gpu("bge-reranker-v2-m3", 0.5, 512, "bge-reranker-v2-m3", kind="rerank"),
)
