from __future__ import annotations

import os
import subprocess
import sys
from copy import deepcopy

import pytest
import torch
import torch.nn.functional as F

from bge_components.backends import integers
from bge_components.backends.integers import weight_levels
from bge_components.backends.products import Linear
from bge_components.backends.quantized import GELU_FLOOR, QuantizedLinear, divisors
from bge_components.errors import UnsupportedCheckpointError

COUNTS = (1, 7, 16, 130, 300)
COLUMNS, ROWS = 96, 80


@pytest.fixture(autouse=True)
def _inference():
    with torch.inference_mode():
        yield


def random(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def layer() -> Linear:
    made = Linear(COLUMNS, ROWS)
    made.weight.copy_(random(ROWS, COLUMNS, seed=1) * 0.2)
    made.bias.copy_(random(ROWS, seed=2))
    return made


def made(kind: str) -> QuantizedLinear:
    plain, peaks = layer(), random(COLUMNS, seed=3).abs() * 5
    even = None if kind == "as it is" else divisors(plain.weight, peaks)
    return QuantizedLinear(plain, even, GELU_FLOOR if kind == "after a GELU" else None)


def given(kind: str, count: int) -> torch.Tensor:
    rows = random(count, COLUMNS, seed=4) * random(count, 1, seed=5).exp()
    return F.gelu(rows) if kind == "after a GELU" else rows


def rounded(quantized: QuantizedLinear, rows: torch.Tensor) -> torch.Tensor:
    """Round rows as the layer is to round them, one step after the other, and give what they then stand for."""
    factors = torch.ones(COLUMNS) if quantized.factors is None else quantized.factors
    if quantized.shift is None:
        smoothed = rows.double() * factors
        scale = smoothed.abs().amax(1, keepdim=True) / 127
        return (smoothed / scale).round() * scale / factors
    smoothed = (rows.double() - GELU_FLOOR) * factors
    scale = smoothed.amax(1, keepdim=True) / 255
    return (smoothed / scale).round() * scale / factors + GELU_FLOOR


KINDS = ("as it is", "smoothed", "after a GELU")


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_method_gives_what_the_rounded_numbers_give(kind: str, count: int) -> None:
    quantized, rows, residual = made(kind), given(kind, count), random(count, ROWS, seed=6)
    plain = quantized.plain()
    right = rounded(quantized, rows) @ plain.weight.double().t() + plain.bias

    for name, found, want in (
        ("product", quantized.product(rows, "a"), right),
        ("gelu", quantized.gelu(rows, "a", "none"), F.gelu(right)),
        ("tanh", quantized.gelu(rows, "a", "tanh"), F.gelu(right, approximate="tanh")),
        ("onto", quantized.onto(residual, rows, "a"), right + residual),
    ):
        error = (found.double() - want).norm(dim=1) / want.norm(dim=1)
        # Where a number lies on the border between two steps, fp32 may take the other one.
        assert error.median() < 1e-4, name
        assert error.max() < 5e-3, name


@pytest.mark.parametrize("kind", KINDS)
def test_the_rounded_layer_is_near_the_plain_one(kind: str) -> None:
    rows, quantized, plain = given(kind, 50), made(kind), layer()

    assert F.cosine_similarity(quantized.product(rows, "a"), plain(rows)).min() > 0.999
    assert F.cosine_similarity(quantized.plain()(rows), plain(rows)).min() > 0.9995
    assert torch.equal(quantized.plain().bias, plain.bias)


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_the_same_in_any_company_and_stays_as_it_was(kind: str) -> None:
    rows, quantized = given(kind, 150), made(kind)
    before, together = rows.clone(), quantized.product(rows, "a").clone()

    assert torch.equal(rows, before)
    for index in (0, 77, 149):
        alone = quantized.product(rows[index : index + 1], "a")[0]
        assert torch.allclose(alone, together[index], rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_rows_of_zeros_and_of_faults_give_what_they_should(kind: str) -> None:
    rows = given(kind, 4)
    rows[0], rows[1, 3], rows[2, 5] = 0, float("nan"), float("inf")

    found = made(kind).product(rows, "a")

    assert torch.allclose(found[0], layer().bias, atol=0.02)
    assert not found[1].isfinite().any()
    assert not found[2].isfinite().any()
    assert found[3].isfinite().all()


def test_a_copy_shares_what_is_never_written() -> None:
    quantized, rows = made("smoothed"), given("smoothed", 3)
    assert torch.equal(deepcopy(quantized).product(rows, "a"), quantized.product(rows, "a"))


def test_columns_are_divided_so_that_input_and_weights_peak_alike() -> None:
    weight, peaks = layer().weight, random(COLUMNS, seed=3).abs() + 0.1
    even = divisors(weight, peaks)

    assert torch.allclose(peaks / even, (weight * even).abs().amax(0), rtol=1e-4)
    assert divisors(weight, torch.zeros(COLUMNS)).min() > 0


@pytest.mark.parametrize("fault", ["no such operator", "wrong numbers"])
def test_products_that_are_missing_or_wrong_are_an_error_that_names_the_way_out(fault, monkeypatch) -> None:
    def faulty(numbers: torch.Tensor, *_: object) -> torch.Tensor:
        if fault == "no such operator":
            raise NotImplementedError(fault)
        return torch.ones(len(numbers), 64)

    monkeypatch.setattr(integers, "product", faulty)
    weight_levels.cache_clear()
    try:
        with pytest.raises(UnsupportedCheckpointError, match=r"int8 cannot be used .* use dtype='auto'"):
            weight_levels()
    finally:
        weight_levels.cache_clear()


def test_products_are_exact_on_a_processor_without_vnni() -> None:
    code = "from bge_components.backends.integers import weight_levels; print(weight_levels())"
    environment = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() in ("63", "127")
