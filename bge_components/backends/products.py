"""The matrix products of a layer, each with what follows it, in the ways that processors like."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .rounding import rounded_up
from .scratch import take
from .weights import StateDict

log = logging.getLogger(__name__)

Gelu = Literal["none", "tanh"]
"""GELU by the error function, or by its tanh approximation; the names are torch's."""

_ROWS_STEPS = ((64, 1), (256, 16), (512, 32))
"""Up to so many rows their number is a multiple of that: a product that is kept takes up to 1.5 MB in bf16."""
_ROWS_STEP = 64
"""The same beyond."""


def rows_of_products(needed: int, least_step: int = 1) -> int:
    """Say how many rows to give packed products that need so many: oneDNN keeps one for every number it has seen."""
    step = max(least_step, next((step for most, step in _ROWS_STEPS if needed <= most), _ROWS_STEP))
    return rounded_up(needed, step)


class Linear(nn.Module):
    """A linear layer without the time spent on a random start.

    Results of the methods with a `slot` lie in the calling thread's buffer of that name, until the next one is taken.
    """

    def __init__(self, columns: int, rows: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(rows, columns), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(rows), requires_grad=False)

    def fill(self, state: StateDict, name: str) -> None:
        """Take weight and bias from a checkpoint.

        Raises:
            BrokenCheckpointError: If one is missing or has the wrong shape.
        """
        prefix = name + "." if name else ""
        self.weight.copy_(state.take(prefix + "weight", *self.weight.shape))
        self.bias.copy_(state.take(prefix + "bias", *self.bias.shape))

    def forward(self, rows: Tensor) -> Tensor:
        """Give `rows` times the weight, plus the bias, as a new tensor."""
        return F.linear(rows, self.weight, self.bias)

    def product(self, rows: Tensor, slot: str) -> Tensor:
        """Give the same in a buffer."""
        out = take(slot, len(rows), len(self.bias), rows)
        return torch.addmm(self.bias, rows, self.weight.t(), out=out)

    def gelu(self, rows: Tensor, slot: str, kind: Gelu) -> Tensor:
        """Give the GELU of the product, in a buffer."""
        return torch.ops.aten.gelu_(self.product(rows, slot), approximate=kind)  # type: ignore[no-any-return]

    def onto(self, residual: Tensor, rows: Tensor, slot: str) -> Tensor:
        """Give `residual` plus the product, in a buffer."""
        out = take(slot, len(rows), len(self.bias), rows)
        # The product is accumulated onto residual + bias: one pass over memory less than adding it afterwards.
        return torch.add(residual, self.bias, out=out).addmm_(rows, self.weight.t())


class PackedLinear(nn.Module):
    """A linear layer whose weight lies in oneDNN's own blocks, with what follows fused into the product.

    For CPUs: a plain weight is put into blocks again at every call, which for few rows costs as much as the
    arithmetic. The results are fresh tensors.
    """

    def __init__(self, plain: Linear) -> None:
        super().__init__()
        self.register_buffer("packed", torch.ops.mkldnn._reorder_linear_weight(plain.weight.data, None))
        self.bias = plain.bias
        self.packed: Tensor
        self._weight_and_bias = self.packed, self.bias  # torch looks for a module's tensors in three tables
        self._unary = torch.ops.mkldnn._linear_pointwise.default
        self._binary = torch.ops.mkldnn._linear_pointwise.binary

    def _apply(self, *_: Any) -> PackedLinear:
        raise RuntimeError("a weight in oneDNN's blocks stays where and what it is: take the plain layer")

    def __deepcopy__(self, memo: dict[int, Any]) -> PackedLinear:
        return self  # torch cannot copy a weight in blocks, and nothing here is ever written

    def plain(self) -> Linear:
        """Give the layer with its weight as it was."""
        rows, columns = self.packed.shape
        layer = Linear(columns, rows)
        layer.weight = nn.Parameter(self.packed.to_dense(), requires_grad=False)
        layer.bias = nn.Parameter(self.bias.detach().clone(), requires_grad=False)
        return layer

    def product(self, rows: Tensor, slot: str) -> Tensor:
        """Give `rows` times the weight, plus the bias."""
        return self._pointwise(rows, "none", "")

    def gelu(self, rows: Tensor, slot: str, kind: Gelu) -> Tensor:
        """Give the GELU of the product."""
        return self._pointwise(rows, "gelu", kind)

    def onto(self, residual: Tensor, rows: Tensor, slot: str) -> Tensor:
        """Give `residual` plus the product."""
        return self._binary(rows, residual, *self._weight_and_bias, "add")  # type: ignore[no-any-return]

    def _pointwise(self, rows: Tensor, then: str, algorithm: str) -> Tensor:
        return self._unary(rows, *self._weight_and_bias, then, [], algorithm)  # type: ignore[no-any-return]


@lru_cache(maxsize=8)
def packing_works(dtype: torch.dtype) -> bool:
    """Say whether this torch packs weights of that format, and gives the plain layer's numbers with them."""
    maker = torch.Generator().manual_seed(0)
    plain = Linear(64, 96).to(dtype)
    with torch.inference_mode():
        for tensor in (plain.weight, plain.bias):
            tensor.copy_(torch.randn(tensor.shape, generator=maker) * 0.1)
        rows, residual = (torch.randn(7, n, generator=maker).to(dtype) for n in (64, 96))
        try:
            packed = PackedLinear(plain)
            pairs = [
                (packed.product(rows, "try"), plain(rows)),
                (packed.gelu(rows, "try", "none"), F.gelu(plain(rows))),
                (packed.gelu(rows, "try", "tanh"), F.gelu(plain(rows), approximate="tanh")),
                (packed.onto(residual, rows, "try"), plain(rows) + residual),
                (packed.plain().weight, plain.weight),
            ]
        except (RuntimeError, AttributeError, NotImplementedError) as error:
            log.info("weights are not packed on this processor: %s", error)
            return False
    tolerance = 1e-5 if dtype == torch.float32 else 0.05
    right = all(torch.allclose(found.float(), want.float(), atol=tolerance) for found, want in pairs)
    if not right:
        log.warning("oneDNN's packed products give wrong numbers in %s: they are not used", dtype)
    return right
