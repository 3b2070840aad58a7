from __future__ import annotations

import asyncio
import copy
import json
from typing import Any

import pytest
from llama_index.core.async_utils import run_async_tasks
from llama_index.core.schema import (
    Document,
    ImageNode,
    IndexNode,
    MetadataMode,
    Node,
    NodeWithScore,
    QueryBundle,
    TextNode,
)

from bge_components import ModelPool
from bge_components.errors import (
    CheckpointError,
    InputError,
    InputTypeError,
    TextTooLongError,
)
from bge_components.llama_index import BGEReranker, RerankedNode

pytestmark = pytest.mark.usefixtures("pool")

PASSAGES = ["cats purr", "stocks fell", "the cat sat on the mat", "rain in Spain", "dogs bark"]
QUERY = "where is the cat?"


def fake(**settings: Any) -> BGEReranker:
    settings = {"top_n": None, **settings}
    return BGEReranker(settings.pop("model", "BAAI/bge-reranker-v2-m3"), backend="fake", **settings)


def scored(passages: list[str] = PASSAGES) -> list[NodeWithScore]:
    return [
        NodeWithScore(node=TextNode(text=text, id_=f"n{place}", metadata={"page": place}), score=place / 10)
        for place, text in enumerate(passages)
    ]


def texts(nodes: list[NodeWithScore]) -> list[str]:
    return [node.text for node in nodes]


# ---------------------------------------------------------------------- results


async def test_the_order_is_that_of_the_reranker_and_async_agrees() -> None:
    reranker = fake(metadata_mode=MetadataMode.NONE)
    ranking = reranker._reranker().rank(QUERY, PASSAGES)

    found = reranker.postprocess_nodes(scored(), query_str=QUERY)

    assert texts(found) == [PASSAGES[place] for place in ranking.indices]
    assert [node.score for node in found] == ranking.scores.tolist()
    assert await reranker.apostprocess_nodes(scored(), query_bundle=QueryBundle(QUERY)) == found
    assert reranker.postprocess_nodes(tuple(scored()), QueryBundle(QUERY)) == found


@pytest.mark.parametrize(("top_n", "count"), [(None, 5), (0, 0), (1, 1), (5, 5), (99, 5)])
async def test_top_n_keeps_the_best(top_n: int | None, count: int) -> None:
    everything = fake().postprocess_nodes(scored(), query_str=QUERY)

    kept = fake(top_n=top_n).postprocess_nodes(scored(), query_str=QUERY)

    assert kept == everything[:count]
    assert await fake(top_n=top_n).apostprocess_nodes(scored(), query_str=QUERY) == kept


def test_a_threshold_drops_what_scores_less() -> None:
    everything = fake().postprocess_nodes(scored(), query_str=QUERY)
    third = everything[2].get_score()

    kept = fake(score_threshold=third).postprocess_nodes(scored(), query_str=QUERY)

    assert kept == [node for node in everything if node.get_score() >= third]
    assert fake(score_threshold=1.1).postprocess_nodes(scored(), query_str=QUERY) == []


def test_scores_are_plain_floats_on_the_scale_asked_for() -> None:
    squeezed = fake().postprocess_nodes(scored(), query_str=QUERY)
    raw = fake(scores="raw").postprocess_nodes(scored(), query_str=QUERY)

    assert {type(node.score) for node in squeezed + raw} == {float}
    assert all(0 < node.get_score() < 1 for node in squeezed)
    assert texts(raw) == texts(squeezed)
    assert [node.score for node in raw] != [node.score for node in squeezed]
    json.loads(squeezed[0].to_json())


def test_the_metadata_that_is_scored_can_be_chosen() -> None:
    node = TextNode(
        text="cats", metadata={"seen": "by both", "llm": "only"}, excluded_embed_metadata_keys=["llm"]
    )
    reranker = fake(scores="raw")
    wanted = {
        MetadataMode.NONE: "cats",
        MetadataMode.EMBED: "seen: by both\n\ncats",
        MetadataMode.LLM: "seen: by both\nllm: only\n\ncats",
        MetadataMode.ALL: "seen: by both\nllm: only\n\ncats",
    }

    for mode, text in wanted.items():
        found = fake(scores="raw", metadata_mode=mode).postprocess_nodes(
            [NodeWithScore(node=node)], query_str="q"
        )
        assert found[0].score == float(reranker._reranker().score([("q", text)])[0])


def test_equal_nodes_keep_their_order_and_scores() -> None:
    found = fake().postprocess_nodes(scored(["same", "other", "same"]), query_str=QUERY)

    same = [node for node in found if node.text == "same"]
    assert same[0].score != found[-1].score or found[0].score == found[-1].score
    everything = fake(metadata_mode="none").postprocess_nodes(scored(["same"] * 4), query_str=QUERY)
    assert [node.node_id for node in everything] == ["n0", "n1", "n2", "n3"]


def test_every_kind_of_node_is_ranked() -> None:
    nodes = [
        NodeWithScore(node=node)
        for node in (
            TextNode(text="text"),
            IndexNode(text="index", index_id="i"),
            ImageNode(text=""),
            Document(text="document"),
            Node(),
        )
    ]

    found = fake().postprocess_nodes(nodes, query_str=QUERY)

    assert {type(node.node) for node in found} == {TextNode, IndexNode, ImageNode, Document, Node}


# ---------------------------------------------------------------------- the caller's nodes


@pytest.mark.parametrize("keep", [False, True])
async def test_the_callers_nodes_are_not_written_to(keep: bool) -> None:
    nodes = scored()
    before = copy.deepcopy(nodes)
    hashes = [node.node.hash for node in nodes]
    reranker = fake(keep_retrieval_score=keep, top_n=3)

    found = reranker.postprocess_nodes(nodes, query_str=QUERY)
    found += await reranker.apostprocess_nodes(nodes, query_str=QUERY)

    assert nodes == before
    assert [node.node.hash for node in nodes] == hashes
    assert not {id(node) for node in found} & {id(node) for node in nodes}
    for node in found:
        original = next(one for one in nodes if one.node_id == node.node_id)
        assert node.node.hash == original.node.hash
        for mode in MetadataMode:
            assert node.get_content(mode) == original.get_content(mode)


def test_the_retrieval_score_is_kept_beside_the_node_on_request() -> None:
    kept = fake(keep_retrieval_score=True).postprocess_nodes(scored(), query_str=QUERY)
    dropped = fake().postprocess_nodes(scored(), query_str=QUERY)

    assert {node.node_id: node.retrieval_score for node in kept} == {  # type: ignore[attr-defined]
        f"n{place}": place / 10 for place in range(5)
    }
    assert all(type(node) is RerankedNode for node in kept)
    assert [node.score for node in kept] == [node.score for node in dropped]
    assert all(type(node) is NodeWithScore for node in dropped)
    written = json.loads(kept[0].to_json())
    assert written["retrieval_score"] == kept[0].retrieval_score  # type: ignore[attr-defined]
    assert written["class_name"] == "RerankedNode"


@pytest.mark.parametrize("keep", [False, True])
def test_after_two_rerankers_the_score_of_the_retriever_is_still_there(keep: bool) -> None:
    first = fake(keep_retrieval_score=True).postprocess_nodes(scored(), query_str=QUERY)

    second = fake(keep_retrieval_score=keep).postprocess_nodes(first, query_str="dogs")

    assert {node.node_id: node.retrieval_score for node in second} == {  # type: ignore[attr-defined]
        f"n{place}": place / 10 for place in range(5)
    }


def test_nodes_without_a_score_are_ranked_too() -> None:
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in PASSAGES]

    kept = fake(keep_retrieval_score=True).postprocess_nodes(nodes, query_str=QUERY)

    assert [node.retrieval_score for node in kept] == [None] * 5  # type: ignore[attr-defined]


# ---------------------------------------------------------------------- events


async def test_events_come_in_pairs_with_what_was_ranked_and_what_was_kept(
    events: Any, callbacks: Any
) -> None:
    reranker = fake(top_n=2, callback_manager=callbacks.manager)

    for found in (
        reranker.postprocess_nodes(scored(), query_str=QUERY),
        await reranker.apostprocess_nodes(scored(), query_str=QUERY),
    ):
        start, end = events.last("ReRankStartEvent"), events.last("ReRankEndEvent")
        assert (start.top_n, start.model_name) == (2, "BAAI/bge-reranker-v2-m3")
        assert start.query.query_str == QUERY
        assert start.nodes == scored()
        assert end.nodes == found

    assert events.names("ReRank") == ["ReRankStartEvent", "ReRankEndEvent"] * 2
    assert callbacks.kinds("reranking") == ["start", "end"] * 2
    assert callbacks.seen[0][2]["top_k"] == 2
    assert callbacks.seen[0][2]["query_str"] == QUERY


async def test_events_come_in_pairs_for_no_nodes_and_nothing_is_loaded(
    pool: ModelPool, events: Any, callbacks: Any
) -> None:
    reranker = fake(callback_manager=callbacks.manager)

    assert reranker.postprocess_nodes([], query_str=QUERY) == []
    assert await reranker.apostprocess_nodes([], query_str=QUERY) == []

    assert events.names("ReRank") == ["ReRankStartEvent", "ReRankEndEvent"] * 2
    assert callbacks.kinds("reranking") == ["start", "end"] * 2
    assert pool.stats().loads == 0


async def test_events_come_in_pairs_when_the_call_fails(events: Any, callbacks: Any) -> None:
    reranker = fake(max_tokens=8, on_truncation="error", callback_manager=callbacks.manager)
    long = scored(["word " * 100])

    with pytest.raises(TextTooLongError):
        reranker.postprocess_nodes(long, query_str="cat")
    with pytest.raises(TextTooLongError):
        await reranker.apostprocess_nodes(long, query_str="cat")

    assert events.names("ReRank") == ["ReRankStartEvent", "ReRankEndEvent"] * 2
    assert events.last("ReRankEndEvent").nodes == []
    assert callbacks.kinds("reranking") == ["start", "end"] * 2


def test_keeping_all_is_announced_as_the_number_of_nodes(events: Any) -> None:
    fake(top_n=None).postprocess_nodes(scored(), query_str=QUERY)

    assert events.last("ReRankStartEvent").top_n == 5


# ---------------------------------------------------------------------- event loops


async def test_the_event_loop_runs_on_while_the_model_computes(gate: Any) -> None:
    reranker = fake()
    reranker.postprocess_nodes(scored(["loaded"]), query_str=QUERY)
    gate.close()

    task = asyncio.create_task(reranker.apostprocess_nodes(scored(), query_str=QUERY))
    await gate.reached()
    for _ in range(5):
        await asyncio.sleep(0)
    assert not task.done()
    gate.open()

    assert len(await task) == 5


async def test_a_second_loop_in_another_thread_is_served_too() -> None:
    reranker = fake()
    wanted = await reranker.apostprocess_nodes(scored(), query_str=QUERY)

    found = run_async_tasks([reranker.apostprocess_nodes(scored(), query_str=QUERY) for _ in range(4)])

    assert found == [wanted] * 4


# ---------------------------------------------------------------------- bad input


async def test_without_a_query_the_error_says_what_to_give(events: Any) -> None:
    with pytest.raises(ValueError, match="query_str"):
        fake().postprocess_nodes(scored())
    with pytest.raises(ValueError, match="query_str"):
        await fake().apostprocess_nodes(scored())
    with pytest.raises(InputError, match="QueryBundle"):
        fake().postprocess_nodes(scored(), query_bundle="a string")  # type: ignore[arg-type]
    with pytest.raises(InputTypeError, match="query_str"):
        fake().postprocess_nodes(scored(), query_bundle=QueryBundle(query_str=7))  # type: ignore[arg-type]
    assert events.names("ReRank") == []


@pytest.mark.parametrize(
    ("nodes", "message"),
    [
        (None, "list of NodeWithScore"),
        ("text", "list of NodeWithScore"),
        ([TextNode(text="bare")], r"nodes\[0\]"),
        ([*scored(), None], r"nodes\[5\]"),
        (["text"], r"nodes\[0\]"),
    ],
)
async def test_what_is_no_list_of_scored_nodes_is_refused(nodes: Any, message: str) -> None:
    with pytest.raises(InputTypeError, match=message):
        fake().postprocess_nodes(nodes, query_str=QUERY)
    with pytest.raises(InputTypeError, match=message):
        await fake().apostprocess_nodes(nodes, query_str=QUERY)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"top_n": -1}, "top_n"),
        ({"top_n": 2.5}, "top_n"),
        ({"top_n": "3"}, "top_n"),
        ({"top_n": True}, "top_n"),
        ({"score_threshold": float("nan")}, "score_threshold"),
        ({"scores": "percent"}, "scores"),
        ({"metadata_mode": "some"}, "metadata_mode"),
        ({"long_passages": "middle"}, "long_passages"),
        ({"window_overlap": -1}, "window_overlap"),
        ({"query_max_tokens": 0}, "query_max_tokens"),
    ],
    ids=str,
)
def test_wrong_settings_are_refused_when_it_is_made(given: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        BGEReranker(**given)


def test_odd_texts_and_queries_are_ranked() -> None:
    odd = ["", " \n\t", "\x00", "half a pair \ud800", "🙂" * 100, "x" * 1_000_000]
    reranker = fake(on_truncation="ignore")

    for query in ("", "\udfff", "?" * 10_000):
        assert len(reranker.postprocess_nodes(scored(odd), query_str=query)) == len(odd)


def test_thousands_of_nodes_are_ranked() -> None:
    nodes = scored([f"passage {number}" for number in range(3000)])

    assert len(fake(top_n=2999).postprocess_nodes(nodes, query_str=QUERY)) == 2999


def test_a_checkpoint_that_is_not_there_is_an_error_of_the_call_not_of_the_constructor() -> None:
    reranker = BGEReranker("./no/such/folder", local_files_only=True)

    with pytest.raises(CheckpointError, match="no/such/folder"):
        reranker.postprocess_nodes(scored(), query_str=QUERY)
