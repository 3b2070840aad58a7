"""BERT, RoBERTa and XLM-RoBERTa as one small encoder over a packed row of tokens, without padding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..errors import BrokenCheckpointError
from .attention import packed_attention
from .packing import Packed, Plan
from .weights import StateDict

PREFIXES = ("bert.", "roberta.")
_EXACT_GELU = ("gelu", "gelu_python")
_TANH_GELU = ("gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_python_tanh")
_ROBERTA = ("roberta", "xlm-roberta")


@dataclass(frozen=True, kw_only=True)
class NativeConfig:
    """The numbers of a config.json that make the network.

    Attributes:
        roberta: RoBERTa's head and positions, else BERT's.
        layers, heads, width, inner, vocab, types: Sizes; `inner` is that of the feed-forward layer.
        positions: Rows of the position table.
        first_position: Row of a sequence's first token: padding id + 1 for RoBERTa, 0 for BERT.
        eps: Of every LayerNorm.
        tanh_gelu: GELU by its tanh approximation.
    """

    roberta: bool
    layers: int
    heads: int
    width: int
    inner: int
    vocab: int
    types: int
    positions: int
    first_position: int
    eps: float
    tanh_gelu: bool

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> NativeConfig:
        """Take the numbers from a config.json.

        Raises:
            BrokenCheckpointError: If one is missing or does not fit the others.
        """
        try:
            return cls._read(config)
        except (KeyError, TypeError, ValueError) as error:
            raise BrokenCheckpointError(
                f"config.json: expected the sizes of the network: {error!r}"
            ) from error

    @classmethod
    def _read(cls, config: Mapping[str, Any]) -> NativeConfig:
        roberta = config["model_type"] in _ROBERTA
        made = cls(
            roberta=roberta,
            layers=int(config["num_hidden_layers"]),
            heads=int(config["num_attention_heads"]),
            width=int(config["hidden_size"]),
            inner=int(config["intermediate_size"]),
            vocab=int(config["vocab_size"]),
            types=int(config.get("type_vocab_size", 2)),
            positions=int(config["max_position_embeddings"]),
            first_position=int(_or(config.get("pad_token_id"), 1)) + 1 if roberta else 0,
            eps=float(config.get("layer_norm_eps", 1e-12)),
            tanh_gelu=config.get("hidden_act", "gelu") in _TANH_GELU,
        )
        if made.width % made.heads:
            raise ValueError(f"hidden_size {made.width} is no multiple of num_attention_heads {made.heads}")
        if made.max_tokens < 1:
            raise ValueError(f"max_position_embeddings {made.positions} leaves no room for a token")
        return made

    @property
    def max_tokens(self) -> int:
        """Longest sequence, special tokens included."""
        return self.positions - self.first_position


def runs_natively(config: Mapping[str, Any]) -> bool:
    """Say whether the network that a config.json describes is one that this module knows."""
    return (
        config.get("model_type") in ("bert", *_ROBERTA)
        and config.get("hidden_act", "gelu") in (*_EXACT_GELU, *_TANH_GELU)
        and config.get("position_embedding_type", "absolute") in (None, "absolute")
        and not config.get("is_decoder")
        and not config.get("add_cross_attention")
    )


class NativeEncoder(nn.Module):
    """The encoder; its forward pass takes a packed row and gives one hidden state per token."""

    def __init__(self, config: NativeConfig) -> None:
        """Make it with room for the weights, which `fill` brings."""
        super().__init__()
        self.config = config
        self.words = _room(config.vocab, config.width)
        self.positions = _room(config.positions, config.width)
        self.types = _room(config.types, config.width)
        self.norm = _Norm(config)
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.layers))

    def fill(self, state: StateDict) -> None:
        """Take the weights, by the names that transformers gives them.

        Raises:
            BrokenCheckpointError: If one is missing or has the wrong shape.
        """
        for name, room in (("word", self.words), ("position", self.positions), ("token_type", self.types)):
            room.copy_(state.take(f"embeddings.{name}_embeddings.weight", *room.shape))
        self.norm.fill(state, "embeddings.LayerNorm")
        for number, layer in enumerate(self.layers):
            assert isinstance(layer, _Layer)
            layer.fill(state, f"encoder.layer.{number}.")

    def forward(self, packed: Packed) -> Tensor:
        """Give the hidden states of the last layer, shape (tokens, width)."""
        hidden = F.embedding(packed.ids, self.words)  # (tokens, width)
        hidden += F.embedding(packed.plan.positions() + self.config.first_position, self.positions)
        hidden += self.types[0] if packed.type_ids is None else F.embedding(packed.type_ids, self.types)
        hidden = self.norm(hidden)
        for layer in self.layers:
            hidden = layer(hidden, packed.plan)
        return hidden  # type: ignore[no-any-return]


class _Layer(nn.Module):
    def __init__(self, config: NativeConfig) -> None:
        super().__init__()
        self.heads = config.heads
        self.approximate = "tanh" if config.tanh_gelu else "none"
        self.qkv = Linear(config.width, 3 * config.width)
        self.attended = Linear(config.width, config.width)
        self.attended_norm = _Norm(config)
        self.inner = Linear(config.width, config.inner)
        self.outer = Linear(config.inner, config.width)
        self.outer_norm = _Norm(config)

    def fill(self, state: StateDict, prefix: str) -> None:
        width = self.attended.weight.shape[0]
        for place, part in enumerate(("query", "key", "value")):
            rows, name = slice(place * width, (place + 1) * width), f"{prefix}attention.self.{part}"
            self.qkv.weight[rows].copy_(state.take(name + ".weight", width, width))
            self.qkv.bias[rows].copy_(state.take(name + ".bias", width))
        self.attended.fill(state, prefix + "attention.output.dense")
        self.attended_norm.fill(state, prefix + "attention.output.LayerNorm")
        self.inner.fill(state, prefix + "intermediate.dense")
        self.outer.fill(state, prefix + "output.dense")
        self.outer_norm.fill(state, prefix + "output.LayerNorm")

    def forward(self, hidden: Tensor, plan: Plan) -> Tensor:
        qkv = self.qkv(hidden).view(len(hidden), 3, self.heads, -1)  # (tokens, 3, heads, head size)
        query, key, value = qkv.unbind(1)
        attended = packed_attention(query, key, value, plan).flatten(1)  # (tokens, width)
        hidden = self.attended_norm(self.attended(attended).add_(hidden))
        inner = F.gelu(self.inner(hidden), approximate=self.approximate)  # (tokens, inner)
        normed: Tensor = self.outer_norm(self.outer(inner).add_(hidden))
        return normed


class Linear(nn.Module):
    """A linear layer without the time spent on a random start."""

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__()
        self.weight = _room(rows, columns)
        self.bias = _room(rows)

    def fill(self, state: StateDict, name: str) -> None:
        """Take weight and bias from a checkpoint.

        Raises:
            BrokenCheckpointError: If one is missing or has the wrong shape.
        """
        prefix = name + "." if name else ""
        self.weight.copy_(state.take(prefix + "weight", *self.weight.shape))
        self.bias.copy_(state.take(prefix + "bias", *self.bias.shape))

    def forward(self, rows: Tensor) -> Tensor:
        """Give `rows` times the weight, plus the bias."""
        return F.linear(rows, self.weight, self.bias)


class _Norm(nn.Module):
    def __init__(self, config: NativeConfig) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = _room(config.width), _room(config.width), config.eps

    def fill(self, state: StateDict, name: str) -> None:
        self.weight.copy_(state.take(name + ".weight", *self.weight.shape))
        self.bias.copy_(state.take(name + ".bias", *self.bias.shape))

    def forward(self, hidden: Tensor) -> Tensor:
        return F.layer_norm(hidden, self.weight.shape, self.weight, self.bias, self.eps)


def _room(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.empty(shape), requires_grad=False)


def _or(value: Any, other: Any) -> Any:
    return other if value is None else value
