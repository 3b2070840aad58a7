"""Long documents that are written, replaced and deleted at once: each is there whole or not at all."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from bge_components.errors import EngineError
from bge_components.retrieval import Document, HybridIndex, IndexSettings, MemoryEngine, QueryPlan

SETTINGS = IndexSettings(window_tokens=32, overlap_tokens=4, channels=("dense", "sparse"))
WORDS = QueryPlan(channels=("sparse",), top_k=3)


def long(version, windows=200):
    return Document(id="long", text=f"begin{version} " + f"river{version} " * 28 * windows + f"end{version}")


class Slow(MemoryEngine):
    """Lets a test act between two writes, or fail one."""

    def __init__(self):
        super().__init__()
        self.before_write = lambda number: None
        self.writes = 0

    def upsert(self, points):
        self.writes += 1
        self.before_write(self.writes)
        super().upsert(points)


@pytest.fixture
def index(encoder):
    with HybridIndex(encoder, Slow(), SETTINGS) as index:
        index.add([Document(id=f"short {n}", text=f"river note {n}") for n in range(9)])
        yield index


def assert_whole(index, version):
    """See that the document is there with every window of its version, and no other."""
    (document,) = index.get(["long"])
    assert document == long(version)
    points = [
        point.passage for batch in index.engine.scan() for point in batch if point.passage.document == "long"
    ]
    assert len(points) == points[0].window.count
    assert sorted(passage.window.number for passage in points) == list(range(len(points)))
    assert len({passage.version for passage in points}) == 1


def broken_off(index, document):
    """Write a document whose second call to the engine fails."""
    first = index.engine.writes

    def fail(number):
        if number == first + 2:
            raise EngineError("the disk is gone")

    index.engine.before_write = fail
    with pytest.raises(EngineError):
        index.upsert([document])
    index.engine.before_write = lambda number: None


def test_a_write_that_broke_off_hides_nothing_and_is_cleared_away_by_the_next(index):
    broken_off(index, long(1))
    assert index.count() == 9
    assert len(index.search("river", top_k=9)) == 9
    index.upsert([long(2)])
    assert_whole(index, 2)
    assert index.count() == 10
    broken_off(index, long(3))
    assert index.get(["long"]) == [long(2)]
    index.upsert([long(4)])
    assert_whole(index, 4)


def test_a_delete_during_a_write_counts_as_coming_before_it(index):
    index.upsert([long(1)])
    first = index.engine.writes

    def delete(number):
        if number == first + 2:
            index.delete(["long", "short 1"])
            assert index.get(["long"]) == [None]
            assert "long" not in {hit.id for hit in index.search("river1", top_k=10)}

    index.engine.before_write = delete
    index.upsert([long(2)])
    assert_whole(index, 2)
    assert index.count() == 9


def test_a_delete_by_filter_during_a_write_does_not_tear_it(index):
    first = index.engine.writes

    def delete(number):
        if number == first + 2:
            index.delete(filter={})

    index.engine.before_write = delete
    index.add([long(1)])
    assert_whole(index, 1)
    assert index.count() == 1


def test_two_writes_of_one_document_leave_one_of_them_whole(index):
    both = threading.Barrier(2)
    index.engine.before_write = lambda number: both.wait(5) if number in (2, 3) else None
    with ThreadPoolExecutor(2) as threads:
        list(threads.map(lambda version: index.upsert([long(version)]), [1, 2]))
    index.engine.before_write = lambda number: None
    (document,) = index.get(["long"])
    assert_whole(index, 1 if document == long(1) else 2)
    index.upsert([long(3)])
    assert_whole(index, 3)


def test_many_writers_and_deleters_leave_nothing_by_half(encoder):
    with HybridIndex(encoder, settings=SETTINGS) as index:

        def work(number):
            if number % 4 == 3:
                index.delete(["long"])
            else:
                index.upsert([long(number, windows=20)])

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(work, range(40)))
        index.upsert([long(99, windows=20)])
        (document,) = index.get(["long"])
        assert document == long(99, windows=20)
        windows = index.search("river99", plan=WORDS)[0].window.count
        assert index.engine.count() == windows


def test_a_document_of_many_windows_leaves_room_for_the_others(index):
    index.add([long("", windows=600)])
    hits = index.search("river", top_k=10)
    assert len(hits) == 10
    with_tokens = HybridIndex(index.encoder, settings=IndexSettings(window_tokens=32, overlap_tokens=4))
    with_tokens.add([long("", windows=150), *(f"river note {n}" for n in range(9))])
    assert len(with_tokens.search("river", top_k=10)) == 10
