"""What `langchain_milvus` wants; with the real package where it is installed, which rules out LlamaIndex's."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest

from bge_components import ModelPool, PoolSettings
from bge_components.langchain import BGEEmbeddings, BGEMilvusSparseEmbeddings
from bge_components.langchain.milvus import LonelySparseEmbedding

TEXTS = ["Water boils at 100 degrees.", "Paris is the capital of France.", "stocks fell on Monday"]


def test_the_methods_have_the_names_and_parameters_that_the_store_calls() -> None:
    wanted = {"embed_query": "query", "aembed_query": "query", "embed_documents": "texts"}
    wanted["aembed_documents"] = "texts"

    for name, parameter in wanted.items():
        method = getattr(BGEMilvusSparseEmbeddings, name)
        assert list(inspect.signature(method).parameters) == ["self", parameter]
        assert inspect.iscoroutinefunction(method) == name.startswith("a")


def test_the_base_is_the_stores_own_where_it_is_installed() -> None:
    homes = {base.__name__: base.__module__ for base in BGEMilvusSparseEmbeddings.__mro__}

    try:
        from langchain_milvus.utils.sparse import BaseSparseEmbedding
    except ModuleNotFoundError:
        assert issubclass(BGEMilvusSparseEmbeddings, LonelySparseEmbedding)
    else:
        assert issubclass(BGEMilvusSparseEmbeddings, BaseSparseEmbedding)
        assert homes["BaseSparseEmbedding"] == "langchain_milvus.utils.sparse"


def milvus(settings: dict[str, Any], path: Path) -> Any:
    from langchain_milvus import Milvus

    return Milvus(
        [BGEEmbeddings(**settings), BGEMilvusSparseEmbeddings(**settings)],
        vector_field=["dense", "sparse"],
        index_params=[
            {"index_type": "AUTOINDEX", "metric_type": "IP"},
            {"index_type": "SPARSE_INVERTED_INDEX", "metric_type": "IP"},
        ],
        search_params=[{"metric_type": "IP"}, {"metric_type": "IP"}],
        connection_args={"uri": str(path / "milvus.db")},
        auto_id=True,
    )


@pytest.mark.filterwarnings("default")
def test_the_real_store_finds_texts_with_one_pass_for_both(tiny_m3: Path, tmp_path: Path) -> None:
    for needed in ("langchain_milvus", "milvus_lite"):
        pytest.importorskip(needed, reason=f"{needed} is not installed")
    with ModelPool(PoolSettings(devices=("cpu",), memo_s=100)) as pool:
        store = milvus({"model": tiny_m3, "dtype": "float32", "pool": pool}, tmp_path)
        store.add_texts(TEXTS[:1])
        store.similarity_search("learn the first")
        before = sum(device.batches for device in pool.stats().devices)

        store.add_texts(TEXTS[1:])
        hits = store.similarity_search("Paris is a capital of France.", k=1)

        assert hits[0].page_content == TEXTS[1]
        assert sum(device.batches for device in pool.stats().devices) == before + 2
