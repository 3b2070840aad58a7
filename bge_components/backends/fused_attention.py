"""Attention within each sequence of a packed row by torch's fused kernel, where one tensor holds all that takes."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .packing import Plan, Run


def fused_self_attention(qkv: Tensor, plan: Plan) -> Tensor:
    """Let every token attend to the tokens of its own sequence, with one call for each run of equal lengths.

    Args:
        qkv: Query, key and value, contiguous, shape (tokens, 3, heads, head size).
        plan: Where each sequence lies in the row.

    Returns:
        Shape (tokens, heads, head size).
    """
    if len(plan.runs) == 1:
        return _of_stacked(qkv, plan.runs[0])
    parts = zip(torch.split_with_sizes(qkv, plan.run_tokens), plan.runs)
    return end_to_end([_of_stacked(rows, run) for rows, run in parts])


def end_to_end(parts: list[Tensor]) -> Tensor:
    """Put what the runs of a row gave together again; a single one is no copy."""
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _of_stacked(rows: Tensor, run: Run) -> Tensor:
    """Attend within sequences of one length, with few steps: for short texts those cost as much as the arithmetic."""
    by_head = rows.view(run.count, run.length, *rows.shape[1:]).permute(2, 0, 3, 1, 4)
    query, key, value = by_head.unbind(0)  # (count, heads, length, head size)
    return F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(0, 1)
