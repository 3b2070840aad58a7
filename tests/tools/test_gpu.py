from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import gpu, gpu_parts, gpu_recovery
from benchmarks.gpu_parts import PARTS
from benchmarks.gpu_setting import Setting
from bge_components.bench.records import Results
from bge_components.bench.workloads.fresh import Finished, FreshProcessError


@pytest.fixture
def setting(tmp_path: Path) -> Setting:
    return Setting(device="cpu", tiny=True, work=tmp_path)


@pytest.mark.skipif(torch.cuda.is_available(), reason="is about machines without one")
def test_without_a_device_it_ends_at_once_with_a_code_of_its_own(capsys) -> None:
    assert gpu.main([]) == gpu.NO_DEVICE
    assert capsys.readouterr().err.count("\n") == 1


def test_outputs_are_measured_beside_the_peers(setting: Setting, monkeypatch) -> None:
    monkeypatch.setattr(
        gpu_parts, "_sentences", lambda given, setting: lambda texts, size: np.ones((len(texts), 32))
    )

    found = list(PARTS["bge-m3"].measure(setting))

    systems = [one.system for one in found if one.workload == "gpu outputs"]
    assert systems == ["bge_components bf16, dense", "bge_components bf16, all heads"]
    assert all(-1 <= one.lowest_cosine <= 1 for one in found)
    assert found[0].lowest_cosine == pytest.approx(found[-1].lowest_cosine, abs=1e-4)
    peers = [one.system for one in found if not one.ours]
    assert peers == ["sentence-transformers bf16, batch 32", "sentence-transformers bf16, batch 256"]
    assert all(one.numbers["million_tokens_per_s"] > 0 for one in found)


def test_every_batch_size_is_held_against_the_reference(setting: Setting, monkeypatch) -> None:
    def sentences(given, setting: Setting):
        return lambda texts, size: np.array(
            [[1, 0 if setting.fp32 else 0.1 * (size > 32)] + [0] * 30] * len(texts), dtype=np.float32
        )

    monkeypatch.setattr(gpu_parts, "_sentences", sentences)

    found = {one.system: one for one in PARTS["bge-base"].measure(setting) if "512" in one.workload}

    sizes = [one for name, one in found.items() if name.endswith("tokens at once")]
    assert len(sizes) == len(gpu_parts.BATCH_TOKENS)
    assert all(one.lowest_cosine is not None for one in sizes)
    assert found["sentence-transformers bf16, batch 32"].exact
    assert found["sentence-transformers bf16, batch 256"].lowest_cosine == pytest.approx(0.995, abs=1e-3)
    assert not found["sentence-transformers bf16, batch 256"].exact


def test_scores_of_every_batch_size_are_held_against_the_reference(setting: Setting, monkeypatch) -> None:
    def cross_encoder(given, setting: Setting):
        return lambda pairs, size: np.full(len(pairs), 0.5 if setting.fp32 or size == 32 else 0.4)

    monkeypatch.setattr(gpu_parts, "_cross_encoder", cross_encoder)

    found = {one.system: one for one in PARTS["reranker"].measure(setting)}

    assert 0 <= found["bge_components bf16"].lowest_cosine <= 1
    assert found["sentence-transformers bf16, batch 32"].exact
    assert found["sentence-transformers bf16, batch 256"].lowest_cosine == pytest.approx(0.9)


def test_a_full_device_costs_time_only_and_the_batches_grow_back(setting: Setting) -> None:
    (found,) = PARTS["recovery"].measure(setting)

    assert found.numbers["times_out_of_memory"] > 0
    assert found.numbers["tokens_at_once_full"] < found.numbers["tokens_at_once_before"]
    assert found.lowest_cosine == pytest.approx(1.0, abs=1e-4)


def test_a_device_that_was_never_full_proves_nothing(setting: Setting, monkeypatch) -> None:
    monkeypatch.setattr(gpu_recovery, "_TINY_FITS", 10**9)

    with pytest.raises(gpu_recovery.NotRecoveredError, match="never ran out"):
        list(PARTS["recovery"].measure(setting))


def test_a_part_that_fails_costs_only_itself(tmp_path: Path, monkeypatch) -> None:
    limits: list[float] = []

    def one_fails(python: str, arguments: list[str], *, threads: int, limit_s: float) -> Finished:
        limits.append(limit_s)
        if arguments[3] == "bge-m3":
            raise FreshProcessError("its device was lost")
        return Finished(seconds=1.0, said={"measurements": []})

    monkeypatch.setattr(gpu, "run_fresh", one_fails)

    code = gpu.main(
        ["--device", "cpu", "--tiny", "--work", str(tmp_path), "--out", str(tmp_path / "gpu.json")]
    )

    assert code == 1
    assert Results.read(tmp_path / "gpu.json").machine.facts["sentence-transformers"]
    (absence,) = Results.read(tmp_path / "gpu.json").absences
    assert (absence.workload, absence.reason) == ("bge-m3", "its device was lost")
    assert len(limits) == len(PARTS)


def test_all_parts_and_the_tests_take_less_than_ten_minutes() -> None:
    assert sum(part.limit_s for part in PARTS.values()) + gpu.TESTS_S <= gpu.WHOLE_S < 600


def test_no_part_gets_time_that_is_kept_for_others() -> None:
    clock = gpu.Clock(ends=gpu.time.monotonic() + 100)

    assert clock.limit_s(30, kept=20) == 30
    assert 79 < clock.limit_s(500, kept=20) <= 80
    assert clock.limit_s(30, kept=200) == 0
