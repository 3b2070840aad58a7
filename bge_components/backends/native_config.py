"""The numbers of a config.json that make a BERT, RoBERTa or XLM-RoBERTa network, and which networks are such."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import BrokenCheckpointError

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


def _or(value: Any, other: Any) -> Any:
    return other if value is None else value
