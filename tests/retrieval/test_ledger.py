"""One index opened by several: what was fitted by one is used by all, and a failed opening lets go."""

import pytest

from bge_components.errors import IndexFullError, MissingChannelError
from bge_components.retrieval import HybridIndex, IndexSettings, TokenSettings

pytest.importorskip("qdrant_client")
pytest.importorskip("qdrant_edge")

from qdrant_client import QdrantClient

from bge_components.retrieval.engines.edge import EdgeEngine
from bge_components.retrieval.engines.qdrant import QdrantEngine

TEXTS = [f"the eel number {number} swims up the cold river" for number in range(30)]


@pytest.fixture
def client():
    client = QdrantClient(":memory:")
    yield client
    client.close()


def test_what_one_has_fitted_the_other_uses(client, encoder):
    settings = IndexSettings(
        channels=("dense", "bm25", "multi"), multi=TokenSettings(dim=4, storage="float32")
    )

    def index():
        return HybridIndex(encoder, QdrantEngine("shared", client=client), settings)

    writer, reader, late_writer = index(), index(), index()
    assert reader.search("eel") == []
    assert late_writer.count() == 0
    writer.add(TEXTS)
    manifest = writer.engine.manifest()
    late_writer.add([f"another {text} in the dark" for text in TEXTS])
    assert late_writer.engine.manifest() == manifest
    assert reader.count() == 60
    found = [
        [(hit.id, pytest.approx(hit.score, abs=1e-5)) for hit in one.search(TEXTS[3])]
        for one in (reader, writer)
    ]
    assert found[0] == found[1]


def test_an_opening_that_fails_lets_go_of_the_folder(encoder, tmp_path, monkeypatch):
    def full(self, manifest):
        raise IndexFullError("no room")

    with monkeypatch.context() as patched:
        patched.setattr(EdgeEngine, "keep_manifest", full)
        with pytest.raises(IndexFullError):
            HybridIndex.open(tmp_path / "index", encoder)
    with HybridIndex.open(tmp_path / "index", encoder) as index:
        assert index.count() == 0


def test_a_channel_that_another_librarys_store_lacks_is_refused(client, encoder):
    from qdrant_client import models

    client.create_collection(
        "theirs", vectors_config=models.VectorParams(size=32, distance=models.Distance.COSINE)
    )
    engine = QdrantEngine("theirs", client=client, layout="langchain")
    with pytest.raises(MissingChannelError, match=r"bm25, multi were asked for.*use dense"):
        HybridIndex(encoder, engine, IndexSettings(channels=("dense", "bm25", "multi"))).count()
    assert HybridIndex(encoder, engine, IndexSettings(channels=("dense",))).channels() == ("dense",)
