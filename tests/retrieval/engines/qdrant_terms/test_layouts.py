import hashlib
import json
from uuid import UUID, uuid4

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_qdrant import QdrantVectorStore, RetrievalMode, SparseEmbeddings, SparseVector
from llama_index.core.schema import Document as LlamaDocument
from llama_index.core.schema import NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict
from qdrant_client import QdrantClient, models

from bge_components.errors import BrokenIndexError, IndexMismatchError, InputError
from bge_components.retrieval.contracts import Channel, ChannelKind, Passage, Point, Window
from bge_components.retrieval.engines.qdrant import QdrantEngine
from bge_components.retrieval.engines.qdrant_terms.layouts import (
    LAYOUTS,
    LangChainLayout,
    LlamaIndexLayout,
    OwnLayout,
    layout_of,
)
from bge_components.retrieval.filters import And, Equals, IsDocument, IsHead, Not
from bge_components.retrieval.identity import point_uuid

DIM = 8
DENSE = Channel(name="dense", kind=ChannelKind.DENSE, dim=DIM)
SPARSE = Channel(name="sparse", kind=ChannelKind.SPARSE)
TEXTS = ["apples are red", "bananas are yellow", "the sky is blue"]


def dense_of(text):
    seed = int.from_bytes(hashlib.blake2b(text.encode(), digest_size=4).digest(), "big")
    vector = np.random.default_rng(seed).normal(size=DIM).astype(np.float32)
    return vector / np.linalg.norm(vector)


def sparse_of(text):
    ids = sorted(
        {int(hashlib.blake2b(word.encode(), digest_size=2).hexdigest(), 16) for word in text.split()}
    )
    return np.array(ids, np.int32), np.ones(len(ids), np.float32)


class Dense(Embeddings):
    def embed_documents(self, texts):
        return [dense_of(text).tolist() for text in texts]

    def embed_query(self, text):
        return dense_of(text).tolist()


class Sparse(SparseEmbeddings):
    def embed_documents(self, texts):
        return [self.embed_query(text) for text in texts]

    def embed_query(self, text):
        ids, weights = sparse_of(text)
        return SparseVector(indices=ids.tolist(), values=weights.tolist())


A_UUID = UUID("806bf908-d968-48b2-bba4-fa04b58fd139")


def point(layout, document, text, window=None, **metadata):
    number = window.number if window else 0
    return Point(
        id=layout.point_id(document, number),
        passage=Passage(document=document, text=text, metadata=metadata, digest="d1", window=window),
        vectors={"dense": dense_of(text), "sparse": sparse_of(text)},
    )


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
@pytest.mark.parametrize("document", ["a", str(A_UUID), A_UUID.hex, "17", "017", "-1", "\ud800", "\x1a22."])
def test_what_is_stored_of_a_passage_is_read_back(layout, document):
    window = Window(number=0, count=2, start=0, stop=5)
    passage = Passage(
        document=document,
        text="text",
        metadata={"a": {"b": [1]}},
        digest="d",
        window=window,
        whole="text more",
    )
    stored = json.loads(json.dumps(layout.payload(Point(id=layout.point_id(document), passage=passage))))

    assert layout.passage(layout.point_id(document), stored) == passage


@pytest.mark.parametrize("layout", [LangChainLayout(), LlamaIndexLayout()], ids=lambda layout: layout.name)
def test_an_id_that_qdrant_takes_is_the_point_s_own_in_foreign_layouts(layout):
    known = uuid4()
    assert layout.point_id(str(known)) == layout.point_id(known.hex) == known
    assert layout.point_id("17") == 17
    assert layout.point_id(str(2**64 - 1)) == 2**64 - 1
    for other in (
        "017",
        "-1",
        str(2**64),
        "٣",
        "{" + str(known)[:34] + "}",
        "a document",
        known.hex[:31] + "g",
    ):
        assert layout.point_id(other) == point_uuid(other)


@pytest.mark.parametrize("layout", [LangChainLayout(), LlamaIndexLayout()], ids=lambda layout: layout.name)
def test_windows_of_a_document_are_the_same_however_its_id_is_spelt(layout):
    known = uuid4()
    assert layout.point_id(str(known), 1) == layout.point_id(known.hex, 1) == point_uuid(str(known), 1)


def test_points_of_our_own_have_name_based_ids():
    assert OwnLayout().point_id("17") == point_uuid("17")


def test_an_unknown_layout_is_refused_with_those_there_are():
    with pytest.raises(InputError, match="own, langchain, llama_index"):
        layout_of("haystack")


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_payload_of_something_else_is_told_by_its_keys(layout):
    with pytest.raises(BrokenIndexError, match=r"\['something'\]"):
        layout.passage(1, {"something": 1})


def test_a_node_that_is_no_json_is_told():
    with pytest.raises(BrokenIndexError, match="point 1"):
        LlamaIndexLayout().passage(1, {"_node_content": "{"})


def langchain_store(client, mode=RetrievalMode.HYBRID, **options):
    vectors = {"": models.VectorParams(size=DIM, distance=models.Distance.COSINE)}
    sparse = {"langchain-sparse": models.SparseVectorParams()}
    if not client.collection_exists("documents"):
        client.create_collection(
            "documents",
            vectors_config=vectors if mode != RetrievalMode.SPARSE else {},
            sparse_vectors_config=sparse if mode != RetrievalMode.DENSE else {},
        )
    return QdrantVectorStore(
        client=client,
        collection_name="documents",
        embedding=Dense(),
        sparse_embedding=Sparse(),
        retrieval_mode=mode,
        **options,
    )


@pytest.fixture
def client():
    client = QdrantClient(":memory:")
    yield client
    client.close()


@pytest.fixture
def shared(client):
    """A LangChain store with three texts, and an engine on its collection."""
    store = langchain_store(client)
    ids = store.add_texts(TEXTS, [{"n": n} for n in range(3)], ids=[uuid4().hex, 7, str(uuid4())])
    engine = QdrantEngine("documents", client=client, layout="langchain")
    engine.open(engine.channels())
    return store, engine, ids


def test_the_channels_of_a_langchain_collection_are_known_before_it_is_opened(shared):
    assert shared[1].channels() == shared[1].foreign_channels() == [DENSE, SPARSE]


def test_a_collection_of_our_own_has_no_foreign_channels(client):
    engine = QdrantEngine("ours", client=client)
    engine.open([DENSE])
    assert engine.channels() == [DENSE]
    assert list(engine.foreign_channels()) == []


@pytest.mark.parametrize(("mode", "kept"), [(RetrievalMode.DENSE, [DENSE]), (RetrievalMode.SPARSE, [SPARSE])])
def test_a_langchain_collection_may_keep_one_kind_of_vector(client, mode, kept):
    langchain_store(client, mode)
    assert QdrantEngine("documents", client=client, layout="langchain").channels() == kept


def test_documents_of_langchain_are_found_in_both_channels(shared):
    _, engine, ids = shared
    for channel, vector in (("dense", dense_of(TEXTS[1])), ("sparse", sparse_of(TEXTS[1]))):
        found = engine.search(channel, vector, 1)
        [top] = engine.get(found.ids)
        assert found.ids == [ids[1]]
        assert top.passage == Passage(document="7", text=TEXTS[1], metadata={"n": 1})


def test_documents_of_langchain_are_known_by_their_point_s_id(shared):
    _, engine, ids = shared
    for document, text in zip(ids, TEXTS):
        [found] = engine.get([engine.point_id(str(document))], ["dense"])
        assert found.passage.text == text
        np.testing.assert_allclose(found.vectors["dense"], dense_of(text), atol=1e-6)
        [[scanned]] = engine.scan(IsDocument((str(document),)))
        assert scanned.id == found.id


def test_conditions_reach_the_metadata_of_langchain(shared):
    _, engine, ids = shared
    assert engine.count(Equals("n", 1)) == 1
    assert engine.count(And((Not(IsDocument(("7",))), Not(Equals("n", 0))))) == 1
    engine.delete_where(IsDocument((str(ids[0]),)))
    assert engine.count() == 2


def test_langchain_reads_what_is_added_to_its_collection(shared):
    store, engine, _ = shared
    known = str(uuid4())
    engine.upsert(
        [
            point(engine, "any id", "grass is green", colour="green"),
            point(engine, known, "coal is black", colour="black"),
        ]
    )

    document, score = store.similarity_search_with_score("grass is green", k=1)[0]
    assert document.page_content == "grass is green"
    assert document.metadata["colour"] == "green"
    assert score > 0.5
    [by_id] = store.get_by_ids([known])
    assert by_id.page_content == "coal is black"
    assert store.delete([known])
    assert engine.count(IsDocument((known,))) == 0
    assert [one.passage for one in engine.get([engine.point_id("any id")])] == [
        Passage(document="any id", text="grass is green", metadata={"colour": "green"}, digest="d1")
    ]


def test_windows_in_a_langchain_collection_belong_to_their_document(shared):
    _, engine, _ = shared
    document = uuid4().hex
    windows = [Window(number=n, count=2, start=10 * n, stop=10 * n + 10) for n in range(2)]
    engine.upsert([point(engine, document, f"part {window.number}", window) for window in windows])

    [points] = engine.scan(IsDocument((str(UUID(document)),)))
    assert {one.passage.window for one in points} == set(windows)
    assert {one.passage.document for one in points} == {document}
    assert engine.count(And((IsDocument((document,)), IsHead()))) == 1
    assert engine.count(IsHead()) == 4
    engine.delete_where(IsDocument((document,)))
    assert engine.count() == 3


def test_a_collection_made_in_langchain_s_layout_is_one_that_langchain_accepts(client):
    engine = QdrantEngine("documents", client=client, layout="langchain")
    engine.open([DENSE, SPARSE])
    engine.upsert([point(engine, "one", TEXTS[0])])
    store = langchain_store(client, validate_collection_config=True)
    assert store.similarity_search(TEXTS[0], k=1)[0].page_content == TEXTS[0]


def test_the_keys_and_names_of_a_langchain_store_can_be_chosen(client):
    client.create_collection(
        "documents", vectors_config={"mine": models.VectorParams(size=DIM, distance=models.Distance.DOT)}
    )
    options = {"content_payload_key": "body", "metadata_payload_key": "facts", "vector_name": "mine"}
    store = langchain_store(client, RetrievalMode.DENSE, distance=models.Distance.DOT, **options)
    store.add_documents([Document(page_content="x", metadata={"n": 5})], ids=[1])
    layout = LangChainLayout(dense_names=("mine",), content_key="body", metadata_key="facts")
    engine = QdrantEngine("documents", client=client, layout=layout)
    engine.open([DENSE])
    assert engine.get([1])[0].passage == Passage(document="1", text="x", metadata={"n": 5})
    assert engine.count(Equals("n", 5)) == 1


def test_a_document_of_langchain_may_have_no_metadata(client):
    langchain_store(client).add_texts(["bare"], ids=[1])
    engine = QdrantEngine("documents", client=client, layout="langchain")
    engine.open([DENSE])
    assert engine.get([1])[0].passage == Passage(document="1", text="bare")


def node_payload(node):
    """As `QdrantVectorStore._build_points` of llama-index-vector-stores-qdrant 0.10.4 (base.py) makes it."""
    return node_to_metadata_dict(node, remove_text=False, flat_metadata=False)


def llama_node(text, **metadata):
    node = TextNode(id_=str(uuid4()), text=text, metadata=metadata)
    node.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id="the file")
    return node


def llama_collection(client, nodes, *, hybrid=True, dense="text-dense", sparse="text-sparse-new"):
    """As `QdrantVectorStore._create_collection` and `add` of llama-index-vector-stores-qdrant 0.10.4 make it."""
    params = models.VectorParams(size=DIM, distance=models.Distance.COSINE)
    client.create_collection(
        "nodes",
        vectors_config={dense: params} if hybrid else params,
        sparse_vectors_config={sparse: models.SparseVectorParams(index=models.SparseIndexParams())}
        if hybrid
        else None,
    )
    points = []
    for node in nodes:
        ids, weights = sparse_of(node.get_content())
        row = models.SparseVector(indices=ids.tolist(), values=weights.tolist())
        vectors = {dense if hybrid else "": dense_of(node.get_content()).tolist()}
        vectors |= {sparse: row} if hybrid else {}
        points.append(models.PointStruct(id=node.node_id, payload=node_payload(node), vector=vectors))
    client.upsert("nodes", points)
    engine = QdrantEngine("nodes", client=client, layout="llama_index")
    engine.open(engine.channels())
    return engine


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        ({}, [DENSE, SPARSE]),
        ({"sparse": "text-sparse"}, [DENSE, SPARSE]),
        ({"dense": "", "sparse": "text-sparse"}, [DENSE, SPARSE]),
        ({"hybrid": False}, [DENSE]),
    ],
    ids=["hybrid", "old sparse name", "old names", "unnamed"],
)
def test_nodes_of_llama_index_are_found_by_every_name_its_vectors_had(client, names, kept):
    nodes = [llama_node(text, n=n) for n, text in enumerate(TEXTS)]
    engine = llama_collection(client, nodes, **names)

    assert engine.channels() == kept
    for channel in kept:
        vector = dense_of(TEXTS[2]) if channel == DENSE else sparse_of(TEXTS[2])
        assert engine.search(channel.name, vector, 1).ids == [UUID(nodes[2].node_id)]
    [found] = engine.get([engine.point_id(nodes[2].node_id)])
    assert found.passage == Passage(document=nodes[2].node_id, text=TEXTS[2], metadata={"n": 2})
    assert engine.count(Equals("n", 2)) == engine.count(IsDocument((nodes[2].node_id,))) == 1
    assert engine.count(IsHead()) == len(nodes)


def test_nodes_that_keep_their_text_as_a_resource_are_read(client):
    node = LlamaDocument(id_=str(uuid4()), text="a whole document", metadata={"n": 1})
    engine = llama_collection(client, [node])
    [found] = engine.get([UUID(node.node_id)])
    assert found.passage == Passage(document=node.node_id, text="a whole document", metadata={"n": 1})


def test_points_of_early_versions_of_llama_index_are_read():
    payload = {"text": "old", "doc_id": "file", "n": 1}
    passage = LlamaIndexLayout().passage(3, payload)
    assert passage == Passage(document="3", text="old", metadata={"doc_id": "file", "n": 1})


def test_llama_index_reads_what_is_added_to_its_collection(client):
    engine = llama_collection(client, [llama_node(TEXTS[0])])
    window = Window(number=1, count=3, start=10, stop=24)
    engine.upsert([point(engine, "any id", "grass is green", window, colour="green")])

    identity = str(engine.point_id("any id", 1))
    [record] = client.retrieve("nodes", [identity])
    node = metadata_dict_to_node(record.payload)
    expected = TextNode(
        id_=identity,
        text="grass is green",
        metadata={"colour": "green"},
        start_char_idx=10,
        end_char_idx=24,
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id="any id", node_type="4")},
    )
    assert node == expected
    assert node.ref_doc_id == "any id"
    theirs = node_payload(expected)
    assert json.loads(record.payload.pop("_node_content")) == json.loads(theirs.pop("_node_content"))
    assert record.payload.pop("_bge")["document"] == "any id"
    assert record.payload == theirs


def test_opening_a_collection_in_the_wrong_layout_names_the_right_one(client, shared):
    llama_collection(client, [llama_node("x")])
    QdrantEngine("ours", client=client).open([DENSE])
    layouts = {"documents": "langchain", "nodes": "llama_index", "ours": "own"}
    for collection, right in layouts.items():
        for wrong in set(layouts.values()) - {right}:
            with pytest.raises(IndexMismatchError, match=f"layout='{right}'"):
                QdrantEngine(collection, client=client, layout=wrong).open([DENSE])


def test_an_unnamed_vector_is_told_apart_by_what_the_points_hold(client):
    llama_collection(client, [llama_node("x")], hybrid=False)
    with pytest.raises(IndexMismatchError, match=r"Open it with layout='llama_index'$"):
        QdrantEngine("nodes", client=client, layout="langchain").open([DENSE])
    with pytest.raises(IndexMismatchError, match=r"Open it with layout='llama_index'$"):
        QdrantEngine("nodes", client=client).channels()


@pytest.mark.parametrize("distance", [models.Distance.EUCLID, models.Distance.MANHATTAN])
def test_a_collection_compared_by_distance_is_refused(client, distance):
    client.create_collection("far", vectors_config={"": models.VectorParams(size=DIM, distance=distance)})
    with pytest.raises(IndexMismatchError, match=distance.value):
        QdrantEngine("far", client=client, layout="langchain").channels()
