import pytest
from qdrant_client import QdrantClient

from bge_components.errors import EngineError
from bge_components.retrieval.contracts import Channel, ChannelKind
from bge_components.retrieval.engines.qdrant.calls import QdrantCalls
from bge_components.retrieval.engines.qdrant.collection import QdrantCollection
from bge_components.retrieval.engines.qdrant.connection import Connection
from bge_components.retrieval.engines.qdrant.settings import QdrantSettings
from bge_components.retrieval.engines.qdrant_terms.layouts import OwnLayout


@pytest.fixture
def client():
    client = QdrantClient(":memory:")
    yield client
    client.close()


@pytest.fixture
def collection(client):
    settings = QdrantSettings()
    calls = QdrantCalls(Connection.given(client), "c", settings)
    collection = QdrantCollection(calls, "c", OwnLayout(), settings)
    collection.create([Channel(name="dense", kind=ChannelKind.DENSE, dim=4)], indexed=False)
    return collection


def test_a_server_that_keeps_no_manifest_is_told_to_be_too_old(client, collection, monkeypatch):
    monkeypatch.setattr(client, "update_collection", lambda **ignored: True)
    with pytest.raises(EngineError, match=r"Qdrant 1\.16 or newer"):
        collection.keep_manifest({"format": 1})


def test_another_s_manifest_that_came_at_the_same_time_is_no_fault_of_the_server(
    client, collection, monkeypatch
):
    update = client.update_collection

    def overtaken(**asked):
        update(**asked)
        return update(asked["collection_name"], metadata={"bge_components": '{"format": 2}'})

    monkeypatch.setattr(client, "update_collection", overtaken)
    collection.keep_manifest({"format": 1})
    assert collection.manifest() == {"format": 2}
