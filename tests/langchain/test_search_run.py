"""The search behind a retriever, as LangChain's tracers see it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from langchain_core.tracers import BaseTracer
from langchain_core.tracers.schemas import Run

from bge_components import ModelArguments, make_reranker
from bge_components.errors import InputError
from bge_components.langchain import BGEHybridRetriever
from bge_components.retrieval import Equals, QueryPlan, Rerank

FAKE: dict[str, Any] = {"model": "x", "backend": "fake"}
TEXTS = ["Paris is the capital of France", "Berlin is the capital of Germany", "Water boils"]
QUERY = "capital of France"
PLAIN = QueryPlan(top_k=2)


class Trees(BaseTracer):
    """Keeps finished runs with what ran inside them."""

    def __init__(self) -> None:
        super().__init__()
        self.runs: list[Run] = []

    def _persist_run(self, run: Run) -> None:
        self.runs.append(run)


@pytest.fixture
def retriever() -> BGEHybridRetriever:
    return BGEHybridRetriever.from_texts(TEXTS, ids=["paris", "berlin", "water"], plan=PLAIN, **FAKE)


@pytest.fixture
def reranked() -> QueryPlan:
    """A plan whose reranker sees two of three documents."""
    reranker = make_reranker(ModelArguments(**FAKE))
    return QueryPlan(top_k=3, rerank=(Rerank(reranker=reranker, candidates=2),))


async def traced(retriever: BGEHybridRetriever, *, blocking: bool, **asked: Any) -> Run:
    trees = Trees()
    config: Any = {"callbacks": [trees], "tags": ["mine"], "metadata": {"user": 7}}
    if blocking:
        retriever.invoke(QUERY, config, **asked)
    else:
        await retriever.ainvoke(QUERY, config, **asked)
    [root] = trees.runs
    return root


both = pytest.mark.parametrize("blocking", [True, False], ids=["blocking", "async"])


@both
async def test_the_search_is_a_run_under_the_retrievers(
    retriever: BGEHybridRetriever, blocking: bool
) -> None:
    german = {"lang": {"$nin": ["de"]}}

    root = await traced(retriever, blocking=blocking, k=1, filter=german)

    [run] = root.child_runs
    assert (root.name, run.name) == ("BGEHybridRetriever", "HybridIndex")
    assert run.parent_run_id == root.id
    assert {*(run.tags or [])} == {"mine", "search"}
    assert run.metadata["user"] == 7
    assert run.inputs == {"query": QUERY, "top_k": 1, "filter": german, "plan": repr(PLAIN)}
    assert run.error is None
    assert run.end_time is not None


@both
async def test_its_outputs_are_what_was_found_and_why(retriever: BGEHybridRetriever, blocking: bool) -> None:
    hits = retriever.index.search(QUERY, plan=PLAIN)

    root = await traced(retriever, blocking=blocking)

    outputs = root.child_runs[0].outputs
    assert outputs is not None
    assert outputs["documents"] == (root.outputs or {})["documents"]
    assert [one["id"] for one in outputs["hits"]] == [hit.id for hit in hits] == ["paris", "berlin"]
    for one, hit in zip(outputs["hits"], hits, strict=True):
        assert one["score"] == one["fused"] == pytest.approx(hit.score)
        assert set(one["channels"]) == {"dense", "sparse", "multi"}
        assert one["channels"]["dense"]["score"] == pytest.approx(hit.parts["dense"].score)
        assert one["channels"]["dense"]["rank"] == hit.parts["dense"].rank
        assert one["reranked"] is one["window"] is None
    assert json.loads(json.dumps(outputs["hits"])) == outputs["hits"]


@both
async def test_scores_before_and_after_rerankers_are_there(
    retriever: BGEHybridRetriever, reranked: QueryPlan, blocking: bool
) -> None:
    root = await traced(retriever, blocking=blocking, plan=reranked)

    hits = (root.child_runs[0].outputs or {})["hits"]
    assert [one["reranked"] is None for one in hits] == [False, False, True]
    assert [one["score"] for one in hits[:2]] == [one["reranked"] for one in hits[:2]]
    assert all(one["fused"] != one["reranked"] for one in hits)


def test_the_place_of_a_long_documents_best_window_is_there() -> None:
    text = " ".join(f"word{n}" for n in range(1200)) + " needle"
    retriever = BGEHybridRetriever.from_texts([text], k=1, **FAKE)
    trees = Trees()

    retriever.invoke("needle", {"callbacks": [trees]})

    [hit] = (trees.runs[0].child_runs[0].outputs or {})["hits"]
    assert hit["window"]["stop"] == len(text)
    assert hit["window"]["start"] > 0


@both
async def test_an_error_ends_both_runs(retriever: BGEHybridRetriever, blocking: bool) -> None:
    trees = Trees()
    config: Any = {"callbacks": [trees]}

    with pytest.raises(InputError, match="top_k"):
        if blocking:
            retriever.invoke(QUERY, config, k=-1)
        else:
            await retriever.ainvoke(QUERY, config, k=-1)

    [root] = trees.runs
    [run] = root.child_runs
    for one in (root, run):
        assert "top_k" in str(one.error)
        assert one.end_time is not None


def test_plans_with_models_and_filters_of_this_package_are_written_as_text(
    retriever: BGEHybridRetriever, reranked: QueryPlan
) -> None:
    trees, german = Trees(), Equals("lang", "de")

    retriever.invoke(QUERY, {"callbacks": [trees]}, plan=reranked, filter=german)

    inputs = trees.runs[0].child_runs[0].inputs
    assert json.loads(json.dumps(inputs)) == inputs
    assert inputs["filter"] == repr(german)
    assert "Rerank(" in inputs["plan"]
