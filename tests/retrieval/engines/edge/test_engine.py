import json
import multiprocessing
import os
import shutil
import sys
from collections import namedtuple
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("qdrant_edge")

from bge_components.errors import (
    BrokenIndexError,
    EngineError,
    IndexFullError,
    IndexHeldError,
    IndexMismatchError,
    IndexStoreError,
    InputError,
    MissingDependencyError,
)
from bge_components.retrieval.engines.edge import EdgeEngine
from bge_components.retrieval.engines.edge import engine as edge_engine
from bge_components.retrieval.engines.edge.settings import EdgeSettings
from bge_components.retrieval.engines.edge.shard import guarded
from support.engines import BM25, CHANNELS, DENSE, SPARSE, point, random_points, sparse_row

GRAPHS = EdgeSettings(hnsw_from_points=50)
ONES = np.ones(16, np.float32)


@pytest.fixture
def opened(tmp_path):
    """Make engines on one folder, each after the one before was closed."""
    engines = []

    def open_(channels=CHANNELS, settings=None):
        for engine in engines:
            engine.close()
        engines.append(EdgeEngine(tmp_path / "index", settings))
        engines[-1].open(channels)
        return engines[-1]

    yield open_
    for engine in engines:
        engine.close()


def unit_points(engine, count):
    rng = np.random.default_rng(5)
    rows = rng.normal(size=(count, 16)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return [point(engine, f"doc-{n}", dense=row) for n, row in enumerate(rows)]


def test_a_second_engine_is_told_who_holds_the_folder_until_the_first_is_closed(opened, tmp_path):
    first, second = opened(), EdgeEngine(tmp_path / "index")
    with pytest.raises(IndexHeldError, match=f"{tmp_path}/index is held by this process itself"):
        second.open(CHANNELS)
    assert second.manifest() is None
    first.close()
    second.open(CHANNELS)
    second.close()


def test_an_opening_that_failed_leaves_the_folder_free(opened, tmp_path):
    opened().close()
    with pytest.raises(
        IndexMismatchError, match=r"'bm25': kept kind=sparse, idf=True, storage=float32, asked not"
    ):
        EdgeEngine(tmp_path / "index").open([DENSE])
    opened()


def test_graphs_are_built_from_so_many_points_on_and_their_recall_is_measured(opened):
    engine = opened([DENSE], GRAPHS)
    points = unit_points(engine, 120)
    engine.upsert(points[:30])
    engine.optimize()
    few = engine.stats()
    assert (few["indexed"], few["recall_at_10"], few["unindexed_points"]) == (False, None, 0)
    engine.upsert(points[30:])
    assert engine.stats()["unindexed_points"] == 90
    engine.optimize()
    many = engine.stats()
    assert many["indexed"]
    assert 0.9 <= many["recall_at_10"] <= 1
    assert (many["points"], many["unindexed_points"]) == (120, 0)
    assert many["disk_bytes"] > 120 * 16 * 4
    assert engine.search("dense", points[7].vectors["dense"], 1).ids == [points[7].id]


def test_what_was_measured_is_known_after_opening_again(opened):
    engine = opened([DENSE], GRAPHS)
    engine.upsert(unit_points(engine, 60))
    engine.optimize()
    engine.upsert(unit_points(engine, 10))
    stats = engine.stats()
    assert stats["unindexed_points"] == 10
    assert opened([DENSE], GRAPHS).stats() == {**stats, "disk_bytes": opened([DENSE]).stats()["disk_bytes"]}


@pytest.mark.parametrize("quantization", ["scalar", "binary"])
def test_a_quantised_channel_scores_with_the_stored_vectors(opened, quantization):
    channel = replace(DENSE, quantization=quantization)
    engine = opened([channel], replace(GRAPHS, oversampling=8.0))
    points = unit_points(engine, 100)
    engine.upsert(points)
    engine.optimize()
    query = points[3].vectors["dense"]
    found = engine.search("dense", query, 10)
    expected = {one.id: float(one.vectors["dense"] @ query) for one in points}
    assert found.ids[0] == points[3].id
    np.testing.assert_allclose(found.scores, [expected[one] for one in found.ids], atol=1e-5)
    exact = engine.search("dense", query, 10, exact=True)
    np.testing.assert_allclose(exact.scores, sorted(expected.values(), reverse=True)[:10], atol=1e-5)
    assert opened([channel]).count() == 100


def test_deleted_documents_count_in_document_frequencies_until_optimised(opened):
    engine = opened([BM25])
    engine.upsert([point(engine, f"doc-{n}", bm25=sparse_row({1: 1.0})) for n in range(6)])
    engine.delete([engine.point_id(f"doc-{n}") for n in range(4)])
    scores = [engine.search("bm25", sparse_row({1: 1.0}), 1).scores[0]]
    engine.optimize()
    scores.append(engine.search("bm25", sparse_row({1: 1.0}), 1).scores[0])
    assert scores == pytest.approx([np.log(1 + 0.5 / 6.5), np.log(1 + 0.5 / 2.5)], rel=1e-5)


def test_a_shard_that_was_being_made_when_the_process_died_is_made_again(opened, tmp_path):
    half = tmp_path / "index" / "shard.new" / "segments"
    half.mkdir(parents=True)
    (half / "rest").write_bytes(b"torn")
    (tmp_path / "index" / "channels.json").write_text("{")
    engine = opened([SPARSE])
    engine.upsert([point(engine, "a", sparse=sparse_row({1: 1.0}))])
    assert opened([SPARSE]).count() == 1
    assert not half.exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("channels.json", None, "channels.json is missing"),
        ("channels.json", b'{"format": 1, "chan', "channels.json of the index cannot be read"),
        ("channels.json", b'{"format": 1, "channels": [{"name": "x"}]}', "channels.json of the index in"),
        ("channels.json", b"[]", "holds a list, not an object"),
        ("figures.json", b"\xff", "figures.json of the index cannot be read"),
    ],
)
def test_a_broken_file_of_ours_is_named(opened, tmp_path, name, content, said):
    opened().close()
    path = tmp_path / "index" / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(BrokenIndexError, match=said):
        opened()


def test_a_broken_manifest_is_named_and_the_old_one_survives_a_failing_write(opened, tmp_path, monkeypatch):
    engine = opened()
    engine.keep_manifest({"old": 1})
    with monkeypatch.context() as patched:
        patched.setattr(
            os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device"))
        )
        with pytest.raises(IndexFullError, match="No space left"):
            engine.keep_manifest({"new": 1})
    assert engine.manifest() == {"old": 1}
    assert not list((tmp_path / "index").glob("*.new"))
    (tmp_path / "index" / "manifest.json").write_text('{"old"')
    with pytest.raises(BrokenIndexError, match=r"manifest\.json"):
        engine.manifest()


def test_an_index_of_another_format_is_refused(opened, tmp_path):
    opened().close()
    path = tmp_path / "index" / "channels.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(IndexMismatchError, match="has format 99, and this version reads format 1"):
        opened()


def test_a_broken_shard_is_told_with_its_folder(opened, tmp_path):
    opened().close()
    for path in (tmp_path / "index" / "shard" / "segments").glob("*/segment.json"):
        path.write_bytes(b"{")
    with pytest.raises(BrokenIndexError, match=f"{tmp_path}/index failed: "):
        opened()


def test_writing_stops_before_the_disk_is_full_and_deleting_and_reading_go_on(opened, monkeypatch):
    engine = opened(settings=EdgeSettings(reserve_bytes=100 * 2**20))
    points = random_points(engine, 30)
    engine.upsert(points)
    leave(monkeypatch, 60 * 2**20)
    with pytest.raises(
        IndexFullError, match=r"no room for 1 points: .* has 60 MiB free, and 100 MiB are needed"
    ):
        engine.upsert(points[:1])
    with pytest.raises(IndexFullError, match="building its segments anew"):
        engine.optimize()
    engine.delete([points[0].id])
    assert engine.count() == 29
    leave(monkeypatch, 40 * 2**20)
    with pytest.raises(IndexFullError, match="no room for deleting"):
        engine.delete([points[1].id])
    assert len(engine.search("dense", ONES, 50)) > 20
    assert opened().count() == 29
    leave(monkeypatch, 2**20)
    with pytest.raises(IndexFullError, match="opening it"):
        opened()


def test_the_log_is_cut_before_a_write_is_refused_for_want_of_room(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(edge_engine, "_LOG_BYTES", 2**40)
    engine, log = opened([DENSE]), tmp_path / "index" / "shard" / "wal"
    store_long_texts(engine, range(25))
    before = bytes_in(log)
    room = 256 * 2**20
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(
        shutil, "disk_usage", lambda path: usage(2**40, 0, room - (bytes_in(log) >= before) * room)
    )
    store_long_texts(engine, [25])
    assert bytes_in(log) < before
    assert engine.count() == 26


def test_the_log_is_cut_now_and_then(opened, tmp_path, monkeypatch):
    monkeypatch.setattr(edge_engine, "_LOG_BYTES", 2**26)
    engine = opened([DENSE])
    store_long_texts(engine, range(35))
    assert bytes_in(tmp_path / "index" / "shard" / "wal") < 80 * 2**20
    assert engine.count() == 35


def store_long_texts(engine, numbers):
    for number in numbers:
        engine.upsert([point(engine, f"doc-{number}", text="x" * 3 * 2**20, dense=ONES)])


def bytes_in(folder):
    return sum(path.stat().st_blocks * 512 for path in folder.iterdir())


def leave(monkeypatch, free_bytes):
    usage = namedtuple("usage", "total used free")(2**40, 2**40 - free_bytes, free_bytes)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)


@pytest.mark.parametrize("value", [..., float("nan"), "\ud800", {1: 2}], ids=ascii)
def test_metadata_that_cannot_be_stored_stop_the_whole_call(opened, value):
    engine = opened()
    with pytest.raises(InputError, match="document 'b' cannot be stored"):
        engine.upsert([point(engine, "a"), point(engine, "b", {"x": value})])
    assert engine.count() == 0


def test_calls_before_opening_say_what_to_do(tmp_path):
    engine = EdgeEngine(tmp_path / "index")
    with pytest.raises(IndexStoreError, match=r"call open\(channels\) first"):
        engine.count()
    with pytest.raises(IndexStoreError, match=r"call open\(channels\) first"):
        engine.keep_manifest({})
    assert not (tmp_path / "index").exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(IndexStoreError, match=f"the folder {tmp_path}/file/index .* cannot be made"):
        EdgeEngine(tmp_path / "file" / "index").open(CHANNELS)


def test_a_folder_of_other_files_is_refused_before_anything_is_written(tmp_path):
    for name in ("bread.md", "law.md", "shard"):
        (tmp_path / name).write_text("mine")
    for call in (lambda engine: engine.open(CHANNELS), lambda engine: engine.manifest()):
        with pytest.raises(
            IndexStoreError, match=r"no index, and holds other files: bread\.md, law\.md\. .*new or"
        ):
            call(EdgeEngine(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bread.md", "law.md", "shard"]


def test_a_file_is_refused_as_what_it_is(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for call in (lambda engine: engine.open(CHANNELS), lambda engine: engine.manifest()):
        with pytest.raises(IndexStoreError, match=r"notes\.txt is a file, and an index is a folder"):
            call(EdgeEngine(tmp_path / "notes.txt"))


def test_an_empty_folder_becomes_an_index_and_stays_one_when_files_are_put_beside(opened, tmp_path):
    (tmp_path / "index" / "lost+found").mkdir(parents=True)
    (tmp_path / "index" / ".gitignore").write_text("*")
    engine = opened([DENSE])
    engine.upsert(unit_points(engine, 1))
    (tmp_path / "index" / "README.md").write_text("an index")
    assert opened([DENSE]).count() == 1


def test_a_missing_package_leaves_no_folder(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "qdrant_edge", None)
    with pytest.raises(MissingDependencyError, match=r"bge-components\[edge\]"):
        EdgeEngine(tmp_path / "index").open(CHANNELS)
    assert not (tmp_path / "index").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform cannot fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_forked_child_is_refused_and_takes_nothing_from_its_parent(opened, tmp_path):
    engine = opened()
    engine.upsert(random_points(engine, 20))

    def refused():
        errors = []
        for work in (engine.count, lambda: engine.upsert(random_points(engine, 1)), engine.flush):
            try:
                work()
            except IndexStoreError as error:
                errors.append(str(error))
        engine.close()
        return errors

    errors = in_child(refused)
    assert len(errors) == 3
    assert f"was opened by process {os.getpid()}" in errors[0]
    with pytest.raises(IndexHeldError):
        EdgeEngine(tmp_path / "index").open(CHANNELS)
    engine.upsert(random_points(engine, 30))
    assert opened().count() == 30


def in_child(work):
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    child = context.Process(target=lambda: sender.send(work()))
    child.start()
    try:
        assert receiver.poll(20), "the child hangs"
        return receiver.recv()
    finally:
        child.kill()
        child.join()


class PanicException(BaseException):
    """Named as pyo3's, which has no module to import it from."""


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (Exception("Service runtime error: x"), EngineError),
        (PanicException("index out of bounds"), EngineError),
        (Exception("IO: No space left on device (os error 28)"), IndexFullError),
    ],
)
def test_errors_without_a_type_of_their_own_get_one(raised, expected):
    with pytest.raises(expected, match="update of x failed: ") as told:
        guarded(lambda: raise_(raised), "update of x")
    assert told.value.__cause__ is raised


def test_an_interruption_is_passed_on():
    with pytest.raises(KeyboardInterrupt):
        guarded(lambda: raise_(KeyboardInterrupt()), "update of x")


def raise_(error):
    raise error


@pytest.mark.parametrize(
    "given",
    [{"hnsw_m": 1}, {"search_ef": 0}, {"reserve_bytes": -1}, {"oversampling": 0.5}, {"vectors": "tape"}],
    ids=str,
)
def test_settings_out_of_range_are_named(given):
    with pytest.raises(InputError, match=f"{next(iter(given))} must be"):
        EdgeSettings(**given)


def test_a_search_reads_its_vectors_from_the_disk_where_it_is_told_so(opened):
    engine = opened(settings=EdgeSettings(vectors="disk", threads=1))
    points = random_points(engine, 20)
    engine.upsert(points)
    assert len(engine.search("dense", ONES, 5)) == 5
    assert opened().count() == 20
