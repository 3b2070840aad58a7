from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from bge_components.bench import suite
from bge_components.bench.choice import chosen_shapes, chosen_systems, chosen_workloads
from bge_components.bench.records import Absence, Measurement, Results
from bge_components.bench.workloads import WORKLOADS, measurer
from bge_components.errors import ComputeError, InputError
from support.bench import FP32, PEER, TINY, a_bench

ONE = Measurement(workload="bulk", shape="tiny", system=FP32, seconds=(1.0,), texts=1, tokens=1)


def test_a_workload_that_breaks_is_an_absence_and_the_next_one_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(bench: object):
        yield ONE
        raise ComputeError("no luck")

    monkeypatch.setattr(suite, "measurer", {"bulk": breaks, "rerank": lambda bench: iter([ONE])}.get)

    results = suite.run(a_bench(tmp_path), ("bulk", "rerank"), command="bge bench")

    assert results.measurements == (ONE, ONE)
    assert results.absences == (
        Absence(workload="bulk", shape="all", system="all", reason="ComputeError: no luck"),
    )
    assert results.command == "bge bench"


def test_any_error_of_a_workload_is_an_absence_with_the_name_of_its_type(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(bench: object):
        raise KeyError("middle")
        yield

    monkeypatch.setattr(suite, "measurer", lambda name: breaks)

    (absence,) = suite.run(a_bench(tmp_path), ("bulk",)).absences

    assert absence.reason == "KeyError: 'middle'"


def test_a_workload_that_is_not_for_the_networks_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suite, "measurer", lambda name: lambda bench: iter(()))

    (absence,) = suite.run(a_bench(tmp_path), ("rerank",)).absences

    assert absence.workload == "rerank"
    assert absence.reason.startswith("none of the networks that were asked for is of the kind")


def test_what_comes_up_on_the_way_is_told_once_in_the_notes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tells(bench: suite.Bench):
        for _ in range(2):
            bench.told.append("a system: its package 1.2.")
            yield ONE

    monkeypatch.setattr(suite, "measurer", lambda name: tells)

    notes = suite.run(a_bench(tmp_path), ("bulk",)).notes

    assert notes.count("a system: its package 1.2.") == 1
    assert len(notes) > 1


def test_an_interrupted_run_leaves_what_it_had_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(bench: object):
        yield ONE
        raise KeyboardInterrupt

    broken = Absence(workload="bulk", shape="tiny", system="other", reason="no package")
    monkeypatch.setattr(suite, "measurer", {"bulk": lambda bench: iter([broken]), "rerank": interrupted}.get)
    with pytest.raises(KeyboardInterrupt):
        suite.run(a_bench(tmp_path), ("bulk", "rerank", "online"), out=tmp_path / "out.json")

    left = Results.read(tmp_path / "out.json")
    assert left.measurements == (ONE,)
    assert left.absences[0] == broken
    assert [(one.workload, one.shape, one.system, one.reason) for one in left.absences[1:]] == [
        ("rerank", "all", "all", "the run ended in the middle of it"),
        ("online", "all", "all", "the run ended before it began"),
    ]


def test_a_run_that_dies_before_anything_was_found_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(bench: object):
        raise KeyboardInterrupt
        yield

    monkeypatch.setattr(suite, "measurer", lambda name: interrupted)
    with pytest.raises(KeyboardInterrupt):
        suite.run(a_bench(tmp_path), ("bulk", "rerank"), out=tmp_path / "out.json")

    assert [one.workload for one in Results.read(tmp_path / "out.json").absences] == ["bulk", "rerank"]


def test_a_run_that_ends_leaves_no_workload_undone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        suite, "measurer", {"bulk": lambda bench: iter([ONE]), "rerank": lambda bench: iter([ONE])}.get
    )

    results = suite.run(a_bench(tmp_path), ("bulk", "rerank"), out=tmp_path / "out.json")

    assert results.absences == ()
    assert Results.read(tmp_path / "out.json") == results


def test_the_notes_tell_stand_ins_random_weights_and_texts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    notes = "\n".join(suite.run(a_bench(tmp_path), ()).notes)
    assert "tiny: its tokenizer is that of mini" in notes
    assert "random weights" in notes
    assert "the language reference that comes with Python" in notes


def test_the_budget_is_what_the_machine_does_in_that_time(tmp_path: Path) -> None:
    bench = a_bench(tmp_path, seconds=3.0)
    assert bench.affordable_flops(TINY) == 3e9
    assert bench.affordable_flops(TINY, 0.5) == 0.5e9
    assert bench.peak_gflops(TINY, "bfloat16") == 0.5


def test_what_was_exported_of_another_checkpoint_or_an_older_one_is_not_reused(tmp_path: Path) -> None:
    def exports(folder: Path, config: str) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text(config)
        return a_bench(tmp_path).exports(replace(TINY, source=folder))

    first = exports(tmp_path / "mine" / "model", "{}")

    assert first.name.startswith("tiny-")
    assert a_bench(tmp_path).exports(replace(TINY, source=tmp_path / "mine" / "model")) == first
    assert exports(tmp_path / "yours" / "model", "{}") != first
    assert exports(tmp_path / "mine" / "model", '{"remade": 1}') != first


@pytest.mark.parametrize("name", WORKLOADS)
def test_every_workload_is_a_module_with_a_function(name: str) -> None:
    assert callable(measurer(name))


def test_unknown_names_are_refused_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match=r"--workload sing: .* bulk, rerank"):
        chosen_workloads(["bulk", "sing"])
    with pytest.raises(InputError, match=r"--system nobody: .* bge_components fp32"):
        chosen_systems(["nobody"])
    with pytest.raises(InputError, match="--shape huge"):
        chosen_shapes(["huge"])


def test_systems_are_chosen_by_the_beginning_of_their_names() -> None:
    names = [system.name for system in chosen_systems(["sentence-", FP32])]
    assert names == [FP32, PEER, "sentence-transformers bf16"]


def test_without_names_everything_that_makes_sense_here_runs_ours_first() -> None:
    systems = chosen_systems([])
    assert systems[0].ours
    assert "openvino bf16" not in [system.name for system in systems]
    assert chosen_workloads([]) == WORKLOADS
    assert [shape.name for shape in chosen_shapes([], quick=True)] == ["mini"]


def test_workloads_run_in_their_own_order() -> None:
    assert chosen_workloads(["startup", "bulk"]) == ("bulk", "startup")
