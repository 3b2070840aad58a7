from __future__ import annotations

from dataclasses import replace
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


def run_of(*measurements: Measurement, absent: tuple[Absence, ...] = (), **facts: str) -> Results:
    machine = Machine(facts={"processor": "x", **facts}, peaks={measurements[0].system: 1.0})
    return Results(machine=machine, measurements=measurements, absences=absent, command="bge bench")


def absent(system: str, workload: str = "bulk", shape: str = "bge-small") -> Absence:
    return Absence(workload=workload, shape=shape, system=system, reason="?")


def test_a_later_run_replaces_whole_cells_so_that_times_of_two_runs_never_meet() -> None:
    first = run_of(
        made("a", 1.0), made("b", 2.0), replace(made("a", 5.0), shape="bge-base"), absent=(absent("c"),)
    )
    second = run_of(made("b", 3.0), absent=(absent("d"),))

    both = joined([first, second])

    found = [(one.shape, one.system, one.median_s) for one in both.measurements]
    assert found == [("bge-base", "a", 5.0), ("bge-small", "b", 3.0)]
    assert both.absences == (absent("d"),)
    assert both.machine.peaks == {"a": 1.0, "b": 1.0}
    assert joined([first]) == first


def test_an_absence_from_a_whole_workload_goes_when_a_part_of_it_was_measured_later() -> None:
    of_online = absent("all", "online", "all"), absent("x", "online"), absent("y", "online", "bge-base")
    first = run_of(made("a", 1.0), absent=of_online)
    second = run_of(replace(made("a", 1.0), workload="online queries, bulk"))

    assert joined([first, second]).absences == of_online[2:]


def test_a_run_that_measured_nothing_of_a_cell_replaces_nothing_of_it() -> None:
    other = replace(made("z", 1.0), workload="growth")

    both = joined([run_of(made("a", 1.0)), run_of(other, absent=(absent("a"), absent("b")))])

    assert [one.system for one in both.measurements] == ["a", "z"]
    assert both.absences == (absent("b"),)


@pytest.mark.parametrize(
    "fact", ["processor", "cores", "threads", "device", "ONEDNN_MAX_CPU_ISA", "torch", "bge_components"]
)
def test_runs_of_two_machines_or_versions_stay_apart(fact: str) -> None:
    with pytest.raises(InputError, match=r"of several: .*\b1\b.*; .*\b2\b"):
        joined([run_of(made("a", 1.0), **{fact: "1"}), run_of(made("a", 1.0), **{fact: "2"})])


def test_no_runs_cannot_be_put_together() -> None:
    with pytest.raises(InputError, match="no results"):
        joined([])


def test_the_reference_itself_is_exact_and_a_reference_in_int8_is_not() -> None:
    assert replace(made("a fp32", 1.0, cosine=None), reference=True).exact
    assert not replace(made("a int8", 1.0, cosine=None), reference=True).exact


@pytest.mark.parametrize(
    ("workload", "system", "cosine", "exact"),
    [
        ("bulk passages", "a fp32", 0.9995, True),
        ("bulk passages", "a fp32", 0.9985, False),
        ("bulk passages", "a fp32", None, False),
        ("rerank 1 x 100", "a fp32", None, False),
        ("online queries, bulk", "a fp32", None, True),
        ("gpu bulk, 512 tokens", "a bf16", None, False),
        ("bulk passages", "a int8", 1.0, False),
    ],
)
def test_exact_is_what_was_compared_and_is_not_int8(workload, system, cosine, exact) -> None:
    assert replace(made(system, 1.0, cosine=cosine), workload=workload).exact is exact


def test_of_the_machines_own_products_the_fastest_count() -> None:
    def run(rate: float) -> Results:
        return Results(
            machine=Machine(facts={"processor": "x"}, peaks={"mini float32": rate}), measurements=()
        )

    assert joined([run(90.0), run(200.0), run(60.0)]).machine.peaks == {"mini float32": 200.0}
