import shutil
import sys

import numpy as np
import pytest

pytest.importorskip("qdrant_edge")

from bge_components.retrieval.engines.edge import EdgeEngine, EdgeSettings
from bge_components.retrieval.engines.edge.copying import copy_folder, sync_tree
from support.engines import CHANNELS, random_points

NAMES = [channel.name for channel in CHANNELS]


def test_the_copy_of_an_open_shard_holds_every_point_with_its_vectors(tmp_path):
    original, copy = (EdgeEngine(tmp_path / name, EdgeSettings(hnsw_from_points=50)) for name in "oc")
    original.open(CHANNELS)
    points = random_points(original, 150)
    original.upsert(points[:100])
    original.optimize()
    original.upsert(random_points(original, 40, seed=8))
    original.upsert(points[100:])
    original.delete([one.id for one in points[::7]])
    original.flush()
    (tmp_path / "c").mkdir()
    shutil.copy(tmp_path / "o" / "channels.json", tmp_path / "c")
    copy_folder(tmp_path / "o" / "shard", tmp_path / "c" / "shard")
    copy.open(CHANNELS)
    ids = [one.id for one in points]
    for kept, copied in zip(original.get(ids, NAMES), copy.get(ids, NAMES), strict=True):
        assert (kept is None) == (copied is None)
        if kept is not None:
            assert copied.passage == kept.passage
            np.testing.assert_equal(dict(copied.vectors), dict(kept.vectors))
    assert copy.count() == original.count() == 150 - len(points[::7])
    original.close()
    copy.close()


def test_files_are_copied_to_the_byte_and_what_the_log_prepares_is_not(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "wal").mkdir(parents=True)
    (source / "wal" / "tmp-open-3").write_bytes(b"half")
    contents = {
        "empty": b"",
        "short": b"abc",
        "hole at the end": b"abc" + bytes(2**20),
        "hole in the middle": bytes(2**19) + b"abc" + bytes(2**20 + 1) + b"d",
        "only a hole": bytes(2**20 + 5),
    }
    for name, content in contents.items():
        (source / name).write_bytes(content)
    copy_folder(source, target)
    sync_tree(target)
    assert {path.name: path.read_bytes() for path in target.iterdir() if path.is_file()} == contents
    assert list((target / "wal").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems may not keep holes")
def test_holes_take_no_room_in_the_copy(tmp_path):
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(b"abc" + bytes(2**23))
    copy_folder(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target" / "file").stat().st_blocks * 512 < 2**20
