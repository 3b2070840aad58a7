from __future__ import annotations

import os
from types import SimpleNamespace

import pytest
import torch

from bge_components.backends import available_devices, device_memory_bytes, devices, resolve_dtype
from bge_components.errors import InputError


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    monkeypatch.delenv("BGE_DTYPE", raising=False)
    devices._fastest_on_cpu.cache_clear()
    yield
    devices._fastest_on_cpu.cache_clear()


def pretend_cuda(monkeypatch, count: int, capability: tuple[int, int] = (9, 0)) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    card = SimpleNamespace(total_memory=80 * 2**30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: card)


def pretend_bf16(monkeypatch, amx: bool, avx512: bool = False, gain: float = 1.0) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx, raising=False)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512, raising=False)
    monkeypatch.setattr(devices, "_bf16_gain", lambda: gain)


def test_all_gpus_else_the_cpu(monkeypatch) -> None:
    pretend_cuda(monkeypatch, 2)
    assert available_devices() == ("cuda:0", "cuda:1")
    pretend_cuda(monkeypatch, 0)
    assert available_devices() == ("cpu",)


def test_memory_is_that_of_the_card_or_the_machine(monkeypatch) -> None:
    pretend_cuda(monkeypatch, 1)
    assert device_memory_bytes("cuda:0") == 80 * 2**30
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 2**27 < device_memory_bytes("cpu") <= total


def test_the_limit_of_a_container_counts(monkeypatch, tmp_path) -> None:
    limit, none = tmp_path / "limit", tmp_path / "none"
    limit.write_text(f"{2**28}\n")
    none.write_text("max\n")
    monkeypatch.setattr(devices, "_CGROUP_LIMITS", (str(none), str(tmp_path / "missing"), str(limit)))
    assert device_memory_bytes("cpu") == 2**28


@pytest.mark.parametrize("asked", ["float32", "bfloat16"])
@pytest.mark.parametrize("device", ["cpu", "cuda:0"])
def test_what_was_asked_for_is_taken(asked, device) -> None:
    assert resolve_dtype(asked, device) == (asked, "asked for")


def test_fp16_is_taken_on_a_gpu_and_becomes_fp32_on_a_cpu() -> None:
    assert resolve_dtype("float16", "cuda:0") == ("float16", "asked for")
    name, reason = resolve_dtype("float16", "cpu")
    assert name == "float32"
    assert "float16 (asked for)" in reason


def test_auto_on_a_gpu_is_bf16_where_the_card_has_it(monkeypatch) -> None:
    pretend_cuda(monkeypatch, 1, (8, 0))
    assert resolve_dtype("auto", "cuda:0")[0] == "bfloat16"
    pretend_cuda(monkeypatch, 1, (7, 5))
    assert resolve_dtype("auto", "cuda:0") == ("float16", "compute capability 7.5 has no bfloat16")


@pytest.mark.parametrize(
    ("amx", "avx512", "gain", "name", "said"),
    [
        (False, False, 9.0, "float32", "no products in bfloat16"),
        (True, True, 1.1, "float32", "only 1.1 times as fast"),
        (True, True, 4.0, "bfloat16", "AMX: bfloat16 is 4.0 times as fast"),
        (False, True, 1.9, "bfloat16", "AVX-512 BF16: bfloat16 is 1.9 times as fast"),
    ],
)
def test_auto_on_a_cpu_needs_bf16_products_and_a_trial_that_they_win(
    amx, avx512, gain, name, said, monkeypatch
) -> None:
    pretend_bf16(monkeypatch, amx, avx512, gain)
    found, reason = resolve_dtype("auto", "cpu")
    assert found == name
    assert said in reason


def test_int8_says_what_the_processor_has_for_it(monkeypatch) -> None:
    for amx, vnni, said in ((True, True, "AMX"), (False, True, "VNNI"), (False, False, "may be slower")):
        monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda amx=amx: amx, raising=False)
        monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda vnni=vnni: vnni, raising=False)
        name, reason = resolve_dtype("int8", "cpu")
        assert name == "int8"
        assert reason.startswith("int8 asked for; ")
        assert said in reason


@pytest.mark.parametrize("device", ["cuda:0", "mps"])
def test_int8_is_refused_on_a_gpu(device: str, monkeypatch) -> None:
    monkeypatch.setenv("BGE_DTYPE", "int8")
    with pytest.raises(InputError, match=rf"int8 \(BGE_DTYPE\) is for CPUs, and the device is '{device}'"):
        resolve_dtype("auto", device)


def test_the_trial_runs_once_per_process(monkeypatch) -> None:
    trials = []
    pretend_bf16(monkeypatch, True)
    monkeypatch.setattr(devices, "_bf16_gain", lambda: trials.append(1) or 4.0)
    assert resolve_dtype("auto", "cpu") == resolve_dtype("auto", "cpu")
    assert trials == [1]


def test_the_trial_measures_something() -> None:
    assert 0.001 < devices._bf16_gain() < 1000


def test_a_torch_without_those_questions_means_fp32(monkeypatch) -> None:
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported", raising=False)
    monkeypatch.delattr(torch.cpu, "_is_avx512_bf16_supported", raising=False)
    assert resolve_dtype("auto", "cpu")[0] == "float32"


def test_the_environment_decides_where_auto_is_asked_for(monkeypatch) -> None:
    monkeypatch.setenv("BGE_DTYPE", "bfloat16")
    assert resolve_dtype("auto", "cpu") == ("bfloat16", "BGE_DTYPE")
    assert resolve_dtype("float32", "cpu") == ("float32", "asked for")


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(InputError, match="float64"):
        resolve_dtype("float64", "cpu")
