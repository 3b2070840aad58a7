"""Attention within each sequence of a packed row, on the kernel that suits the device."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .batched_attention import ScoreRange, batched_self_attention, batching_pays
from .fused_attention import end_to_end, fused_self_attention
from .packing import Plan, Run

log = logging.getLogger(__name__)

_REFUSALS = (RuntimeError, NotImplementedError, ValueError, TypeError)


@dataclass(frozen=True)
class AttentionKind:
    """What a layer's attention looks like.

    Attributes:
        scale: Factor of the dot products; None is 1 / sqrt(head size).
        causal: Tokens see only what comes before them.
        window: Tokens see others at a distance below this; None sees all.
        softcap: Scores are squeezed to (-softcap, softcap) by tanh; None leaves them.
    """

    scale: float | None = None
    causal: bool = False
    window: int | None = None
    softcap: float | None = None


FULL = AttentionKind()

BATCHED_TOKENS = 64
"""Below this some calls of the fused kernel are sooner done than the steps of batched products."""


def self_attention(qkv: Tensor, plan: Plan, scores: ScoreRange) -> Tensor:
    """Let every token attend to the tokens of its own sequence, where one tensor holds all that takes.

    Args:
        qkv: Query, key and value, contiguous, shape (tokens, 3, heads, head size).
        plan: Where each sequence lies in the row.
        scores: What is known of the layer's scores, to be added to.

    Returns:
        Shape (tokens, heads, head size).
    """
    if qkv.is_cuda:
        query, key, value = qkv.unbind(1)
        return packed_attention(query, key, value, plan)
    long_enough = qkv.shape[0] >= BATCHED_TOKENS
    if long_enough and batching_pays(qkv.dtype, *qkv.shape[2:]) and scores.worth_an_attempt():
        attended = batched_self_attention(qkv, plan)
        scores.learn(in_range=attended is not None)
        if attended is not None:
            return attended
    return fused_self_attention(qkv, plan)


def packed_attention(
    query: Tensor, key: Tensor, value: Tensor, plan: Plan, kind: AttentionKind = FULL
) -> Tensor:
    """Let every token attend to the tokens of its own sequence.

    Args:
        query: Shape (tokens, heads, head size).
        key: Shape (tokens, key heads, head size); fewer heads than the query's are shared by groups.
        value: As `key`.
        plan: Where each sequence lies in the row.
        kind: Scale, mask and cap.

    Returns:
        Shape (tokens, heads, head size).
    """
    if kind.softcap is None and _takes_varlen(query, key, kind):
        return _varlen(query, key, value, plan, kind)
    return grouped_attention(query, key, value, plan, kind)


def first_token_attention(query: Tensor, key: Tensor, value: Tensor, plan: Plan) -> Tensor:
    """Let the first token of every sequence, and no other, attend to the tokens of its sequence.

    Args:
        query: Of the first tokens, shape (sequences, heads, head size).
        key: Of all tokens, shape (tokens, key heads, head size).
        value: As `key`.
        plan: Where each sequence lies in the row of all tokens.

    Returns:
        Shape (sequences, heads, head size).
    """
    if _takes_varlen(query, key, FULL, first_only=True):
        return _varlen(query, key, value, plan, FULL, plan.firsts)
    return _first_of_runs(query, key, value, plan)


def _first_of_runs(query: Tensor, key: Tensor, value: Tensor, plan: Plan) -> Tensor:
    parts, first = [], 0
    for run in plan.runs:
        asking = query[first : first + run.count, :, None]  # (count, heads, 1, head size)
        parts.append(_plain(asking, _by_head(key, run), _by_head(value, run), FULL)[:, :, 0])
        first += run.count
    return torch.cat(parts)


def grouped_attention(
    query: Tensor, key: Tensor, value: Tensor, plan: Plan, kind: AttentionKind = FULL
) -> Tensor:
    """Do the same with one `scaled_dot_product_attention` per run of equal lengths: right on every device."""
    return end_to_end([_of_run(query, key, value, run, kind) for run in plan.runs])


def _of_run(query: Tensor, key: Tensor, value: Tensor, run: Run, kind: AttentionKind) -> Tensor:
    """Attend within sequences of one length; the result is (tokens of the run, heads, head size)."""
    q, k, v = _by_head(query, run), _by_head(key, run), _by_head(value, run)
    attended = _plain(q, k, v, kind) if kind.softcap is None else _capped(q, k, v, kind)
    return attended.transpose(1, 2).flatten(0, 1)


def _by_head(part: Tensor, run: Run) -> Tensor:
    rows = part[run.tokens].view(run.count, run.length, *part.shape[1:])
    return rows.transpose(1, 2)  # (count, heads, length, head size)


def _plain(query: Tensor, key: Tensor, value: Tensor, kind: AttentionKind) -> Tensor:
    length = query.shape[2]
    cut = kind.window is not None and length > kind.window
    return F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=_visible(length, kind, query.device) if cut else None,
        is_causal=kind.causal and not cut,
        scale=kind.scale,
        enable_gqa=query.shape[1] != key.shape[1],
    )


def _capped(query: Tensor, key: Tensor, value: Tensor, kind: AttentionKind) -> Tensor:
    """Attend with capped scores (Gemma 2), which no fused kernel offers; one sequence at a time to save memory."""
    shared = query.shape[1] // key.shape[1]
    scale = query.shape[-1] ** -0.5 if kind.scale is None else kind.scale
    seen = _visible(query.shape[2], kind, query.device)
    out = torch.empty_like(query)
    for index, (q, k, v) in enumerate(zip(query, key, value)):
        k, v = k.repeat_interleave(shared, 0), v.repeat_interleave(shared, 0)
        scores = (q @ k.transpose(-1, -2) * scale).float()  # (heads, length, length)
        assert kind.softcap is not None
        scores = torch.tanh(scores / kind.softcap) * kind.softcap
        weights = scores.masked_fill(~seen, float("-inf")).softmax(-1)
        out[index] = weights.to(v.dtype) @ v
    return out


def _visible(length: int, kind: AttentionKind, device: torch.device) -> Tensor:
    place = torch.arange(length, device=device)
    distance = place[:, None] - place[None, :]  # (length, length), query minus key
    seen = torch.ones_like(distance, dtype=torch.bool)
    if kind.window is not None:
        seen &= distance.abs() < kind.window
    if kind.causal:
        seen &= distance >= 0
    return seen


def _varlen(
    query: Tensor, key: Tensor, value: Tensor, plan: Plan, kind: AttentionKind, asking: Plan | None = None
) -> Tensor:
    """Attend with the variable-length kernel; `asking` says where queries lie that are fewer than the keys."""
    from torch.nn.attention.varlen import varlen_attn

    asking = asking or plan
    reach = -1 if kind.window is None else kind.window - 1
    extra: Any = {"enable_gqa": True} if query.shape[1] != key.shape[1] else {}
    attended = varlen_attn(
        query,
        key,
        value,
        asking.bounds,
        plan.bounds,
        max(asking.lengths),
        max(plan.lengths),
        scale=kind.scale,
        window_size=(reach, 0 if kind.causal else reach),
        **extra,
    )
    assert isinstance(attended, Tensor)
    return attended


@dataclass(frozen=True)
class _Shape:
    device: torch.device
    dtype: torch.dtype
    heads: int
    key_heads: int
    head_size: int
    kind: AttentionKind

    @classmethod
    def of(cls, query: Tensor, key: Tensor, kind: AttentionKind) -> _Shape:
        window = None if kind.window is None else 4
        shape = (query.shape[1], key.shape[1], query.shape[2])
        return cls(query.device, query.dtype, *shape, replace(kind, window=window))


def _takes_varlen(query: Tensor, key: Tensor, kind: AttentionKind, *, first_only: bool = False) -> bool:
    half = query.is_cuda and query.dtype in (torch.float16, torch.bfloat16)
    return half and _varlen_works(_Shape.of(query, key, kind), first_only)


@lru_cache(maxsize=64)
def _varlen_works(shape: _Shape, first_only: bool = False) -> bool:
    """Try the variable-length kernel on three short sequences; it must run and agree with the grouped one.

    With `first_only` it is tried on first tokens that attend alone.
    """
    plan = Plan((3, 9, 17), shape.device)
    maker = torch.Generator(shape.device).manual_seed(0)
    sizes = [(29, heads, shape.head_size) for heads in (shape.heads, shape.key_heads, shape.key_heads)]
    rows = [torch.randn(size, generator=maker, device=shape.device).to(shape.dtype) for size in sizes]
    query, key, value = rows
    try:
        if first_only:
            found = _varlen(query[plan.first_rows], key, value, plan, FULL, plan.firsts)
        else:
            found = _varlen(query, key, value, plan, shape.kind)
    except torch.OutOfMemoryError:
        raise
    except (ImportError, *_REFUSALS) as error:
        log.info("no variable-length attention for %s: %s", shape, error)
        return False
    right = grouped_attention(query.float(), key.float(), value.float(), plan, shape.kind)
    right = right[plan.first_rows] if first_only else right
    close = torch.allclose(found.float(), right, atol=0.03, rtol=0.03)
    if not close:
        log.warning("variable-length attention gives wrong numbers for %s: it is not used", shape)
    return close
