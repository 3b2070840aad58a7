"""Indexes in a folder, behind the store and the retriever."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.load import dumps, loads
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from bge_components import ModelArguments, ModelPool, make_reranker
from bge_components.errors import IndexHeldError, IndexMismatchError
from bge_components.langchain import BGEEmbeddings, BGEHybridRetriever, BGEVectorStore
from bge_components.retrieval import QueryPlan, Rerank

pytest.importorskip("qdrant_edge")

FAKE: dict[str, Any] = {"model": "x", "backend": "fake"}
TEXTS = ["Paris is the capital of France", "Water boils at one hundred degrees", "A cat sleeps all day"]


class TestStandardInAFolder(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self, tmp_path: Path) -> Iterator[VectorStore]:  # type: ignore[override]
        with BGEVectorStore(path=tmp_path / "index", **FAKE) as store:
            yield store


def test_making_one_touches_neither_disk_nor_model(tmp_path: Path, fresh_pool: ModelPool) -> None:
    BGEVectorStore(path=tmp_path / "store", **FAKE)
    BGEHybridRetriever(path=tmp_path / "retriever", **FAKE)

    assert not list(tmp_path.iterdir())
    assert fresh_pool.stats().loads == 0


def test_what_was_added_is_there_when_the_folder_is_opened_again(tmp_path: Path) -> None:
    with BGEVectorStore.from_texts(TEXTS, ids=["0", "1", "2"], path=tmp_path, **FAKE) as store:
        before = store.similarity_search("capital of France")

    with BGEVectorStore(path=tmp_path, **FAKE) as store:
        assert store.similarity_search("capital of France") == before


@pytest.mark.filterwarnings("ignore:The function `loads` is in beta")
def test_a_retriever_over_a_folder_is_settings_that_travel(tmp_path: Path) -> None:
    retriever = BGEHybridRetriever.from_texts(
        TEXTS,
        BGEEmbeddings(**FAKE),
        [{"n": n} for n in range(3)],
        path=tmp_path,
        k=1,
        filter={"n": {"$lt": 2}},
    )
    before = retriever.invoke("cat")
    pickled, written = pickle.dumps(retriever), dumps(retriever)
    retriever.index.close()

    read = loads(
        written, allowed_objects=[BGEHybridRetriever, BGEEmbeddings], valid_namespaces=["bge_components"]
    )
    for opened in (pickle.loads(pickled), read):
        assert opened == retriever
        assert opened.invoke("cat") == before
        opened.index.close()
    assert opened != BGEHybridRetriever(path=tmp_path, **FAKE)
    assert len(pickled) < 6000


@pytest.mark.filterwarnings("ignore:The function `loads` is in beta")
def test_a_plan_is_pickled_and_dumps_says_that_it_cannot_write_it(tmp_path: Path) -> None:
    reranker = make_reranker(ModelArguments(**FAKE))
    plan = QueryPlan(top_k=1, rerank=(Rerank(reranker=reranker),))
    retriever = BGEHybridRetriever(path=tmp_path, plan=plan, **FAKE)

    written = dumps(retriever)

    assert pickle.loads(pickle.dumps(retriever)) == retriever
    assert json.loads(written)["type"] == "constructor"
    assert json.loads(written)["kwargs"]["plan"]["type"] == "not_implemented"
    with pytest.raises(NotImplementedError, match="QueryPlan"):
        loads(
            written, allowed_objects=[BGEHybridRetriever, BGEEmbeddings], valid_namespaces=["bge_components"]
        )


async def test_nothing_blocks_the_event_loop(tmp_path: Path, fresh_pool: ModelPool) -> None:
    blockbuster = pytest.importorskip("blockbuster")

    with blockbuster.blockbuster_ctx():
        retriever = await BGEHybridRetriever.afrom_texts(TEXTS, path=tmp_path / "index", k=1, **FAKE)
        [found] = await retriever.ainvoke("capital of France")
        await BGEVectorStore(index=retriever.index).adelete([found.id or ""])
        assert await retriever.ainvoke("capital of France") != [found]
        await retriever.index.aclose()


def test_two_that_open_one_folder_are_told(tmp_path: Path) -> None:
    with (
        BGEVectorStore.from_texts(TEXTS, path=tmp_path, **FAKE),
        BGEVectorStore(path=tmp_path, **FAKE) as other,
        pytest.raises(IndexHeldError),
    ):
        other.similarity_search("cat")


def test_another_model_is_refused(tmp_path: Path) -> None:
    BGEVectorStore.from_texts(TEXTS, path=tmp_path, **FAKE).close()

    with BGEVectorStore(path=tmp_path, model="y", backend="fake") as other, pytest.raises(IndexMismatchError):
        other.similarity_search("cat")
