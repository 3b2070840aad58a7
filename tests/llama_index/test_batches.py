from __future__ import annotations

from bge_components.contracts import Progress
from bge_components.llama_index.batches import BatchProgress, batches_of


def test_batches_hold_everything_in_order() -> None:
    texts = [str(number) for number in range(7)]

    assert batches_of(texts, 3) == [["0", "1", "2"], ["3", "4", "5"], ["6"]]
    assert batches_of([], 3) == []


def test_the_batches_of_a_job_add_up_and_what_is_not_computed_counts_as_done() -> None:
    seen: list[tuple[int, int]] = []
    progress = BatchProgress(lambda one: seen.append((one.done, one.total)), 7)
    first, second = progress.part(4), progress.part(3)
    assert first is not None
    assert second is not None

    first(Progress(1, 4))
    second(Progress(1, 2))  # one of its three came from a cache
    first(Progress(4, 4))
    second(Progress(2, 2))

    assert seen == [(1, 7), (3, 7), (6, 7), (7, 7)]


def test_without_a_listener_there_is_no_callback() -> None:
    assert BatchProgress(None, 7).part(4) is None
