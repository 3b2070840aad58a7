from __future__ import annotations

import json
from pathlib import Path

import pytest

from bge_components.bench import machine, suite
from bge_components.bench.records import Machine, Measurement, Results
from bge_components.bench.suite import Bench

ONE = Measurement(
    workload="bulk", shape="mini", system="bge_components fp32", seconds=(1.0,), texts=1, tokens=1
)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Bench]:
    """The benches that the command makes; nothing is measured."""
    found: list[Bench] = []

    def measure(bench: Bench):
        found.append(bench)
        yield ONE

    monkeypatch.setattr(
        machine, "describe", lambda shapes, threads: Machine(facts={"threads": str(threads)}, peaks={})
    )
    monkeypatch.setattr(suite, "measurer", lambda name: measure)
    return found


def test_options_become_a_bench_and_results_a_table_and_a_file(
    bge, asked: list[Bench], tmp_path: Path
) -> None:
    out = tmp_path / "new" / "out.json"
    where = ("--work", tmp_path / "work", "--out", out)
    what = ("--shape", "mini", "--workload", "bulk", "--system", "sentence", "--rounds", 7, "--threads", 1)

    result = bge("bench", *what, *where)

    assert result.exit_code == 0, result.output
    (bench,) = asked
    assert [shape.name for shape in bench.shapes] == ["mini"]
    assert {system.environment for system in bench.systems} == {"st"}
    assert (bench.rounds, bench.threads, bench.work, bench.quick) == (7, 1, tmp_path / "work", False)
    assert Results.read(out).measurements == (ONE,)
    assert "bge_components fp32" in result.stdout
    assert "bulk, mini" in result.stdout


def test_results_can_go_to_stdout_as_json(bge, asked: list[Bench], tmp_path: Path) -> None:
    out = tmp_path / "out.json"

    result = bge("bench", "--quick", "--workload", "bulk", "--work", tmp_path, "--out", out, "--json")

    assert json.loads(result.stdout) == json.loads(out.read_text())
    assert json.loads(result.stdout)["measurements"][0]["system"] == "bge_components fp32"


def test_quick_takes_little_time_and_one_small_network(bge, asked: list[Bench], tmp_path: Path) -> None:
    assert bge("bench", "--quick", "--workload", "bulk", "--work", tmp_path).exit_code == 0
    (bench,) = asked
    assert bench.quick
    assert bench.rounds <= 2
    assert bench.seconds < 1
    assert [shape.name for shape in bench.shapes] == ["mini"]


def test_a_checkpoint_of_ones_own_is_measured_instead(
    bge, asked: list[Bench], tiny_m3: Path, tmp_path: Path
) -> None:
    assert bge("bench", "--model", tiny_m3, "--workload", "bulk", "--work", tmp_path).exit_code == 0
    (bench,) = asked
    assert [shape.source for shape in bench.shapes] == [tiny_m3]


def test_checkpoints_are_kept_in_the_users_cache(
    bge, asked: list[Bench], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert bge("bench", "--quick", "--workload", "bulk").exit_code == 0
    assert asked[0].work == tmp_path / "bge-components" / "bench"


@pytest.mark.parametrize(
    ("option", "value"), [("--shape", "huge"), ("--workload", "sing"), ("--system", "nobody")]
)
def test_unknown_names_are_wrong_commands(bge, option: str, value: str) -> None:
    result = bge("bench", option, value)
    assert result.exit_code == 2
    assert f"{option} {value}" in result.stderr
