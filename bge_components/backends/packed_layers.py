"""How transformers' attention layers see a packed row: an attention function and a mask function of our own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any

from torch import Tensor, nn

from .attention import AttentionKind, packed_attention
from .packing import Plan

PACKED = "bge_packed"
"""Name of the attention implementation, as transformers spells such names."""

_plan: ContextVar[Plan] = ContextVar("bge_plan")


class CannotPackError(Exception):
    """A layer asked for something that packed attention does not do; its network runs unpacked."""


@contextmanager
def planned(plan: Plan) -> Iterator[None]:
    """Tell the layers of the forward passes inside where each sequence of the row lies."""
    token = _plan.set(plan)
    try:
        yield
    finally:
        _plan.reset(token)


@lru_cache(maxsize=1)
def register() -> None:
    """Make the implementation known to transformers."""
    from transformers import AttentionInterface, AttentionMaskInterface

    AttentionInterface.register(PACKED, _attention)
    AttentionMaskInterface.register(PACKED, _no_mask)


def _attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None = None,
    *,
    scaling: float | None = None,
    is_causal: bool | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **others: Any,
) -> tuple[Tensor, None]:
    """Attend within sequences; see transformers' AttentionInterface for the arguments.

    Tensors come as (1, heads, tokens, head size) and leave as (1, tokens, heads, head size).
    """
    plan = _plan.get()
    unknown = [name for name in ("position_bias", "s_aux", "head_mask") if others.get(name) is not None]
    if attention_mask is not None or unknown or query.shape[2] != plan.starts[-1]:
        raise CannotPackError(f"{type(module).__name__} brings its own mask, {unknown} or other rows")
    causal = getattr(module, "is_causal", True) if is_causal is None else is_causal
    kind = AttentionKind(scaling, bool(causal), sliding_window, softcap)
    return packed_attention(_row(query), _row(key), _row(value), plan, kind)[None], None


def _row(part: Tensor) -> Tensor:
    return part[0].transpose(0, 1)  # (tokens, heads, head size)


def _no_mask(*_: Any, **__: Any) -> None:
    """Give no mask: the plan says which tokens belong together."""
