"""The shapes of published examples: inputs, the numbers that somebody printed for them, and how exact they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from ..contracts import Role

Row: TypeAlias = tuple[float, ...]
Pairs: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Example:
    """What was published about one checkpoint.

    Attributes:
        source: Where the numbers were printed.
        tolerance: Largest absolute difference that is still the same number: most were computed in fp16 on a
            GPU, or printed with few digits.
    """

    source: str
    tolerance: float


@dataclass(frozen=True, kw_only=True)
class SimilarityExample(Example):
    """Inner products of dense vectors, with the checkpoint's own instructions.

    Attributes:
        queries: Encoded in the role of queries.
        passages: Encoded in the role of documents.
        matrix: One row per query, one column per passage.
        task: The task whose instruction pair was used; None for the checkpoint's default.
    """

    queries: tuple[str, ...]
    passages: tuple[str, ...]
    matrix: tuple[Row, ...]
    task: str | None = None


@dataclass(frozen=True, kw_only=True)
class PairScoresExample(Example):
    """The five scores of BGE-M3 for (query, passage) pairs; see `encoders.pair_scores` for their meaning.

    Attributes:
        pairs: (query, passage) tuples.
        weights: Of dense, sparse and multi-vector, in this order.
        dense, sparse, multi, sparse_dense, all: One score per pair.
    """

    pairs: Pairs
    weights: tuple[float, float, float]
    dense: Row
    sparse: Row
    multi: Row
    sparse_dense: Row
    all: Row


@dataclass(frozen=True, kw_only=True)
class LexicalWeightsExample(Example):
    """Weights of BGE-M3's sparse head.

    Attributes:
        texts: What was encoded.
        weights: One {token without its word-boundary mark: weight} per text.
    """

    texts: tuple[str, ...]
    weights: tuple[Mapping[str, float], ...] = field(hash=False)


@dataclass(frozen=True, kw_only=True)
class RerankExample(Example):
    """Scores of a cross-encoder. The tolerance is that of the logits.

    Attributes:
        pairs: (query, passage) tuples.
        raw: One logit per pair.
        sigmoid: The same as printed on the scale from 0 to 1; empty where only logits were printed.
    """

    pairs: Pairs
    raw: Row
    sigmoid: Row = ()


@dataclass(frozen=True, kw_only=True)
class VectorExample(Example):
    """The first dimensions of one dense vector, normalised.

    Attributes:
        text: What was encoded.
        first: Its first dimensions.
        role: In which role; as a document the BGE checkpoints add no instruction.
    """

    text: str
    first: Row
    role: Role = "document"
