from __future__ import annotations

from io import StringIO

import pytest
from rich.console import Console

from bge_components.bench.records import Absence, Machine, Measurement, Results
from bge_components.bench.report import peak_share, tables

MACHINE = Machine(
    facts={"processor": "Some Processor"}, peaks={"bge-base float32": 100.0, "bge-base bfloat16": 200.0}
)


def made(system: str, *seconds: float, cosine: float | None = 1.0, **changes) -> Measurement:
    given = {"workload": "bulk", "shape": "bge-base", "texts": 10, "tokens": 1000, "flops": 80e9, **changes}
    return Measurement(system=system, seconds=seconds, lowest_cosine=cosine, **given)


def shown(*measurements: Measurement, absences: tuple[Absence, ...] = ()) -> list[str]:
    results = Results(machine=MACHINE, measurements=measurements, absences=absences, notes=("a note",))
    console = Console(file=StringIO(), width=250)
    for table in tables(results):
        console.print(table)
    return console.file.getvalue().splitlines()


def line(lines: list[str], word: str) -> list[str]:
    (found,) = [one for one in lines if word in one]
    return [cell.strip() for cell in found.strip("│ ").split("│")]


def test_the_ratio_is_to_the_fastest_exact_peer() -> None:
    lines = shown(
        made("bge_components fp32", 1.0),
        made("slow fp32", 4.0),
        made("exact fp32", 2.0),
        made("quick int8", 0.5, cosine=0.9),
    )
    assert line(lines, "bge_components fp32")[1:3] == ["1.000", "2.00"]
    assert line(lines, "exact fp32")[2] == "1.00"
    assert line(lines, "quick int8")[2] == "4.00"


def test_the_share_of_the_peak_is_that_of_the_same_number_format() -> None:
    assert peak_share(made("x fp32", 1.0), MACHINE) == pytest.approx(0.8)
    assert peak_share(made("x bf16", 1.0), MACHINE) == pytest.approx(0.4)
    assert peak_share(made("x int8", 1.0), MACHINE) is None
    assert peak_share(made("x fp32", 1.0, flops=0.0), MACHINE) is None
    assert peak_share(made("x fp32", 1.0, shape="other"), MACHINE) is None


def test_the_fastest_and_the_slowest_round_stand_beside_the_median() -> None:
    lines = shown(made("three rounds", 1.0, 3.0, 1.5), made("one round", 1.0))
    assert line(lines, "three rounds")[1] == "1.500 (1.000–3.000)"
    assert line(lines, "one round")[1] == "1.000"


def test_the_reference_has_no_cosine_and_is_raced_against() -> None:
    lines = shown(made("bge_components fp32", 1.0), made("the right one", 2.0, cosine=None, reference=True))
    assert line(lines, "the right one")[2:7:4] == ["1.00", "reference"]


def test_without_a_peer_there_is_no_ratio() -> None:
    assert line(shown(made("bge_components fp32", 1.0)), "bge_components fp32")[2] == "-"


def test_each_workload_and_shape_is_a_table_with_its_own_numbers() -> None:
    lines = shown(
        made("alone", 1.0, numbers={"p99_ms": 12.5}),
        made("b", 1.0, workload="online", numbers={"callers": 8.0}),
    )
    titles = [one.strip() for one in lines if ": 10 texts" in one]
    assert titles == ["bulk, bge-base: 10 texts, 1,000 tokens", "online, bge-base: 10 texts, 1,000 tokens"]
    assert "12.5" in line(lines, "alone")
    (heading,) = [one for one in lines if "p99_ms" in one]
    assert "callers" not in heading


def test_what_is_absent_is_told_once_per_reason() -> None:
    absent = [
        Absence(workload=f"bulk {i}", shape="bge-base", system="gone", reason="no package") for i in (1, 2)
    ]
    assert line(shown(absences=tuple(absent)), "gone") == ["gone", "bge-base", "bulk 1, bulk 2", "no package"]


def test_machine_peaks_and_notes_are_shown() -> None:
    lines = shown()
    assert "Some Processor" in line(lines, "processor")
    assert "100 GFLOP/s" in line(lines, "products, bge-base float32")
    assert "a note" in line(lines, "note")
