from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from bge_components.bench import machine
from bge_components.bench.shapes import Shape
from bge_components.bench.systems.catalogue import worth_running

TINY = Shape(name="tiny", family="bert", layers=1, width=16, inner=32, heads=2, vocab=10, positions=8)


@pytest.fixture(autouse=True)
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_LEAST_S", 0.0)
    monkeypatch.setattr(machine, "ROWS", 8)


def test_the_facts_name_the_processor_the_memory_and_the_versions() -> None:
    found = machine.facts(3)
    assert found["processor"]
    assert found["torch"] == torch.__version__
    assert found["threads"].startswith("3")
    assert found["cores"].endswith(str(os.cpu_count()))


def test_instruction_sets_are_read_from_what_linux_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("model name\t: Some Processor\nflags\t\t: fpu avx2 amx_bf16\n\nmodel name\t: Second\n")
    monkeypatch.setattr(machine, "_CPU_INFO", info)

    found = machine.facts(1)

    assert found["processor"] == "Some Processor"
    assert found["instruction sets"] == "avx2 amx_bf16"
    assert "amx_bf16" in machine.processor_flags()


@pytest.mark.parametrize(
    ("limit", "left"),
    [
        ("AVX512_CORE_AMX", "avx512f avx512_vnni avx512_bf16 amx_bf16 amx_int8"),
        ("ALL", "avx512f avx512_vnni avx512_bf16 amx_bf16 amx_int8"),
        ("AVX512_CORE_FP16", "avx512f avx512_vnni avx512_bf16"),
        ("AVX512_CORE_BF16", "avx512f avx512_vnni avx512_bf16"),
        ("avx512_core_vnni", "avx512f avx512_vnni"),
        ("AVX512_CORE", "avx512f"),
        ("AVX2", "avx512f"),
    ],
)
def test_what_a_variable_keeps_torch_from_is_no_instruction_set_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, left: str
) -> None:
    info = tmp_path / "cpuinfo"
    info.write_text("flags\t: avx512f avx512_vnni avx512_bf16 amx_tile amx_bf16 amx_int8\n")
    monkeypatch.setattr(machine, "_CPU_INFO", info)
    monkeypatch.setenv(machine.LIMIT, limit)

    assert machine.facts(1)["instruction sets"] == left
    assert machine.facts(1)[machine.LIMIT] == limit
    names = {system.name for system in worth_running(machine.processor_flags())}
    assert ("bge_components bf16" in names) == ("bf16" in left)
    assert ("bge_components int8" in names) == ("vnni" in left)


def test_without_the_variable_nothing_is_told_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(machine.LIMIT, raising=False)
    assert machine.LIMIT not in machine.facts(1)


def test_without_linux_the_facts_are_fewer_and_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_CPU_INFO", tmp_path / "none")
    monkeypatch.setattr(machine, "_MEMORY_INFO", tmp_path / "none")
    assert machine.facts(1)["instruction sets"] == "not known"
    assert machine.available_bytes() == 0


def test_every_shape_and_dtype_has_a_peak_and_threads_are_put_back() -> None:
    before = torch.get_num_threads()
    peaks = machine.matmul_peaks([TINY], ("float32", "bfloat16"), threads=1)
    assert set(peaks) == {"tiny float32", "tiny bfloat16"}
    assert all(rate > 0 for rate in peaks.values())
    assert torch.get_num_threads() == before


def test_the_rate_is_the_work_of_the_four_products_over_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_median_seconds", lambda product: 1e-6)
    flops = 2 * 8 * (3 * 16 * 16 + 16 * 16 + 2 * 16 * 32)
    assert machine.matmul_peaks([TINY], ("float32",), 1)["tiny float32"] == pytest.approx(flops / 4e-6 / 1e9)


def test_shapes_of_equal_products_are_measured_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[object] = []
    monkeypatch.setattr(machine, "_rate", lambda *given: float(calls.append(given) or len(calls)))
    twin = Shape(**{**vars(TINY), "name": "twin"})
    assert machine.matmul_peaks([TINY, twin], ("float32",), 1) == {"tiny float32": 1.0, "twin float32": 1.0}


@pytest.mark.parametrize("dtype", machine.DTYPES.values())
def test_all_ways_of_a_product_give_the_same(dtype: torch.dtype) -> None:
    given, weight, bias = (
        torch.randn(8, 16).to(dtype),
        torch.randn(32, 16).to(dtype),
        torch.randn(32).to(dtype),
    )
    first, *others = [way().float() for way in machine._ways(given, weight, bias)]
    for other in others:
        torch.testing.assert_close(other, first, atol=0.1 if dtype == torch.bfloat16 else 1e-4, rtol=0.02)
