from __future__ import annotations

from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F

from bge_components.backends import products
from bge_components.backends.products import Linear, PackedLinear, packing_works

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 0.05}
ROWS = (1, 7, 130)


@pytest.fixture(autouse=True)
def _inference():
    with torch.inference_mode():
        yield


def layer(dtype: torch.dtype, columns: int = 48, rows: int = 80) -> Linear:
    maker = torch.Generator().manual_seed(1)
    made = Linear(columns, rows).to(dtype)
    made.weight.copy_(torch.randn(rows, columns, generator=maker) * 0.2)
    made.bias.copy_(torch.randn(rows, generator=maker))
    return made


def rows_of(count: int, width: int, dtype: torch.dtype, seed: int = 2) -> torch.Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(seed)).to(dtype)


def kinds(dtype: torch.dtype) -> list[Linear | PackedLinear]:
    plain = layer(dtype)
    return [plain, PackedLinear(plain)] if packing_works(dtype) else [plain]


@pytest.mark.parametrize("count", ROWS)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_every_kind_gives_the_plain_numbers(dtype: torch.dtype, count: int) -> None:
    rows, residual = rows_of(count, 48, dtype), rows_of(count, 80, dtype, 3)
    exact = F.linear(rows.float(), layer(dtype).weight.float(), layer(dtype).bias.float())

    for made in kinds(dtype):
        results = {
            "product": (made.product(rows, "a").clone(), exact),
            "gelu": (made.gelu(rows, "a", "none").clone(), F.gelu(exact)),
            "tanh": (made.gelu(rows, "a", "tanh").clone(), F.gelu(exact, approximate="tanh")),
            "onto": (made.onto(residual, rows, "a").clone(), exact + residual.float()),
        }
        for name, (found, right) in results.items():
            assert found.dtype == dtype
            assert (found.float() - right).abs().max() < TOLERANCE[dtype] * 2, (type(made), name)


def test_this_torch_packs_both_formats_on_a_processor_that_is_tested() -> None:
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")

    assert packing_works(torch.float32)


def test_the_residual_and_the_rows_stay_as_they_were() -> None:
    rows, residual = rows_of(5, 48, torch.float32), rows_of(5, 80, torch.float32)
    before = rows.clone(), residual.clone()

    for made in kinds(torch.float32):
        made.onto(residual, rows, "a")
        made.gelu(rows, "a", "none")

    assert torch.equal(rows, before[0])
    assert torch.equal(residual, before[1])


def test_a_packed_layer_can_be_copied_and_unpacked_without_loss() -> None:
    plain = layer(torch.bfloat16)
    if not packing_works(torch.bfloat16):
        pytest.skip("this processor does not pack bf16")
    packed = PackedLinear(plain)
    rows = rows_of(3, 48, torch.bfloat16)

    assert torch.equal(packed.plain().weight, plain.weight)
    assert torch.equal(deepcopy(packed).product(rows, "a"), packed.product(rows, "a"))
    assert packed.plain().bias.data_ptr() != plain.bias.data_ptr()


@pytest.mark.parametrize("fault", ["wrong numbers", "no such operator"])
def test_packed_products_that_cannot_be_trusted_are_not_used(fault: str, monkeypatch, caplog) -> None:
    def wrong(self: PackedLinear, rows: torch.Tensor, slot: str) -> torch.Tensor:
        if fault == "no such operator":
            raise NotImplementedError(fault)
        return self.plain()(rows) + 1

    monkeypatch.setattr(products.PackedLinear, "product", wrong)
    packing_works.cache_clear()
    try:
        assert not packing_works(torch.float32)
    finally:
        packing_works.cache_clear()
