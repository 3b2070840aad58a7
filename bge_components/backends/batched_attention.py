"""Attention as batched products around plain exponentials, for CPUs where that outruns torch's fused kernel.

The fused kernel subtracts each row's maximum, which a row of a dozen scores pays dearly for, and its products are
small ones. Here a product spans many heads and texts, and nothing is subtracted: numbers in bf16 are as exact near
e^60 as near 1, so sums tell afterwards whether any exponential left the range.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from .grouping import Group, grouping
from .packing import Plan
from .scratch import take

log = logging.getLogger(__name__)

SCORES_AT_ONCE = 2**19
"""Scores that are computed together: one megabyte in bf16, which stays in a core's cache."""
_FP32 = torch.empty(0)
_LEAST_SUM, _LARGEST_SUM = 1e-26, 1e26
"""Between these no term that counts has vanished, and none has become infinite."""
_TRIALS = ((32, 16), (4, 128))
"""Texts and tokens of each: short ones and long ones together decide."""
_TRIAL_HEADS = 4
_TRIAL_ROUNDS = 4
_TOLERANCE = 0.05


def batched_self_attention(qkv: Tensor, plan: Plan) -> Tensor | None:
    """Let every token attend to the tokens of its own sequence.

    Args:
        qkv: Query, key and value, contiguous, shape (tokens, 3, heads, head size).
        plan: Where each sequence lies in the row.

    Returns:
        Shape (tokens, heads, head size); None if an exponential left the range of numbers, which takes scores
        beyond some 60: the fused kernel is right for those too.
    """
    found = grouping(plan.lengths, qkv.shape[2])
    rows = qkv if found.wide is None else _selected(qkv, found.wide, "wide")
    tokens, _, heads, size = rows.shape
    attended = take("attended", tokens, heads * size, qkv).view(tokens, heads, size)
    sums = take("sums", 1, heads * tokens, _FP32)[0]
    for group in found.groups:
        here = group.tokens
        _attend(rows[here], group, attended[here], sums[heads * here.start : heads * here.stop])
    least, largest = torch.stack(torch.aminmax(sums)).tolist()
    if not (least > _LEAST_SUM and largest < _LARGEST_SUM):  # nor if one is not a number
        return None
    return attended if found.narrow is None else _selected(attended, found.narrow, "narrow")


def _selected(rows: Tensor, places: Tensor, slot: str) -> Tensor:
    flat = rows.flatten(1)  # torch copies rows of a matrix fastest
    out = take(slot, len(places), flat.shape[1], rows)
    return torch.index_select(flat, 0, places, out=out).view(-1, *rows.shape[1:])


def _attend(rows: Tensor, group: Group, out: Tensor, sums: Tensor) -> None:
    """Write what a group's tokens, (tokens, 3, heads, head size), give to `out`, and the sums of exponentials."""
    tokens, _, heads, size = rows.shape
    by_head = take("by head", 3 * heads, tokens * size, rows)
    by_head.view(3, heads, tokens, size).copy_(rows.permute(1, 2, 0, 3))
    weighted = _weighted(by_head.view(3, -1, group.length, size), group.real, sums)
    torch.div(weighted.view(heads, tokens, size), sums.view(heads, tokens, 1), out=out.transpose(0, 1))


def _weighted(by_head: Tensor, real: Tensor | None, sums: Tensor) -> Tensor:
    """Give the values weighted with the exponentials of the scores.

    Args:
        by_head: Query, key and value, contiguous, shape (3, texts x heads, length, head size).
        real: Which keys count, shape (texts x heads, 1, length); None: all.
        sums: Where the sums of the exponentials go, (texts x heads x length,) in fp32.

    Returns:
        Shape (texts x heads, length, head size).
    """
    query, key, value = by_head.unbind(0)
    count, length, size = query.shape
    out = take("weighted", count * length, size, query).view(count, length, size)
    turned, sums = key.transpose(1, 2), sums.view(count, length, 1)
    if count * length**2 <= SCORES_AT_ONCE:
        _weigh(query, turned, value, real, sums, out)
        return out
    for of_heads, of_rows in _blocks(count, length):
        part = None if real is None else real[of_heads]
        there = (of_heads, of_rows)
        _weigh(query[there], turned[of_heads], value[of_heads], part, sums[there], out[there])
    return out


def _weigh(
    query: Tensor, turned: Tensor, value: Tensor, real: Tensor | None, sums: Tensor, out: Tensor
) -> None:
    heads, rows, size = query.shape
    scores = take("scores", heads, rows * turned.shape[2], query).view(heads, rows, -1)
    scores.baddbmm_(query, turned, beta=0, alpha=size**-0.5).exp_()
    if real is not None:
        scores *= real
    torch.sum(scores, -1, keepdim=True, dtype=torch.float32, out=sums)
    torch.bmm(scores, value, out=out)


def _blocks(count: int, length: int) -> Iterator[tuple[slice, slice]]:
    """Cut the scores into blocks: of several heads, or of some rows of one."""
    heads = max(1, SCORES_AT_ONCE // length**2)
    rows = max(1, min(length, SCORES_AT_ONCE // length))
    for head in range(0, count, heads):
        for row in range(0, length, rows):
            yield slice(head, head + heads), slice(row, row + rows)


@lru_cache(maxsize=16)
def batching_pays(dtype: torch.dtype, heads: int, size: int) -> bool:
    """Say whether this is right and faster than the fused kernel here, by a trial of some milliseconds.

    In fp32 it is not: the products are slower there, and the exponentials twice as many bytes.
    """
    if dtype != torch.bfloat16:
        return False
    maker = torch.Generator().manual_seed(0)
    sizes = [(3, texts * min(heads, _TRIAL_HEADS), length, size) for texts, length in _TRIALS]
    stacks = [torch.randn(one, generator=maker).to(dtype) for one in sizes]
    with torch.inference_mode():
        try:
            right = all(_agrees(stack) for stack in stacks)
        except (RuntimeError, NotImplementedError) as error:
            log.info("attention runs on the fused kernel alone: %s", error)
            return False
        if not right:
            log.warning("batched attention gives wrong numbers in %s: it is not used", dtype)
        return right and _is_faster(stacks)


def _agrees(stack: Tensor) -> bool:
    return torch.allclose(_batched(stack).float(), _fused(stack.float()), atol=_TOLERANCE)


def _is_faster(stacks: list[Tensor]) -> bool:
    """Time both ways in turns; the best of each counts."""
    seconds = [(_seconds(_batched, stacks), _seconds(_fused, stacks)) for _ in range(_TRIAL_ROUNDS)]
    return min(batched for batched, _ in seconds) < min(fused for _, fused in seconds)


def _seconds(way: Callable[[Tensor], object], stacks: list[Tensor]) -> float:
    started = time.perf_counter()
    for stack in stacks:
        way(stack)
    return time.perf_counter() - started


def _batched(stack: Tensor) -> Tensor:
    sums = torch.empty(stack.shape[1] * stack.shape[2])
    return _weighted(stack, None, sums) / sums.view(*stack.shape[1:3], 1)


def _fused(stack: Tensor) -> Tensor:
    query, key, value = stack.unsqueeze(1).unbind(0)  # (1, texts x heads, length, head size)
    return F.scaled_dot_product_attention(query, key, value)[0]
