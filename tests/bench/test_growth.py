from pathlib import Path

import pytest

from bge_components.bench.shapes import of_checkpoint
from bge_components.bench.workloads import growing, growth, ours
from bge_components.bench.workloads.fresh import FreshProcessError
from support.tiny_bench import FORMS, WORDS, tiny_bench

TEXTS = [WORDS, "short", f"{WORDS}{WORDS}"]


def test_each_number_of_texts_has_a_process_of_its_own(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(ours, "_FORMS", FORMS)
    bench = tiny_bench(tmp_path, rounds=1)

    (found,) = growth.grown(TEXTS, [20, 3, 38], of_checkpoint("mini"), [7], bench)

    assert found.system == "bge_components fp32 bulk"
    assert found.texts == 7
    assert found.tokens > 7 * 3
    assert found.numbers["peak_mb"] >= found.numbers["before_mb"] > 50
    assert found.numbers["result_mb"] == 7 * 384 * 4 / 1e6
    assert found.numbers["tokenising_percent"] > 0
    assert 0 < found.numbers["computing_s"] < found.seconds[0]


def test_a_process_that_fails_is_an_absence(tmp_path: Path, monkeypatch) -> None:
    def fails(*_, **__) -> None:
        raise FreshProcessError("killed")

    monkeypatch.setattr(growth, "run_fresh", fails)

    (found,) = growth.measure(tiny_bench(tmp_path))

    assert found.reason == "killed"


def test_many_texts_are_left_to_a_long_run(tmp_path: Path, monkeypatch) -> None:
    asked: list[list[int]] = []
    monkeypatch.setattr(
        growth, "grown", lambda texts, lengths, shape, counts, bench: asked.append(counts) or ()
    )

    list(growth.measure(tiny_bench(tmp_path, quick=True)))
    list(growth.measure(tiny_bench(tmp_path, quick=False)))

    assert asked == [[100, 1_000, 10_000], [100, 1_000, 10_000, 100_000]]


@pytest.mark.parametrize("count", [0, 2, 7])
def test_texts_come_again_in_their_order(count: int) -> None:
    assert list(growing._endless(["a", "b", "c"], count)) == list("abcabca")[:count]
