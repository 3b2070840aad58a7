from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bge_components.bench import contest
from bge_components.bench.contest import Contest
from bge_components.bench.contestants import Work
from bge_components.bench.records import Absence, Machine, Measurement
from bge_components.bench.systems.catalogue import System
from support.bench import BF16, FP32, PEER, TINY, FakeWorker, a_bench

OPENVINO, ONNX = "openvino fp32", "onnxruntime fp32"
TEXTS = ["a" * (1 + i % 7) for i in range(100)]
ENCODE = Work(name="bulk", texts=TEXTS, lengths=[10] * 100)
RERANK = Work(name="rerank", texts=TEXTS, lengths=[10] * 100, query="a bear")


def run(bench, workers: dict[str, FakeWorker], *works: Work) -> dict[str, Measurement | Absence]:
    found = Contest(bench, TINY, works or (ENCODE,), start=lambda system, *_: workers[system.name]).run()
    return {one.system: one for one in found}


def test_every_system_is_measured_in_every_round_and_held_against_the_reference(tmp_path: Path) -> None:
    workers = {FP32: FakeWorker(0.001), PEER: FakeWorker(0.002), BF16: FakeWorker(0.003, turned=0.1)}

    found = run(a_bench(tmp_path, *workers), workers)

    assert found[FP32].seconds == pytest.approx((0.1, 0.1))
    assert found[FP32].lowest_cosine == pytest.approx(1.0)
    assert found[BF16].lowest_cosine == pytest.approx(0.995, abs=1e-3)
    assert found[FP32].flops == TINY.flops(ENCODE.lengths)
    assert found[FP32].tokens == 1000
    assert found[FP32].numbers["peak_mb"] == 100.0
    assert all(worker.closed for worker in workers.values())


def test_memory_is_that_of_the_work_and_of_nothing_before(tmp_path: Path) -> None:
    workers = {FP32: FakeWorker()}
    few = Work(name="few", texts=TEXTS[:10], lengths=[10] * 10)
    found = Contest(a_bench(tmp_path, FP32), TINY, (ENCODE, few), start=lambda *_: workers[FP32]).run()
    assert [one.numbers["peak_mb"] for one in found if isinstance(one, Measurement)] == [100.0, 10.0]


def test_memory_that_holds_what_was_before_is_left_out(tmp_path: Path) -> None:
    workers = {FP32: FakeWorker(), PEER: FakeWorker()}
    workers[PEER].forgets = False

    found = run(a_bench(tmp_path, *workers), workers)

    assert found[FP32].numbers["peak_mb"] == 100.0
    assert "peak_mb" not in found[PEER].numbers
    assert len(found[PEER].seconds) == 2


def test_without_the_peer_our_own_fp32_is_the_reference(tmp_path: Path) -> None:
    workers = {FP32: FakeWorker(), BF16: FakeWorker(turned=0.1)}
    bench = a_bench(tmp_path, *workers)

    found = run(bench, workers)

    assert found[BF16].lowest_cosine == pytest.approx(0.995, abs=1e-3)
    assert f"bulk, tiny: {PEER} was not measured, so cosines are to {FP32}" in "\n".join(bench.told)


@pytest.mark.parametrize(
    ("systems", "reference"), [((FP32, PEER), PEER), ((FP32, BF16), FP32), ((BF16,), None)]
)
def test_the_reference_is_compared_with_nothing_and_still_exact(
    tmp_path: Path, systems: tuple[str, ...], reference: str | None
) -> None:
    workers = {name: FakeWorker() for name in systems}
    bench = a_bench(tmp_path, *systems)

    found = run(bench, workers)

    assert [name for name, one in found.items() if one.reference] == [reference] * (reference is not None)
    for name, one in found.items():
        assert (one.lowest_cosine is None) == (name == reference or reference is None)
        assert one.exact == (reference is not None)
    assert any("was not measured" in line for line in bench.told) == (reference == FP32)


def test_scores_are_compared_by_their_largest_difference(tmp_path: Path) -> None:
    workers = {FP32: FakeWorker(), PEER: FakeWorker(turned=0.01)}
    found = run(a_bench(tmp_path, *workers), workers, RERANK)
    assert found[FP32].lowest_cosine == pytest.approx(0.99, abs=1e-6)
    assert "between_texts_cosine" not in found[FP32].numbers


def test_a_round_that_takes_a_minute_is_run_once_and_one_text_is_not_run_to_warm_up(tmp_path: Path) -> None:
    def machine(work: Work, seconds: float) -> Machine:
        return Machine(facts={}, peaks={"tiny float32": TINY.flops(work.lengths) / seconds / 1e9})

    one = Work(name="one", texts=["a" * 9], lengths=[512])
    for seconds, rounds in ((59.0, 2), (61.0, 1)):
        workers = {FP32: FakeWorker()}
        found = run(a_bench(tmp_path, FP32, machine=machine(one, seconds)), workers, one)
        assert len(found[FP32].seconds) == rounds
        assert list(workers[FP32].given) == ["one"]
        assert found[FP32].numbers["peak_mb"] == 1.0


def test_a_slow_system_runs_a_sample_and_its_time_is_scaled(tmp_path: Path) -> None:
    workers = {FP32: FakeWorker(0.001), BF16: FakeWorker(0.2)}

    found = run(a_bench(tmp_path, *workers), workers)

    assert found[BF16].seconds == pytest.approx((20.0, 20.0))
    assert found[BF16].texts == 100
    assert found[BF16].numbers["texts_measured"] == 34
    assert "texts_measured" not in found[FP32].numbers


def test_whether_a_system_is_slow_is_not_decided_on_its_first_run(tmp_path: Path) -> None:
    workers = {FP32: FakeWorker(0.001), BF16: FakeWorker(0.001, cold=1000.0)}

    found = run(a_bench(tmp_path, *workers), workers)

    assert "texts_measured" not in found[BF16].numbers


@pytest.mark.parametrize(("fewest", "measured"), [(30, 34), (50, 50), (51, 100)])
def test_a_sample_has_as_many_texts_as_the_work_asks_for(tmp_path: Path, fewest: int, measured: int) -> None:
    workers = {FP32: FakeWorker(0.001), BF16: FakeWorker(0.2)}

    found = run(a_bench(tmp_path, *workers), workers, replace(ENCODE, fewest=fewest))

    assert found[BF16].numbers.get("texts_measured", 100) == measured


def test_a_reference_runs_everything_however_slow_it_is(tmp_path: Path) -> None:
    workers = {FP32: FakeWorker(0.001), PEER: FakeWorker(0.2)}

    found = run(a_bench(tmp_path, *workers), workers)

    assert found[PEER].seconds == pytest.approx((20.0, 20.0))
    assert "texts_measured" not in found[PEER].numbers


def test_a_sample_is_held_against_the_same_texts_of_the_reference(tmp_path: Path) -> None:
    workers = {FP32: FakeWorker(0.001), BF16: FakeWorker(0.2)}
    found = run(a_bench(tmp_path, *workers), workers)
    assert found[BF16].numbers["texts_measured"] == 34
    assert found[BF16].lowest_cosine == pytest.approx(1.0)


@pytest.mark.parametrize("step", ["load", "encode"])
def test_a_system_that_fails_is_an_absence_and_the_others_are_measured(tmp_path: Path, step: str) -> None:
    workers = {FP32: FakeWorker(), PEER: FakeWorker(fails_at=step)}

    found = run(a_bench(tmp_path, *workers), workers)

    assert isinstance(found[FP32], Measurement)
    assert isinstance(found[PEER], Absence)
    assert found[PEER].reason == f"it cannot {step}"
    assert workers[PEER].closed


def test_a_system_without_an_interpreter_says_how_to_get_it(tmp_path: Path) -> None:
    bench = a_bench(
        tmp_path, FP32, PEER, interpreters={"ours": "python"}, missing={"st": "make peers PEERS=st"}
    )
    found = run(bench, {FP32: FakeWorker()})
    assert found[PEER].reason == "make peers PEERS=st"


def test_a_system_that_does_not_do_the_task_is_not_asked(tmp_path: Path) -> None:
    workers = {FP32: FakeWorker()}
    only_ranks = (
        a_bench(tmp_path, FP32)
        .systems[0]
        .__class__(**{**vars(a_bench(tmp_path, PEER).systems[0]), "tasks": ("rerank",)})
    )
    bench = a_bench(tmp_path, FP32)
    bench = a_bench(tmp_path, FP32, systems=[*bench.systems, only_ranks])
    assert set(run(bench, workers)) == {FP32}


def test_what_does_not_fit_into_memory_runs_in_groups_with_ours_in_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contest, "available_bytes", lambda: 3.2e9)
    workers = {FP32: FakeWorker(), BF16: FakeWorker(), PEER: FakeWorker()}

    found = run(a_bench(tmp_path, *workers), workers)

    assert len(found[FP32].seconds) == 4
    assert len(found[BF16].seconds) == len(found[PEER].seconds) == 2


def test_systems_that_are_not_installed_take_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contest, "available_bytes", lambda: 3.2e9)
    workers = {FP32: FakeWorker(), BF16: FakeWorker()}
    bench = a_bench(tmp_path, FP32, BF16, PEER, interpreters={"ours": "python"})

    found = run(bench, workers)

    assert len(found[FP32].seconds) == len(found[BF16].seconds) == 2
    assert found[PEER].reason == "its package is not installed"


def test_what_a_work_gave_is_known_before_the_next_one_runs(tmp_path: Path) -> None:
    workers = {FP32: FakeWorker(), PEER: FakeWorker(fails_at="encode")}
    found = Contest(
        a_bench(tmp_path, *workers), TINY, (ENCODE, RERANK), start=lambda system, *_: workers[system.name]
    ).run()

    first = [next(found), next(found)]

    assert [(one.workload, one.system) for one in first] == [("bulk", FP32), ("bulk", PEER)]
    assert list(workers[FP32].given) == ["bulk, shortest", "bulk, 1 of 3", "bulk"]
    assert [(one.workload, one.system) for one in found] == [("rerank", FP32), ("rerank", PEER)]


def test_a_run_that_is_interrupted_keeps_the_works_before_and_ends_its_processes(tmp_path: Path) -> None:
    class Interrupted(FakeWorker):
        def rerank(self, query: str, name: str) -> float:
            raise KeyboardInterrupt

    workers = {FP32: Interrupted()}
    bench = a_bench(tmp_path, FP32)
    found = Contest(bench, TINY, (ENCODE, RERANK), start=lambda system, *_: workers[system.name]).run()

    assert next(found).workload == "bulk"
    with pytest.raises(KeyboardInterrupt):
        next(found)
    assert workers[FP32].closed


def test_a_system_is_known_when_no_later_group_runs_it_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contest, "available_bytes", lambda: 3.2e9)
    workers = {FP32: FakeWorker(), BF16: FakeWorker(), PEER: FakeWorker(turned=0.1)}
    bench = a_bench(tmp_path, *workers)
    found = Contest(bench, TINY, (ENCODE,), start=lambda system, *_: workers[system.name]).run()

    assert next(found).system == PEER
    assert not workers[BF16].loaded
    nearness = {one.system: one.lowest_cosine for one in found if isinstance(one, Measurement)}
    assert nearness == {FP32: pytest.approx(0.995, abs=1e-3), BF16: pytest.approx(0.995, abs=1e-3)}


@pytest.mark.parametrize(
    ("room", "groups"),
    [
        (2, [[FP32, PEER], [FP32, BF16], [FP32, OPENVINO], [FP32, ONNX]]),
        (3, [[FP32, PEER, BF16], [FP32, OPENVINO, ONNX]]),
        (4, [[FP32, PEER, BF16, OPENVINO], [FP32, PEER, ONNX]]),
    ],
)
def test_the_references_are_in_every_group_where_half_the_room_is_left_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int, groups: list[list[str]]
) -> None:
    monkeypatch.setattr(contest, "available_bytes", lambda: (room + 0.5) * 1.5e9)
    bench = a_bench(tmp_path, FP32, BF16, PEER, OPENVINO, ONNX)
    started: list[str] = []

    def start(system: System, *_: object) -> FakeWorker:
        started.append(system.name)
        return FakeWorker()

    found = list(Contest(bench, TINY, (ENCODE,), start=start).run())

    assert started == [name for group in groups for name in group]
    assert sorted(one.system for one in found) == sorted([FP32, BF16, PEER, OPENVINO, ONNX])
    (told,) = (line for line in bench.told if "groups" in line)
    assert f"ran in {len(groups)} groups" in told
    assert (f"{FP32} and {PEER} in each" in told) == (room == 4)


def test_fewer_systems_fit_together_where_texts_are_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contest, "available_bytes", lambda: 20e9)
    long = Work(name="long", texts=["a" * 9], lengths=[8192])

    def groups(*works: Work) -> list[str]:
        bench = a_bench(tmp_path, FP32, BF16, PEER, OPENVINO, ONNX)
        list(Contest(bench, TINY, works, start=lambda *_: FakeWorker()).run())
        return [line for line in bench.told if "groups" in line]

    assert groups(ENCODE) == []
    assert "ran in 2 groups" in groups(ENCODE, long)[0]


def test_exports_are_kept_beside_the_checkpoints_not_in_them(tmp_path: Path) -> None:
    workers = {FP32: FakeWorker()}
    bench = a_bench(tmp_path, FP32)
    run(bench, workers)
    folder, task, max_tokens, exports = workers[FP32].loaded
    assert (task, max_tokens) == ("embed", 512)
    assert exports == bench.exports(TINY)
    assert exports.parent == tmp_path / "exports"
    assert folder == tmp_path / "checkpoints" / "tiny"


def test_the_versions_of_every_system_are_told(tmp_path: Path) -> None:
    workers = {FP32: FakeWorker(), PEER: FakeWorker(fails_at="load")}
    bench = a_bench(tmp_path, *workers)
    run(bench, workers)
    assert bench.told[:1] == [f"{FP32}: a-package 1.2, torch 2."]
    assert not any(line.startswith(PEER) for line in bench.told)
