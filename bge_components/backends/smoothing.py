"""How large the columns ahead of each matrix product become on a few fixed texts, for int8 to even them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from ..contracts import Int32, TextTokenizer, TokenSequence
from . import scratch
from .native import PRODUCTS, AnyLinear, NativeEncoder
from .packing import order_by_length, packed
from .products import Gelu

TEXTS = (
    "what is a hybrid search?",
    "The committee met on 14 March 2019 and approved the budget of $3.2 million; two members voted against it.",
    "Mitochondrial DNA mutations accumulate with age, and mice that lack proofreading by polymerase gamma show "
    "reduced lifespan, hair loss and anaemia (p < 0.001, n = 24), which suggests a causal role in ageing tissue.",
    "def mean(values): return sum(values) / len(values)  # fails for an empty list",
    "大熊猫生活在中国西南部的山区，主要以竹子为食，是受到保护的动物。",
    "El aprendizaje automático permite que un programa mejore con los datos; ¿cuándo conviene usarlo?",
    "Der Vertrag kann von beiden Seiten mit einer Frist von drei Monaten zum Ende des Jahres gekündigt werden.",
    "Les ingénieurs ont mesuré la température de l'eau toutes les heures pendant l'été.",
    "東京は日本の首都で、世界でも最大級の都市の一つです。",
    "Москва находится на западе России, на реке Москве.",
    "المكتبة مفتوحة كل يوم من الساعة التاسعة صباحا.",
    "नई दिल्ली भारत की राजधानी है।",
)
"""What is read at load: a few languages and kinds of text, the same for everybody and every time."""
TOKENS_EACH = 48
"""A text is cut here: all together are at most some five hundred tokens."""

Peaks = Mapping[str, Tensor]
"""For each product of a layer the largest absolute number in each column ahead of it, shape (columns,)."""


def watched_peaks(encoder: NativeEncoder, tokenizer: TextTokenizer) -> list[Peaks]:
    """Run the fixed texts through the network in fp32 and give the peaks of every layer, in order."""
    plain = [{name: getattr(layer, name) for name in PRODUCTS} for layer in encoder.layers]
    watched = [{name: _Watched(part) for name, part in parts.items()} for parts in plain]
    try:
        _put(encoder, watched)
        with torch.inference_mode():  # as all that uses the buffers of a thread
            _read(encoder, tokenizer)
    finally:
        _put(encoder, plain)
        scratch.give_back()  # the thread that loads is seldom the one that computes
    return [{name: part.peaks.clone() for name, part in parts.items()} for parts in watched]


def _put(encoder: NativeEncoder, layers: Sequence[Mapping[str, nn.Module]]) -> None:
    for layer, parts in zip(encoder.layers, layers):
        for name, part in parts.items():
            setattr(layer, name, part)


def _read(encoder: NativeEncoder, tokenizer: TextTokenizer) -> None:
    most = min(TOKENS_EACH, encoder.config.max_tokens)
    rows, _ = tokenizer.encode(TEXTS, most)
    batch = [TokenSequence(ids, frozenset()) for row in rows if len(ids := _known(row, encoder.config.vocab))]
    ordered = [batch[index] for index in order_by_length(batch)]
    encoder(packed(ordered, encoder.words.device))


def _known(ids: Int32, vocabulary: int) -> Int32:
    return ids[ids < vocabulary]


class _Watched(nn.Module):
    """A linear layer that remembers the peaks of what it was given."""

    def __init__(self, part: AnyLinear) -> None:
        super().__init__()
        self.part, self.bias = part, part.bias
        self.peaks = torch.zeros(())

    def product(self, rows: Tensor, slot: str) -> Tensor:
        return self._seen(rows).product(rows, slot)

    def gelu(self, rows: Tensor, slot: str, kind: Gelu) -> Tensor:
        return self._seen(rows).gelu(rows, slot, kind)

    def onto(self, residual: Tensor, rows: Tensor, slot: str) -> Tensor:
        return self._seen(rows).onto(residual, rows, slot)

    def _seen(self, rows: Tensor) -> AnyLinear:
        self.peaks = torch.maximum(self.peaks, rows.abs().amax(0))
        return self.part
