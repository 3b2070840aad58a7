"""Products of whole numbers on a CPU, by torch's own oneDNN operators, and whether this processor does them right."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from ..errors import UnsupportedCheckpointError

_LEVELS = (127, 63)
"""Largest whole numbers that weights become. Processors without VNNI add pairs of products in 16 bits: twice
255 * 127 does not fit into those, and twice 255 * 63 does."""


def in_blocks(weight: Tensor) -> Tensor:
    """Lay an int8 weight, (rows, columns), out as oneDNN wants it."""
    packed: Tensor = torch.ops.onednn.qlinear_prepack(weight, None)
    return packed


def product(numbers: Tensor, zero: int, packed: Tensor, scale: Tensor, zeros: Tensor) -> Tensor:
    """Give (numbers - zero) times the weight times its scales, as a new tensor in fp32.

    Args:
        numbers: uint8, shape (n, columns).
        zero: What stands for zero in them.
        packed: The weight, `in_blocks`.
        scale: Of each row of the weight, fp32, shape (rows,).
        zeros: As many zeros, int64: what stands for zero in the weight.
    """
    operator: Any = torch.ops.onednn.qlinear_pointwise.default
    args: tuple[Any, ...] = (
        numbers,
        1.0,
        zero,
        packed,
        scale,
        zeros,
        None,
        1.0,
        0,
        torch.float32,
        "none",
        [],
        "",
    )
    return operator(*args)  # type: ignore[no-any-return]


@lru_cache(maxsize=1)
def weight_levels() -> int:
    """Give the largest whole number a weight may become for products to be exact on this processor: 127 or 63.

    Raises:
        UnsupportedCheckpointError: If this torch has no int8 products, or none that are right.
    """
    try:
        for levels in _LEVELS:
            if _exact_with(levels):
                return levels
        found = "its int8 products give wrong numbers"
    except (RuntimeError, AttributeError, NotImplementedError) as error:
        raise _unsupported(f"it has no int8 products of oneDNN ({str(error).splitlines()[0]})") from error
    raise _unsupported(found)


def _unsupported(found: str) -> UnsupportedCheckpointError:
    return UnsupportedCheckpointError(
        f"dtype int8 cannot be used with torch {torch.__version__} on this processor: {found}; "
        "use dtype='auto' or 'float32'"
    )


def _exact_with(levels: int) -> bool:
    """Compare products of the largest numbers, and of mixed ones, with whole arithmetic."""
    maker = torch.Generator().manual_seed(0)
    weight = torch.randint(-levels, levels + 1, (64, 128), generator=maker, dtype=torch.int8)
    weight[0], weight[1] = levels, -levels
    numbers = torch.randint(0, 256, (7, 128), generator=maker, dtype=torch.uint8)
    numbers[0] = 255
    packed = in_blocks(weight)
    zeros = torch.zeros(64, dtype=torch.int64)
    right = [(numbers.double() - zero) @ weight.double().t() for zero in (0, 128)]
    found = [product(numbers, zero, packed, torch.ones(64), zeros) for zero in (0, 128)]
    return all(torch.allclose(one.double(), other, atol=0.5) for one, other in zip(found, right))
