"""The matrix products of a layer in 8-bit integers on a CPU, each row of the input with a scale of its own."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from .integers import in_blocks, product, weight_levels
from .products import Gelu, Linear
from .rounding import rounded_up
from .scratch import take

GELU_FLOOR = -0.1701
"""No GELU gives less, so what follows one is counted up from here with all 256 steps."""

_ROWS_AT_ONCE = 1024
"""Rows that go through the steps around a product together: with fewer, threads would meet more often."""
_TO_WHOLE = 2.0**23
"""A float this large has no room for a fraction: adding it rounds, and leaves the whole number in the low bits."""
_PADDING = 16
"""Numbers of rows are filled up to a multiple of this: oneDNN compiles a product for every number it has not seen."""
_TINY = 1e-30
_BYTE = torch.empty(0, dtype=torch.uint8)


_EXPONENT = 0.5
_LEAST_PEAK, _LEAST_WEIGHT = 1e-3, 1e-4


class QuantizedLinear(nn.Module):
    """A linear layer whose weights are int8 with one scale per row, and whose input becomes uint8 row by row.

    A row of the input has a scale of its own, so a text's numbers do not depend on its company. Columns can be
    divided by fixed factors first, by which the weights are multiplied (SmoothQuant, arXiv:2211.10438).
    """

    def __init__(self, plain: Linear, divisors: Tensor | None = None, floor: float | None = None) -> None:
        """Round the weights.

        Args:
            plain: The layer in fp32.
            divisors: What each column of the input is divided by, shape (columns,); None leaves them.
            floor: The input is never below this; None takes it to lie around zero.

        Raises:
            UnsupportedCheckpointError: If this torch has no right int8 products.
        """
        super().__init__()
        rows, columns = plain.weight.shape
        weight = plain.weight.detach() if divisors is None else plain.weight.detach() * divisors
        scale = weight.abs().amax(1).clamp_(min=_TINY) / weight_levels()
        whole = (weight / scale[:, None]).round_().to(torch.int8)
        factors = None if divisors is None else 1 / divisors
        shift, bias = None, plain.bias.detach()
        if floor is not None:
            factors = torch.ones(columns) if factors is None else factors
            shift, bias = -floor * factors, bias + floor * (whole.float() @ factors) * scale
        self.bias = plain.bias
        self.steps, self.zero = (127, 128) if floor is None else (255, 0)
        self.packed = self._kept("packed", in_blocks(whole))
        self.scale = self._kept("scale", scale)
        self.zeros = self._kept("zeros", torch.zeros(rows, dtype=torch.int64))
        self.rounding = self._kept("rounding", torch.full((columns,), _TO_WHOLE + self.zero))
        self.shifted_bias = self._kept("shifted_bias", bias)
        self.factors = factors if factors is None else self._kept("factors", factors)
        self.shift = shift if shift is None else self._kept("shift", shift)

    def __deepcopy__(self, memo: dict[int, Any]) -> QuantizedLinear:
        return self  # torch cannot copy a weight in blocks, and nothing here is ever written

    def plain(self) -> Linear:
        """Give a layer in fp32 with the rounded weights: the weights before rounding are not kept."""
        columns, rows = self.packed.shape
        layer = Linear(columns, rows)
        weight = self._times(torch.eye(columns, dtype=torch.uint8), 0).t().contiguous()
        layer.weight = nn.Parameter(
            weight if self.factors is None else weight * self.factors, requires_grad=False
        )
        layer.bias = nn.Parameter(self.bias.detach().clone(), requires_grad=False)
        return layer

    def product(self, rows: Tensor, slot: str) -> Tensor:
        """Give `rows` times the weight, plus the bias, as a new tensor."""
        scales, out = self._scaled(rows)
        return torch.addcmul(self.shifted_bias, out, scales, out=out)

    def gelu(self, rows: Tensor, slot: str, kind: Gelu) -> Tensor:
        """Give the GELU of the product."""
        scales, out = self._scaled(rows)
        for part, scale in zip(torch.split(out, _ROWS_AT_ONCE), torch.split(scales, _ROWS_AT_ONCE)):
            torch.addcmul(self.shifted_bias, part, scale, out=part)
            torch.ops.aten.gelu_(part, approximate=kind)
        return out

    def onto(self, residual: Tensor, rows: Tensor, slot: str) -> Tensor:
        """Give `residual` plus the product."""
        return self.product(rows, slot).add_(residual)

    def _kept(self, name: str, tensor: Tensor) -> Tensor:
        self.register_buffer(name, tensor)
        return tensor

    def _scaled(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Give each row's scale, (rows, 1), and its product before that scale and the bias."""
        numbers, scales = self._rounded(rows)
        return scales, self._times(numbers, self.zero)[: len(rows)]

    def _rounded(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Round each row to whole numbers from 0 to 255; give them, padded, and each row's scale, (rows, 1)."""
        padded = rounded_up(len(rows), _PADDING)
        numbers, scales = take("whole", padded, rows.shape[1], _BYTE), take("scales", len(rows), 1, rows)
        room = take("smoothed", min(len(rows), _ROWS_AT_ONCE), rows.shape[1], rows)
        for start in range(0, len(rows), _ROWS_AT_ONCE):
            here = slice(start, start + _ROWS_AT_ONCE)
            part = rows[here]
            smoothed = self._smoothed(part, room[: len(part)])
            steps = torch.reciprocal(torch.mul(self._peaks(smoothed), 1 / self.steps, out=scales[here]))
            whole = torch.addcmul(self.rounding, smoothed, steps, out=room[: len(part)])
            numbers[start : start + len(part)].copy_(whole.view(torch.int32))  # keeps the lowest byte
        return numbers, scales

    def _smoothed(self, rows: Tensor, room: Tensor) -> Tensor:
        if self.factors is None:
            return rows
        if self.shift is None:
            return torch.mul(rows, self.factors, out=room)
        return torch.addcmul(self.shift, rows, self.factors, out=room)

    def _peaks(self, rows: Tensor) -> Tensor:
        highest = torch.amax(rows, 1, keepdim=True)
        if self.shift is None:
            highest = torch.maximum(highest, torch.amin(rows, 1, keepdim=True).neg_())
        return highest.clamp_(min=_TINY)

    def _times(self, numbers: Tensor, zero: int) -> Tensor:
        return product(numbers, zero, self.packed, self.scale, self.zeros)


def divisors(weight: Tensor, peaks: Tensor) -> Tensor:
    """Give what to divide each column by, so that its input and its weights are equally hard to round.

    The square root of the input's peak over the weights' (SmoothQuant with alpha 0.5, arXiv:2211.10438, equation 4).
    """
    of_weight = weight.abs().amax(0).clamp_(min=_LEAST_WEIGHT)
    return peaks.clamp(min=_LEAST_PEAK) ** _EXPONENT / of_weight ** (1 - _EXPONENT)
