"""Attention as batched products around plain exponentials, for CPUs where that outruns torch's fused kernel.

The fused kernel subtracts each row's maximum, which a row of a dozen scores pays dearly for, and its products are
small ones. Here a product spans many heads and texts, and no maximum is looked for. Instead the mean key of a text is
taken off its keys, which changes no weight, because it takes the same off all scores of a row: they then lie around
zero, where bf16 is finest, and one of them at least is not below. Sums of exponentials tell afterwards whether a
score went beyond 80 or so, and its exponential out of range.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor

from .fused_attention import fused_self_attention
from .grouping import Group
from .packing import Plan
from .scratch import take
from .workers import run_side_by_side

log = logging.getLogger(__name__)

SCORES_AT_ONCE = 2**19
"""Scores that are computed together: one megabyte in bf16, which stays in a core's cache."""
_FP32 = torch.empty(0, dtype=torch.float32, device="cpu")
_LARGEST_SUM = 1e35
"""Below this no exponential, and none of them times a value, has become infinite; a sum is never small."""
_TRIAL_LENGTHS = (*range(8, 24), 100, 110, 250)
"""Tokens of texts that decide together: short ones, and some of passages."""
_TRIAL_HEADS = 2
_FEWEST_ROUNDS, _MOST_ROUNDS = 3, 20
_TOLERANCE = 0.05
_FEWEST_ATTEMPTS, _MOST_ATTEMPTS = 8, 64
"""What is known of a layer's scores after fewer attempts does not count; of more, older ones count half."""
_TRY_AGAIN_AFTER = 64
"""Calls that a layer which was given up is left out of, before the next attempt."""


class ScoreRange:
    """Whether the scores of one layer are small enough for plain exponentials, learned from those before.

    An attempt in vain costs half of what the fused kernel then takes, so a layer is given up while every other one
    is. Threads share it without a lock: an attempt that is not counted does no harm.
    """

    def __init__(self) -> None:
        self._attempts = self._in_vain = self._left_out = 0

    def __deepcopy__(self, memo: dict[int, Any]) -> ScoreRange:
        return ScoreRange()  # a copy of a network, in another format, has scores of its own

    def worth_an_attempt(self) -> bool:
        """Say whether to make one now."""
        if self._attempts < _FEWEST_ATTEMPTS or 2 * self._in_vain < self._attempts:
            return True
        self._left_out += 1
        return self._left_out % _TRY_AGAIN_AFTER == 0

    def learn(self, *, in_range: bool) -> None:
        """Note an attempt."""
        self._attempts += 1
        self._in_vain += not in_range
        if self._attempts >= _MOST_ATTEMPTS:
            self._attempts, self._in_vain = self._attempts // 2, self._in_vain // 2


def batched_self_attention(qkv: Tensor, plan: Plan) -> Tensor | None:
    """Let every token attend to the tokens of its own sequence.

    Args:
        qkv: Query, key and value, contiguous, shape (tokens, 3, heads, head size).
        plan: Where each sequence lies in the row.

    Returns:
        Shape (tokens, heads, head size); None if an exponential left the range of numbers, which takes scores
        beyond some 80: the fused kernel is right for those too.
    """
    found = plan.grouping(qkv.shape[2])
    rows = qkv if found.wide is None else _selected(qkv, found.wide, "wide")
    tokens, _, heads, size = rows.shape
    attended = take("attended", tokens, heads * size, qkv).view(tokens, heads, size)
    sums = take("sums", 1, heads * tokens, _FP32)[0]
    for group in found.groups:
        here = group.tokens
        _attend(rows[here], group, attended[here], sums[heads * here.start : heads * here.stop])
    if not sums.amax().item() < _LARGEST_SUM:  # nor if one is not a number
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
    key -= key.mean(1, keepdim=True)
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
    """Cut the scores into equal blocks: of several heads, or of some rows of one."""
    heads = _largest_divisor(count, SCORES_AT_ONCE // length**2)
    rows = _largest_divisor(length, SCORES_AT_ONCE // length)
    for head in range(0, count, heads):
        for row in range(0, length, rows):
            yield slice(head, head + heads), slice(row, row + rows)


def _largest_divisor(number: int, most: int) -> int:
    return next((one for one in range(min(number, most), 1, -1) if number % one == 0), 1)


@lru_cache(maxsize=16)
def batching_pays(dtype: torch.dtype, heads: int, size: int) -> bool:
    """Say whether this is right and faster than the fused kernel here, by a trial of some milliseconds.

    It runs on one thread, as shares of a pass do. In fp32 batching does not pay: products are slower there, and
    exponentials twice as many bytes.
    """
    if dtype != torch.bfloat16:
        return False
    plan = Plan(_TRIAL_LENGTHS, torch.device("cpu"))
    maker = torch.Generator().manual_seed(0)
    shape = (plan.starts[-1], 3, min(heads, _TRIAL_HEADS), size)
    qkv = torch.randn(shape, generator=maker, dtype=torch.float32, device="cpu").to(dtype)
    (pays,) = run_side_by_side([partial(_trial, qkv, plan)])
    return pays


@torch.inference_mode()
def _trial(qkv: Tensor, plan: Plan) -> bool:
    try:
        found = batched_self_attention(qkv, plan)
        right = found is not None and torch.allclose(
            found.float(), fused_self_attention(qkv.float(), plan), atol=_TOLERANCE
        )
    except torch.OutOfMemoryError:
        raise
    except (RuntimeError, NotImplementedError) as error:
        log.info("attention runs on the fused kernel alone: %s", error)
        return False
    if not right:
        log.warning("batched attention gives wrong numbers in %s: it is not used", qkv.dtype)
    return right and _is_faster(qkv, plan)


def _is_faster(qkv: Tensor, plan: Plan) -> bool:
    """Time both ways in turns, the best of each counts; more often where it seems not to be, as on a busy machine."""
    batched = fused = float("inf")
    for number in range(_MOST_ROUNDS):
        batched = min(batched, _seconds(batched_self_attention, qkv, plan))
        fused = min(fused, _seconds(fused_self_attention, qkv, plan))
        if number + 1 >= _FEWEST_ROUNDS and batched < fused:
            break
    return batched < fused


def _seconds(way: Callable[[Tensor, Plan], object], qkv: Tensor, plan: Plan) -> float:
    started = time.perf_counter()
    way(qkv, plan)
    return time.perf_counter() - started
