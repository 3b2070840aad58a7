"""BERT, RoBERTa and XLM-RoBERTa as one small encoder over a packed row of tokens, without padding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .attention import first_token_attention, self_attention
from .batched_attention import ScoreRange, batching_pays
from .native_config import NativeConfig
from .pace import Pace
from .packing import Packed, Plan
from .products import Gelu, Linear, PackedLinear, packing_works, rows_of_products
from .quantized import GELU_FLOOR, QuantizedLinear, divisors
from .weights import StateDict

PREFIXES = ("bert.", "roberta.")
ROWS_AT_ONCE = 2048
"""Tokens that go through a layer together on a CPU: the layer's intermediate results should stay in the caches."""
PACKED_ROWS_AT_ONCE = 1536
"""The same where results are fresh tensors: small enough for the allocator to use their memory again."""

PRODUCTS = ("qkv", "attended", "inner", "outer")
_SOURCES = {
    "attended": "attention.output.dense",
    "attended_norm": "attention.output.LayerNorm",
    "inner": "intermediate.dense",
    "outer": "output.dense",
    "outer_norm": "output.LayerNorm",
}
"""Parts of a layer, and what transformers calls them."""
AnyLinear = Linear | PackedLinear | QuantizedLinear


class NativeEncoder(nn.Module):
    """The encoder; its forward pass takes a packed row and gives one hidden state per token."""

    shareable = True

    def __init__(self, config: NativeConfig) -> None:
        """Make it with room for the weights, which `fill` brings."""
        super().__init__()
        self.config = config
        self.words = _room(config.vocab, config.width)
        self.positions = _room(config.positions, config.width)
        self.types = _room(config.types, config.width)
        self.norm = _Norm(config)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.layers))
        self.rows_at_once = ROWS_AT_ONCE
        self.packed = False
        self.pace = Pace()

    def fill(self, state: StateDict) -> None:
        """Take the weights, by the names that transformers gives them.

        Raises:
            BrokenCheckpointError: If one is missing or has the wrong shape.
        """
        for name, room in (("word", self.words), ("position", self.positions), ("token_type", self.types)):
            room.copy_(state.take(f"embeddings.{name}_embeddings.weight", *room.shape))
        self.norm.fill(state, "embeddings.LayerNorm")
        for number, layer in enumerate(self._layers()):
            layer.fill(state, f"encoder.layer.{number}.")

    def pack(self) -> None:
        """Lay the weights of the layers out as the processor's own products want them, where that is known to work.

        A plain weight is laid out again at every call, which costs most where rows are few. With a thousand and more
        in fp32 the plain products are as fast.
        """
        dtype, device = self.words.dtype, self.words.device
        if device.type == "cpu" and packing_works(dtype):
            for layer in self._layers():
                layer.pack()
            self.rows_at_once, self.packed = PACKED_ROWS_AT_ONCE, True
        if device.type == "cpu":
            heads, width = self.config.heads, self.config.width
            batching_pays(dtype, heads, width // heads)  # its trial is over before texts come

    def quantize(self, peaks: Sequence[Mapping[str, Tensor]]) -> None:
        """Round the weights of the layers to int8, and the table of words to bf16.

        Args:
            peaks: For each layer and product the largest numbers seen in the columns ahead of it, shape (columns,).

        Raises:
            UnsupportedCheckpointError: If this torch has no right int8 products.
        """
        for layer, of_layer in zip(self._layers(), peaks):
            layer.quantize(of_layer)
        self.words = nn.Parameter(self.words.detach().to(torch.bfloat16), requires_grad=False)
        self.rows_at_once = PACKED_ROWS_AT_ONCE

    def in_fp32(self) -> NativeEncoder:
        """Give a copy that computes in fp32, with plain weights: those the network has, rounded as they are."""
        copy = deepcopy(self)
        for layer in copy._layers():
            layer.unpack()
        copy.rows_at_once, copy.packed = ROWS_AT_ONCE, False
        return copy.float()

    def forward(self, packed: Packed) -> Tensor:
        """Give the hidden states of the last layer, shape (tokens, width), or (sequences, width) of first tokens."""
        hidden = self.norm.normed(self._embedded(packed))
        parts = packed.plan.parts(self.rows_at_once) if hidden.device.type == "cpu" else []
        if len(parts) < 2:
            return self._through_layers([hidden], [packed.plan], packed.first_only)[0]
        states = [hidden[rows] for rows, _ in parts]
        return torch.cat(self._through_layers(states, [plan for _, plan in parts], packed.first_only))

    def _embedded(self, packed: Packed) -> Tensor:
        hidden = F.embedding(packed.ids, self.words).to(self.positions.dtype)  # (tokens, width)
        hidden += F.embedding(packed.plan.positions() + self.config.first_position, self.positions)
        hidden += self.types[0] if packed.type_ids is None else F.embedding(packed.type_ids, self.types)
        return hidden

    def _through_layers(self, states: list[Tensor], plans: list[Plan], first_only: bool) -> list[Tensor]:
        """Run all parts through a layer before the next one: its weights are then still in the caches.

        Where only first tokens are wanted, the last layer lets them alone attend, and computes nothing behind its
        attention for the others, whose states nobody reads.
        """
        *others, last = self._layers()
        states = [_filled_up(hidden, self._rows_for(plan.starts[-1])) for hidden, plan in zip(states, plans)]
        for layer in others:
            states = [layer.through(hidden, plan) for hidden, plan in zip(states, plans)]
        firsts = [self._rows_for(len(plan.lengths), 16) if first_only else 0 for plan in plans]
        states = [last.through(*given) for given in zip(states, plans, firsts)]
        return [
            hidden[: len(plan.lengths) if first_only else plan.starts[-1]]
            for hidden, plan in zip(states, plans)
        ]

    def _rows_for(self, needed: int, least_step: int = 1) -> int:
        return rows_of_products(needed, least_step) if self.packed else needed

    def _layers(self) -> Iterator[_Layer]:
        for layer in self.layers:
            assert isinstance(layer, _Layer)
            yield layer


class _Layer(nn.Module):
    def __init__(self, config: NativeConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.kind: Gelu = "tanh" if config.tanh_gelu else "none"
        self.scores = ScoreRange()
        self.qkv: AnyLinear = Linear(config.width, 3 * config.width)
        self.attended: AnyLinear = Linear(config.width, config.width)
        self.attended_norm = _Norm(config)
        self.inner: AnyLinear = Linear(config.width, config.inner)
        self.outer: AnyLinear = Linear(config.inner, config.width)
        self.outer_norm = _Norm(config)

    def fill(self, state: StateDict, prefix: str) -> None:
        assert isinstance(self.qkv, Linear)
        width = self.attended.bias.shape[0]
        for place, part in enumerate(("query", "key", "value")):
            rows, name = slice(place * width, (place + 1) * width), f"{prefix}attention.self.{part}"
            self.qkv.weight[rows].copy_(state.take(name + ".weight", width, width))
            self.qkv.bias[rows].copy_(state.take(name + ".bias", width))
        for name, source in _SOURCES.items():
            getattr(self, name).fill(state, prefix + source)

    def pack(self) -> None:
        for name in PRODUCTS:
            setattr(self, name, PackedLinear(getattr(self, name)))

    def quantize(self, peaks: Mapping[str, Tensor]) -> None:
        for name in PRODUCTS:
            plain, floor = getattr(self, name), GELU_FLOOR if name == "outer" else None
            even = None if name == "attended" else divisors(plain.weight, peaks[name])
            setattr(self, name, QuantizedLinear(plain, even, floor))

    def unpack(self) -> None:
        for name in PRODUCTS:
            if isinstance(layer := getattr(self, name), (PackedLinear, QuantizedLinear)):
                setattr(self, name, layer.plain())

    # These two are no `forward`: calling a module takes torch a microsecond, and a short pass does it 37 times.
    def through(self, hidden: Tensor, plan: Plan, first_rows: int = 0) -> Tensor:
        rows, tokens = hidden.shape[0], plan.starts[-1]  # rows beyond the tokens are there for their number
        qkv = self.qkv.product(hidden, "qkv")
        qkv = (qkv if rows == tokens else qkv[:tokens]).view(tokens, 3, self.heads, -1)  # last: head size
        if first_rows:  # from here on for first tokens alone, and so many rows
            query, key, value = qkv.unbind(1)
            rows, hidden = first_rows, _filled_up(hidden[plan.first_rows], first_rows)
            attended = first_token_attention(query[plan.first_rows], key, value, plan)
        else:
            attended = self_attention(qkv, plan, self.scores)
        attended = _filled_up(attended.flatten(1), rows)  # (rows, width)
        hidden = self.attended_norm.normed(self.attended.onto(hidden, attended, "sum"))
        inner = self.inner.gelu(hidden, "inner", self.kind)  # (tokens, inner)
        return self.outer_norm.normed(self.outer.onto(hidden, inner, "sum"))


class _Norm(nn.Module):
    def __init__(self, config: NativeConfig) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = _room(config.width), _room(config.width), config.eps
        self._shape = (config.width,)

    def fill(self, state: StateDict, name: str) -> None:
        self.weight.copy_(state.take(name + ".weight", *self.weight.shape))
        self.bias.copy_(state.take(name + ".bias", *self.bias.shape))

    def normed(self, hidden: Tensor) -> Tensor:
        return torch.layer_norm(hidden, self._shape, self.weight, self.bias, self.eps)


def _filled_up(states: Tensor, rows: int) -> Tensor:
    """Give the states with zeros behind them, so many rows in all; what needs none is not copied."""
    given = states.shape[0]
    return states if given == rows else F.pad(states, (0, 0, 0, rows - given))


def _room(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape), requires_grad=False)
