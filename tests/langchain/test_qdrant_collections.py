"""The hybrid index over a collection that `langchain_qdrant` made: searched, extended, and read back by its maker."""

import langchain_qdrant
import pytest

from bge_components.backends.fake import FakeSource
from bge_components.encoders import Encoder
from bge_components.errors import IndexMismatchError
from bge_components.langchain import BGEEmbeddings, BGESparseEmbeddings
from bge_components.retrieval import Document, HybridIndex
from bge_components.retrieval.engines.qdrant import QdrantEngine

TEXTS = ["the eel swims up the cold river", "a hen lays one egg a day", "the roof is warm in summer"]


@pytest.fixture
def store():
    return langchain_qdrant.QdrantVectorStore.construct_instance(
        embedding=BGEEmbeddings(model="fake", backend="fake"),
        sparse_embedding=BGESparseEmbeddings(model="fake", backend="fake"),
        retrieval_mode=langchain_qdrant.RetrievalMode.HYBRID,
        client_options={"location": ":memory:"},
        collection_name="theirs",
    )


@pytest.fixture
def index(store):
    store.add_texts(TEXTS, [{"place": place} for place in range(3)])
    embeddings = BGEEmbeddings(model="fake", backend="fake")
    with HybridIndex(
        embeddings._encoder(), QdrantEngine("theirs", client=store.client, layout="langchain")
    ) as index:
        yield index


def test_it_finds_what_the_store_holds_by_the_channels_that_the_store_keeps(index):
    assert index.channels() == ("dense", "sparse")
    hit = index.search("cold river")[0]
    assert hit.text == TEXTS[0]
    assert hit.metadata == {"place": 0}
    assert [hit.text for hit in index.search("river", filter={"place": {"$gte": 1}}, top_k=1)] != [TEXTS[0]]


def test_what_it_adds_the_store_finds(index, store):
    index.add([Document(id="new", text="a submarine dives below the ice", metadata={"place": 9})])
    (found,) = store.similarity_search("submarine", k=1)
    assert found.page_content == "a submarine dives below the ice"
    assert found.metadata["place"] == 9
    assert index.count() == 4
    index.delete(["new"])
    assert all(
        "submarine" not in document.page_content for document in store.similarity_search("submarine", k=9)
    )


def test_an_encoder_of_another_size_is_refused(store):
    engine = QdrantEngine("theirs", client=store.client, layout="langchain")
    with pytest.raises(IndexMismatchError, match=r"keeps dense \(32\).*narrow gives dense \(8\)"):
        HybridIndex(Encoder(FakeSource("narrow", width=8)), engine).count()
