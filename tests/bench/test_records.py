from __future__ import annotations

from pathlib import Path

import pytest

from bge_components.bench.records import Absence, Machine, Measurement, Results, fastest_exact_peer, joined
from bge_components.errors import InputError


def made(system: str, *seconds: float, cosine: float | None = 1.0) -> Measurement:
    return Measurement(
        workload="bulk",
        shape="bge-small",
        system=system,
        seconds=seconds,
        texts=3,
        tokens=100,
        flops=2e9,
        lowest_cosine=cosine,
        numbers={"p99_ms": 1.5},
    )


def test_rates_come_from_the_median_round() -> None:
    one = made("bge_components fp32", 9.0, 2.0, 1.0)

    assert (one.median_s, one.tokens_per_s, one.gflops) == (2.0, 50.0, 1.0)


def test_results_come_back_from_their_file(tmp_path: Path) -> None:
    results = Results(
        machine=Machine(facts={"processor": "x"}, peaks={"bge-small float32": 200.0}),
        measurements=(made("a", 1.0), made("bge_components fp32", 0.5, cosine=None)),
        absences=(Absence(workload="bulk", shape="bge-small", system="b", reason="not installed"),),
        notes=("texts are real",),
        command="bge bench",
    )

    results.write(tmp_path / "new" / "results.json")

    assert Results.read(tmp_path / "new" / "results.json") == results


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": 99}', '{"format": 1, "machine": {}}'])
def test_a_file_that_is_none_is_refused_by_name(tmp_path: Path, content: str) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)

    with pytest.raises(InputError, match=r"other\.json holds no results"):
        Results.read(path)


def test_only_peers_with_the_right_numbers_are_raced_against() -> None:
    rows = [
        made("bge_components fp32", 0.1),
        made("int8", 0.5, cosine=0.98),
        made("slow", 3.0),
        made("fast", 1.0),
    ]

    peer = fastest_exact_peer(rows)

    assert peer is not None
    assert peer.system == "fast"
    assert fastest_exact_peer(rows[:2]) is None


def run_of(*measurements: Measurement, processor: str = "x", absent: str | None = None) -> Results:
    absences = [Absence(workload="bulk", shape="bge-small", system=absent, reason="?")] if absent else []
    machine = Machine(facts={"processor": processor}, peaks={measurements[0].system: 1.0})
    return Results(machine=machine, measurements=measurements, absences=tuple(absences), command=processor)


def test_runs_are_put_together_and_the_later_one_counts() -> None:
    first = run_of(made("a", 1.0), made("b", 2.0), absent="c")
    second = run_of(made("b", 3.0), made("c", 4.0))

    both = joined([first, second])

    assert [(one.system, one.median_s) for one in both.measurements] == [("a", 1.0), ("b", 3.0), ("c", 4.0)]
    assert both.absences == ()
    assert both.machine.peaks == {"a": 1.0, "b": 1.0}
    assert joined([first]) == first


def test_runs_of_two_machines_stay_apart() -> None:
    with pytest.raises(InputError, match="of several: x, None, None; y"):
        joined([run_of(made("a", 1.0)), run_of(made("b", 1.0), processor="y")])
    with pytest.raises(InputError, match="no results"):
        joined([])
