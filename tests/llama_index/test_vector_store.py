from __future__ import annotations

import json
import pickle
from pathlib import Path
from typing import Any

import pytest
from llama_index.core import Document, MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import (
    BaseNode,
    ImageNode,
    IndexNode,
    Node,
    NodeRelationship,
    RelatedNodeInfo,
    TextNode,
)
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.core.vector_stores.types import VectorStoreQuery, VectorStoreQueryMode

from bge_components import ModelPool
from bge_components.errors import FilterError, InputError, InputTypeError, MissingChannelError
from bge_components.llama_index import BGEEmbedding, BGEVectorStore, DeferredEmbedding
from bge_components.retrieval import HybridIndex, IndexSettings, QueryPlan, ReciprocalRank

# LlamaIndex imports langchain-community, where it is installed, to recognise LangChain's embeddings.
pytestmark = [
    pytest.mark.usefixtures("pool"),
    pytest.mark.filterwarnings("ignore:`langchain-community` is being sunset:DeprecationWarning"),
]

EMBEDDING = BGEEmbedding("fake", backend="fake")
NODES = [
    TextNode(id_="cat", text="a cat sleeps on the warm roof", metadata={"legs": 4}),
    TextNode(id_="dog", text="a dog runs through the wet grass", metadata={"legs": 4}),
    TextNode(id_="hen", text="the hen lays one egg a day", metadata={"legs": 2}),
    TextNode(id_="eel", text="an eel swims up the cold river", metadata={"legs": 0}),
]


def filled(nodes: list[Any] = NODES, **settings: Any) -> BGEVectorStore:
    store = BGEVectorStore(EMBEDDING, settings=IndexSettings(**settings) if settings else None)
    store.add(nodes)
    return store


def asked(text: str | None, mode: str = "default", **fields: Any) -> VectorStoreQuery:
    embedding = None if text is None else EMBEDDING.get_query_embedding(text)
    fields = {"similarity_top_k": 4, "query_embedding": embedding, **fields}
    return VectorStoreQuery(query_str=text, mode=VectorStoreQueryMode(mode), **fields)


# ---------------------------------------------------------------------- nodes in, nodes out


@pytest.mark.parametrize(
    "node",
    [
        NODES[0],
        TextNode(text=""),
        TextNode(text="  blanks around  ", metadata={"a": 1}),
        TextNode(
            text="seen by some",
            metadata={"secret": "x", "shown": [1, None, {"deep": True}], "ref_doc_id": "mine"},
            excluded_embed_metadata_keys=["secret"],
            excluded_llm_metadata_keys=["shown"],
            text_template="{content} <- {metadata_str}",
            start_char_idx=3,
            end_char_idx=15,
            relationships={
                NodeRelationship.SOURCE: RelatedNodeInfo(node_id="book", metadata={"year": 1}),
                NodeRelationship.CHILD: [RelatedNodeInfo(node_id="c1"), RelatedNodeInfo(node_id="c2")],
            },
        ),
        IndexNode(text="an index", index_id="other"),
        IndexNode(text="a node", index_id="n", obj=TextNode(text="small", id_="s")),
        ImageNode(text="a picture", image_url="http://example.org/a.png"),
        Node(text_resource={"text": "plain", "mimetype": "text/markdown"}),
        Document(text="a document", metadata={"page": 3}),
        Document(text=""),
    ],
    ids=lambda node: f"{node.class_name()}-{node.get_content()[:9].strip()}",
)
async def test_nodes_come_back_equal(node: BaseNode) -> None:
    store = BGEVectorStore(EMBEDDING)
    before = node.model_copy(deep=True)

    assert store.add([node]) == [node.node_id]

    found = store.get_nodes([node.node_id])
    assert found == [before] == [node]
    assert type(found[0]) is type(node)
    assert found[0].hash == before.hash
    assert await store.aget_nodes() == found


def test_the_text_of_a_node_is_stored_once() -> None:
    for node in (NODES[0], Document(text=NODES[0].text, metadata={"legs": 4})):
        stored = filled([node]).client.get([node.node_id])[0]

        assert stored is not None
        assert stored.text == "legs: 4\n\na cat sleeps on the warm roof"
        assert "sleeps" not in json.dumps(stored.metadata)
        assert stored.metadata["legs"] == 4


def test_a_document_that_llama_index_did_not_store_is_a_text_node() -> None:
    index = HybridIndex(filled([]).client.encoder)
    index.add(["plain text"])

    found = BGEVectorStore.from_index(index).query(asked("plain text", similarity_top_k=1))

    assert found.nodes is not None
    assert found.nodes[0].get_content() == "plain text"
    assert found.nodes[0].node_id == index.documents()[0].id


def test_what_cannot_be_stored_says_why() -> None:
    with pytest.raises(InputError, match="node 'x' cannot be stored as JSON"):
        filled([TextNode(id_="x", text="t", metadata={"a": object()})])
    with pytest.raises(InputError, match="node 'x' has a metadata field '_llama_index'"):
        filled([TextNode(id_="x", text="t", metadata={"_llama_index": 7})])
    with pytest.raises(InputTypeError, match=r"nodes\[0\] must be a node, got str"):
        filled(["text"])
    with pytest.raises(InputTypeError, match="must be a list of nodes"):
        filled(NODES[0])  # type: ignore[arg-type]
    with pytest.raises(InputError, match=r"add\(\) takes no argument 'batch'"):
        filled([]).add(NODES, batch=3)


async def test_an_embedding_of_another_model_is_refused() -> None:
    store = BGEVectorStore(EMBEDDING)
    right = [
        NODES[0].model_copy(update={"embedding": EMBEDDING.get_text_embedding("legs: 4\n\n" + NODES[0].text)})
    ]
    short = [NODES[0].model_copy(update={"embedding": [1.0, 2.0]})]
    other = [NODES[0].model_copy(update={"embedding": [1.0] * 32})]

    for wrong in (short, other):
        with pytest.raises(InputError, match="does not come from fake"):
            store.add(wrong)
        with pytest.raises(InputError, match=r"embed_model=store\.embed_model"):
            await store.async_add(wrong)

    assert store.get_nodes() == []
    assert store.add(right) == await store.async_add(right) == ["cat"]


# ---------------------------------------------------------------------- query modes


async def test_default_mode_orders_by_the_vector_that_is_given() -> None:
    store, query = filled(), asked("cold river eel", similarity_top_k=2)
    found = store.query(query)

    assert found.ids is not None
    assert found.similarities is not None
    assert found.nodes is not None
    assert found.ids[0] == "eel"
    assert len(found.ids) == 2
    assert [type(score) for score in found.similarities] == [float, float]
    assert [node.node_id for node in found.nodes] == found.ids
    embedding = EMBEDDING.get_text_embedding(f"legs: 0\n\n{NODES[3].text}")
    cosine = sum(a * b for a, b in zip(query.query_embedding or [], embedding))
    assert found.similarities[0] == pytest.approx(cosine, abs=1e-5)
    assert await store.aquery(query) == found
    assert store.query(asked("cold river eel", query_embedding=None, similarity_top_k=2)) == found


def test_a_vector_alone_is_enough_for_default_mode_and_nothing_is_not() -> None:
    query = asked("cold river eel", similarity_top_k=1)
    query.query_str = None

    assert filled().query(query).ids == ["eel"]
    with pytest.raises(InputError, match="needs query_embedding or query_str"):
        filled().query(asked(None))
    with pytest.raises(InputError, match="dimensions"):
        filled().query(asked("eel", query_embedding=[1.0, 0.0]))


@pytest.mark.parametrize("channels", [("dense", "sparse", "multi"), ("dense", "bm25"), ("bm25",)])
async def test_sparse_mode_finds_words_by_the_channel_that_there_is(channels: tuple[str, ...]) -> None:
    store = filled(channels=channels)
    found = store.query(asked("egg", "sparse", query_embedding=None))

    assert found.ids == ["hen"]
    assert await store.aquery(asked("egg", "sparse", query_embedding=None)) == found
    assert store.query(asked("", "sparse", query_embedding=None)).ids == []
    assert len(store.query(asked("a the", "sparse", sparse_top_k=1, query_embedding=None)).ids or []) == 1


def test_words_need_a_text_and_a_channel() -> None:
    with pytest.raises(InputError, match="give query_str"):
        filled().query(VectorStoreQuery([0.5] * 32, mode=VectorStoreQueryMode.SPARSE))
    with pytest.raises(MissingChannelError, match="this index keeps dense"):
        filled(channels=("dense",)).query(asked("egg", "hybrid"))


async def test_hybrid_mode_follows_the_plan_and_alpha_weighs_two_channels() -> None:
    store, text = filled(), "the cold day of a cat"
    dense, sparse = store.query(asked(text)).ids, store.query(asked(text, "sparse")).ids
    assert dense != sparse

    assert store.query(asked(text, "hybrid", alpha=0.0)).ids == sparse
    assert store.query(asked(text, "hybrid", alpha=1.0)).ids == dense
    with pytest.raises(InputError, match="alpha must be between 0"):
        store.query(asked(text, "hybrid", alpha=1.5))

    planned = [hit.id for hit in store.client.search(text)]
    assert store.query(asked(text, "hybrid")).ids == planned
    assert (await store.aquery(asked(text, "hybrid", hybrid_top_k=1))).ids == planned[:1]
    by_rank = BGEVectorStore(EMBEDDING, plan=QueryPlan(fusion=ReciprocalRank()))
    by_rank.add(NODES)
    assert max(by_rank.query(asked(text, "hybrid")).similarities or []) < 0.06


def test_mmr_mode_weighs_relevance_against_diversity() -> None:
    twin = TextNode(id_="twin", text=NODES[3].text, metadata={"legs": 0})
    store, text = filled([*NODES, twin]), "cold river eel"
    everything = store.query(asked(text, similarity_top_k=5)).ids

    assert set(everything[:2] if everything else []) == {"eel", "twin"}
    assert store.query(asked(text, "mmr", mmr_threshold=1.0, similarity_top_k=5)).ids == everything
    diverse = store.query(asked(text, "mmr", similarity_top_k=2), mmr_threshold=0.1).ids or []
    assert len({"eel", "twin"} & set(diverse)) == 1
    near = store.query(asked(text, "mmr", similarity_top_k=2), mmr_threshold=0.0, mmr_prefetch_k=2).ids or []
    assert set(near) == {"eel", "twin"}


def test_other_modes_and_arguments_are_refused() -> None:
    with pytest.raises(InputError, match="one of default, sparse, hybrid, mmr; got 'svm'"):
        filled().query(asked("eel", "svm"))
    with pytest.raises(InputError, match="takes no arguments"):
        filled().query(asked("eel"), mmr_threshold=0.5)


def test_a_query_can_be_kept_to_nodes_and_to_source_documents() -> None:
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="book")}
    store = filled([*NODES, TextNode(id_="page", text="a page", relationships=source)])

    assert set(store.query(asked("eel", node_ids=["cat", "dog"])).ids or []) == {"cat", "dog"}
    assert store.query(asked("eel", doc_ids=["book"])).ids == ["page"]
    assert len(store.query(asked("eel", doc_ids=[], node_ids=[])).ids or []) == 4


# ---------------------------------------------------------------------- deletion and what is there


async def test_nodes_are_deleted_by_source_by_id_and_by_filter() -> None:
    source = {NodeRelationship.SOURCE: RelatedNodeInfo(node_id="book")}
    pages = [TextNode(id_=f"p{n}", text=f"page {n}", relationships=source) for n in range(3)]
    store = filled([*NODES, *pages])

    store.delete("book")
    assert {node.node_id for node in store.get_nodes()} == {"cat", "dog", "hen", "eel"}
    await store.adelete("eel")
    assert store.get_nodes(["eel", "cat"]) == [NODES[0]]
    store.delete_nodes(["cat", "hen", "nobody"], {"legs": 4})
    assert [node.node_id for node in store.get_nodes(["hen", "cat", "dog"])] == ["hen", "dog"]
    assert await store.aget_nodes(["hen", "dog"], {"legs": {"$gt": 1}}) == store.get_nodes(["hen", "dog"])
    await store.adelete_nodes(["hen"])
    assert [node.node_id for node in store.get_nodes()] == ["dog"]
    with pytest.raises(InputError, match="clear"):
        store.delete_nodes()
    await store.aclear()
    assert store.get_nodes() == []
    store.add(NODES)
    store.clear()
    assert store.get_nodes(filters={"legs": 4}) == []


def test_a_filter_that_makes_no_sense_is_refused_before_the_search() -> None:
    with pytest.raises(FilterError):
        filled().get_nodes(filters={"legs": {"$near": 4}})


# ---------------------------------------------------------------------- LlamaIndex's own indexes and pipelines


def test_a_vector_store_index_is_built_extended_and_opened_again() -> None:
    store = BGEVectorStore(EMBEDDING)
    documents = [Document(text=node.text, id_=f"d-{node.node_id}") for node in NODES]
    index = VectorStoreIndex.from_documents(
        documents,
        storage_context=StorageContext.from_defaults(vector_store=store),
        embed_model=EMBEDDING,
        transformations=[SentenceSplitter()],
    )
    index.insert(Document(text="a whale sings in the deep sea", id_="d-whale"))
    index.delete_ref_doc("d-dog")

    again = VectorStoreIndex.from_vector_store(store, embed_model=EMBEDDING)
    found = again.as_retriever(similarity_top_k=9).retrieve("whale sings")
    assert found[0].node.ref_doc_id == "d-whale"
    assert {node.node.ref_doc_id for node in found} == {"d-cat", "d-hen", "d-eel", "d-whale"}


async def test_an_ingestion_pipeline_replaces_documents_that_changed() -> None:
    store = BGEVectorStore(EMBEDDING)
    pipeline = IngestionPipeline(
        transformations=[SentenceSplitter(), EMBEDDING],
        vector_store=store,
        docstore=SimpleDocumentStore(),
        docstore_strategy=DocstoreStrategy.UPSERTS,
    )
    pipeline.run(documents=[Document(id_="d", text="first words"), Document(id_="e", text="other")])
    await pipeline.arun(documents=[Document(id_="d", text="second words")])

    assert sorted(node.get_content() for node in store.get_nodes()) == ["other", "second words"]


def test_a_text_that_llama_index_embedded_is_not_encoded_again_for_dense_vectors(pool: ModelPool) -> None:
    store = BGEVectorStore(EMBEDDING, settings=IndexSettings(channels=("dense", "bm25")))
    context = StorageContext.from_defaults(vector_store=store)
    VectorStoreIndex(NODES, storage_context=context, embed_model=EMBEDDING)

    assert pool.stats().devices[0].sequences == len(NODES)


async def test_a_deferred_embedding_lets_the_index_encode_every_text_once(pool: ModelPool) -> None:
    store = BGEVectorStore(EMBEDDING)
    context = StorageContext.from_defaults(vector_store=store)
    deferred = store.deferred_embedding()
    index = VectorStoreIndex(NODES, storage_context=context, embed_model=deferred)

    assert pool.stats().devices[0].sequences == len(NODES)
    assert await deferred.aget_text_embedding_batch(["a", "b"]) == [[], []]
    assert deferred.get_query_embedding("eel") == EMBEDDING.get_query_embedding("eel")
    assert index.as_retriever(similarity_top_k=1).retrieve("cold river eel")[0].node == NODES[3]
    assert DeferredEmbedding.from_dict(deferred.to_dict()) == deferred
    assert deferred.class_name() == "DeferredEmbedding"


# ---------------------------------------------------------------------- settings


def test_settings_make_the_round_trip() -> None:
    settings = IndexSettings(channels=("dense", "bm25"), window_tokens=99)
    store = BGEVectorStore(EMBEDDING, settings=settings, plan=QueryPlan(top_k=3))
    written = json.loads(json.dumps(store.to_dict()))
    again = BGEVectorStore.from_dict(written)

    assert store.class_name() == written["class_name"] == "BGEVectorStore"
    assert (again.embed_model, again.settings, again.path) == (EMBEDDING, settings, None)
    assert again.to_dict() == store.to_dict()
    assert again.stores_text
    assert again.is_embedding_query
    assert "plan" not in written


def test_wrong_arguments_are_told() -> None:
    with pytest.raises(
        InputTypeError, match="needs a BGEEmbedding or the name of a checkpoint, got MockEmbedding"
    ):
        BGEVectorStore(MockEmbedding(8))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="window_tokens must be 8 or more"):
        BGEVectorStore(EMBEDDING, settings={"window_tokens": 1})
    with pytest.raises(InputError, match="path and engine"):
        BGEVectorStore(EMBEDDING, "folder", engine=filled([]).client.engine)
    with pytest.raises(InputError, match="plan"):
        BGEVectorStore(EMBEDDING, plan="fast")  # type: ignore[arg-type]


def test_a_store_over_an_open_index_has_the_settings_of_its_encoder(pool: ModelPool) -> None:
    embedding = BGEEmbedding("fake", backend="fake", query_instruction="find: ", family="m3", dimensions=8)
    index = HybridIndex(embedding._encoder())
    store = BGEVectorStore.from_index(index)

    assert store.client is index
    assert store.embed_model.to_dict() == embedding.to_dict()
    assert store.embed_model.pool is pool


def test_an_index_in_memory_is_not_pickled() -> None:
    with pytest.raises(InputError, match="only a store with a path can be pickled"):
        pickle.dumps(filled())


def test_a_folder_keeps_the_index_between_stores(tmp_path: Path) -> None:
    pytest.importorskip("qdrant_edge")
    store = BGEVectorStore(EMBEDDING, tmp_path / "index")
    store.add(NODES)
    StorageContext.from_defaults(vector_store=store).persist(str(tmp_path / "context"))
    pickled, written = pickle.dumps(store), store.to_dict()
    store.close()

    for again in (pickle.loads(pickled), BGEVectorStore.from_dict(written)):
        assert again.path == str(tmp_path / "index")
        assert again.query(asked("cold river eel", similarity_top_k=1)).nodes == [NODES[3]]
        again.close()


# ---------------------------------------------------------------------- event loops


@pytest.mark.parametrize("folder", [None, "index"])
async def test_nothing_blocks_the_event_loop(tmp_path: Path, folder: str | None) -> None:
    blockbuster = pytest.importorskip("blockbuster")
    pytest.importorskip("qdrant_edge")
    query = asked("cold river eel", "hybrid")
    store = BGEVectorStore(EMBEDDING, None if folder is None else tmp_path / folder)

    with blockbuster.blockbuster_ctx():
        await store.async_add(NODES)
        found = await store.aquery(query)
        nodes = await store.aget_nodes(["cat"])
        await store.adelete_nodes(["cat"])
        await store.adelete("dog")
        await store.aclear()
        await store.aclose()

    assert found.ids is not None
    assert found.ids[0] == "eel"
    assert nodes == [NODES[0]]
