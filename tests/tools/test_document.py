from dataclasses import replace
from pathlib import Path

from benchmarks import document, tables
from bge_components.bench.records import Absence, Machine, Measurement, Results

PEER = "sentence-transformers fp32"


def measured(
    workload: str, system: str = "bge_components fp32", seconds: float = 1.0, **fields
) -> Measurement:
    given = {"shape": "bge-base", "texts": 10, "tokens": 1000, **fields}
    return Measurement(workload=workload, system=system, seconds=(seconds,), **given)


def results(*found: Measurement, **fields) -> Results:
    machine = Machine(facts={"processor": "a | b"}, peaks={"bge-base float32": 100.0})
    return Results(machine=machine, measurements=found, **fields)


RUN = results(
    measured("bulk passages", seconds=2.0, flops=1e11, lowest_cosine=0.9999),
    measured("bulk passages", PEER, 3.0, flops=1e11, lowest_cosine=1.0),
    measured("bulk passages", "onnxruntime int8", 1.0, lowest_cosine=0.97),
    measured(
        "online queries, 32 at a time",
        numbers={"callers": 32, "p50_ms": 3, "p99_ms": 9, "of_bulk_percent": 80},
    ),
    measured("growth, 100 texts", texts=100, numbers={"without_result_mb": 400.0}),
    absences=(Absence(workload="bulk", shape="bge-base", system="infinity", reason="not\ninstalled"),),
    notes=("random weights",),
    command="bge bench",
)


GPU_RUN = Results(
    machine=Machine(facts={"device": "a card, 80 GiB", "processor": "another"}, peaks={}),
    measurements=(
        measured(
            "gpu bulk, 512 tokens",
            "bge_components bf16, 131072 tokens at once",
            lowest_cosine=0.9999,
            numbers={"million_tokens_per_s": 1.9},
        ),
        measured("gpu bulk, 512 tokens", "sentence-transformers bf16, batch 32", 2.0, lowest_cosine=0.9998),
    ),
    absences=(Absence(workload="recovery", shape="all", system="all", reason="never ran out of memory"),),
)


def test_the_pictures_of_this_project_show_its_results() -> None:
    assert document.stale_pictures(document.DOCS) == []


def test_a_system_is_compared_with_the_fastest_exact_peer() -> None:
    lines = [line.strip("| ").split(" | ") for line in tables.systems(RUN).splitlines()]
    rows = {cells[0].strip("*"): cells for cells in lines}

    assert rows["bge_components fp32"][1:7] == ["2.00", "1.50", "500", "50", "50%", "0.999900"]
    assert rows["onnxruntime int8"][2] == "3.00"
    assert rows[PEER][2] == "1.00"


def test_the_spread_of_the_rounds_is_shown_wherever_seconds_are() -> None:
    def rounds(workload: str) -> Results:
        return results(replace(measured(workload), seconds=(2.0, 1.5, 3.0)))

    for make, workload in (
        (tables.systems, "bulk passages"),
        (tables.outputs, "outputs"),
        (tables.growth, "growth, 100 texts"),
        (tables.startup, "startup, import"),
        (tables.gpu, "gpu bulk, 512 tokens"),
    ):
        assert "| 2.00 (1.50–3.00) |" in make(rounds(workload))


def test_workloads_with_tables_of_their_own_are_shown_once() -> None:
    whole = "".join(make(RUN) for make in tables._BLOCKS.values())

    assert whole.count("**online queries, 32 at a time, bge-base**") == 1
    assert "online" not in tables.systems(RUN)
    assert "| 100 | 1.00 | 1,000 | 400 |" in tables.growth(RUN)
    assert "| bulk | bge-base | infinity | not installed |" in tables.absences(RUN)
    assert "a \\| b" in tables.machine(RUN)


def test_without_results_every_block_says_that_there_are_none(tmp_path: Path) -> None:
    nowhere = tmp_path / "none.json"
    assert {make() for make in tables.blocks(nowhere, nowhere).values()} == {tables.NOTHING}


def test_a_run_on_a_gpu_has_a_file_and_a_block_of_its_own_and_goals_among_the_others(tmp_path: Path) -> None:
    document.publish([RUN, GPU_RUN], tmp_path)
    document.publish([GPU_RUN], tmp_path)
    made = {
        name: make()
        for name, make in tables.blocks(
            tmp_path / tables.RESULTS.name, tmp_path / tables.GPU_RESULTS.name
        ).items()
    }

    assert Results.read(tmp_path / "benchmarks.json") == RUN
    assert Results.read(tmp_path / "benchmarks-gpu.json") == GPU_RUN
    assert [name for name, text in made.items() if "a card" in text] == ["benchmarks-gpu"]
    shown = made["benchmarks-gpu"]
    assert "**gpu bulk, 512 tokens, bge-base** (10 texts, 1,000 tokens)" in shown
    assert "| sentence-transformers bf16, batch 32 | 2.00 | 1.00 |" in shown
    assert "| recovery | all | all | never ran out of memory |" in shown
    assert "1.90 million tokens/s (gpu bulk, 512 tokens, bge-base" in made["benchmarks-goals"]
    assert "1 reached, 1 reached so far" in made["benchmarks-goals"]
    assert "gpu" not in made["benchmarks-systems"]


def test_the_goals_of_a_gpu_are_judged_without_another_run(tmp_path: Path) -> None:
    document.publish([GPU_RUN], tmp_path)

    made = tables.blocks(tmp_path / "none.json", tmp_path / tables.GPU_RESULTS.name)

    assert "1 reached" in made["benchmarks-goals"]()
    assert made["benchmarks-systems"]() == tables.NOTHING


def test_pictures_are_the_same_for_the_same_results_and_stale_for_others(tmp_path: Path) -> None:
    (tmp_path / "benchmarks.md").write_text(tables.systems(RUN) + tables.online(RUN) + tables.growth(RUN))
    written = document.publish([RUN], tmp_path)
    before = [path.read_bytes() for path in written]

    assert [path.name for path in written] == ["benchmarks.json", "bulk.svg", "online.svg", "growth.svg"]
    assert [path.read_bytes() for path in document.publish([RUN], tmp_path)] == before
    assert document.stale_pictures(tmp_path) == []

    RUN.write(tmp_path / "benchmarks.json")
    (tmp_path / "benchmarks.json").write_text((tmp_path / "benchmarks.json").read_text() + "\n")

    assert [path.name for path in document.stale_pictures(tmp_path)] == [
        "bulk.svg",
        "online.svg",
        "growth.svg",
    ]


def test_a_file_that_holds_no_results_is_refused(tmp_path: Path, capsys) -> None:
    (tmp_path / "results.json").write_text("{}")

    assert document.main([str(tmp_path / "results.json")]) == 2
    assert "holds no results" in capsys.readouterr().err
