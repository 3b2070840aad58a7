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

from .grouping import Group, Grouping
from .scratch import take

log = logging.getLogger(__name__)

SCORES_AT_ONCE = 2**19
"""Scores that are computed together: one megabyte in bf16, which stays in a core's cache."""
_LEAST_SUM, _LARGEST_SUM = 1e-26, 1e26
"""Between these no term that counts has vanished, and none has become infinite."""
_TRIALS = ((32, 16), (4, 128))
"""Texts and tokens of each: short ones and long ones together decide."""
_TRIAL_HEADS = 4
_TRIAL_ROUNDS = 4
_TOLERANCE = 0.05


def batched_self_attention(qkv: Tensor, grouping: Grouping) -> Tensor | None:
    """Let every token attend to the tokens of its own sequence.

    Args:
        qkv: Query, key and value, contiguous, shape (tokens, 3, heads, head size).
        grouping: Which sequences are computed together.

    Returns:
        Shape (tokens, heads, head size); None if an exponential left the range of numbers, which takes scores
        beyond some 60: the fused kernel is right for those too.
    """
    rows = qkv if grouping.wide is None else _selected(qkv, grouping.wide, "wide")
    tokens, _, heads, size = rows.shape
    attended = take("attended", tokens, heads * size, qkv).view(tokens, heads, size)
    if not all(_attend(rows[group.tokens], group, attended[group.tokens]) for group in grouping.groups):
        return None
    return attended if grouping.narrow is None else _selected(attended, grouping.narrow, "narrow")


def _selected(rows: Tensor, places: Tensor, slot: str) -> Tensor:
    flat = rows.flatten(1)  # torch copies rows of a matrix fastest
    out = take(slot, len(places), flat.shape[1], rows)
    return torch.index_select(flat, 0, places, out=out).view(-1, *rows.shape[1:])


def _attend(rows: Tensor, group: Group, out: Tensor) -> bool:
    """Write what a group's tokens, (tokens, 3, heads, head size), give to `out`; say whether it is right."""
    tokens, _, heads, size = rows.shape
    by_head = take("by head", 3 * heads, tokens * size, rows).view(3, heads, tokens, size)
    by_head.copy_(rows.permute(1, 2, 0, 3))
    real = None if group.real is None else group.real.repeat(heads, 1, 1)  # (heads x count, 1, length)
    weighted, sums = _weighted(by_head.view(3, heads * group.count, group.length, size), real)
    torch.div(weighted.view(heads, tokens, size), sums.view(heads, tokens, 1), out=out.transpose(0, 1))
    least, largest = sums.aminmax()
    return bool(least > _LEAST_SUM and largest < _LARGEST_SUM)  # no if one is not a number


def _weighted(by_head: Tensor, real: Tensor | None) -> tuple[Tensor, Tensor]:
    """Give the values weighted with exponentials of the scores, and the sums of the exponentials.

    Args:
        by_head: Query, key and value, contiguous, shape (3, texts x heads, length, head size).
        real: Which keys count, shape (texts x heads, 1, length); None: all.

    Returns:
        Shapes (texts x heads, length, head size), and (texts x heads, length, 1) in fp32.
    """
    query, key, value = by_head.unbind(0)
    count, length, size = query.shape
    out = take("weighted", count * length, size, query).view(count, length, size)
    sums = query.new_empty((count, length, 1), dtype=torch.float32)
    turned = key.transpose(1, 2)
    for of_heads, of_rows in _blocks(count, length):
        asking = query[of_heads, of_rows]
        buffer = take("scores", len(asking), asking.shape[1] * length, query)
        scores = buffer.view(len(asking), -1, length)  # (heads, rows, length)
        scores.baddbmm_(asking, turned[of_heads], beta=0, alpha=size**-0.5).exp_()
        if real is not None:
            scores *= real[of_heads]
        torch.sum(scores, -1, keepdim=True, dtype=torch.float32, out=sums[of_heads, of_rows])
        torch.bmm(scores, value[of_heads], out=out[of_heads, of_rows])
    return out, sums


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
    weighted, sums = _weighted(stack, None)
    return weighted / sums


def _fused(stack: Tensor) -> Tensor:
    query, key, value = stack.unsqueeze(1).unbind(0)  # (1, texts x heads, length, head size)
    return F.scaled_dot_product_attention(query, key, value)[0]
