"""Rerankers in a cascade, budgets, thresholds and diversity: what orders the best candidates again."""

import time

import numpy as np
import pytest

from bge_components.errors import InputError, MissingChannelError
from bge_components.rerankers import CrossEncoder
from bge_components.retrieval import Diversity, Document, HybridIndex, IndexSettings, Query, QueryPlan, Rerank

NUMBERS = [f"river {number}" for number in range(40)]


class Scripted(CrossEncoder):
    """Scores a text by its number, or backwards; remembers what it was asked."""

    def __init__(self, encoder, sign=1, takes_s=0.0):
        super().__init__(encoder.source, None, encoder.pool)
        self.sign, self.takes_s, self.asked = sign, takes_s, []

    def score_steps(self, pairs, options=None):
        yield from ()
        time.sleep(self.takes_s)
        self.asked.append([text for _, text in pairs])
        return np.array([self.sign * int(text.split()[-1]) for _, text in pairs], dtype=np.float32)


@pytest.fixture
def rivers(index):
    index.add([Document(id=str(number), text=text) for number, text in enumerate(NUMBERS)])
    return index


def ids(hits):
    return [int(hit.id) for hit in hits]


def test_a_reranker_orders_its_candidates_and_leaves_the_rest_below(rivers, encoder):
    before = ids(rivers.search("river", plan=QueryPlan(top_k=10)))
    stage = Rerank(reranker=Scripted(encoder), candidates=4)
    hits = rivers.search("river", plan=QueryPlan(top_k=10, rerank=(stage,)))
    assert ids(hits) == sorted(before[:4], reverse=True) + before[4:]
    assert [hit.reranked for hit in hits] == [float(number) for number in ids(hits)[:4]] + [None] * 6
    assert [hit.score for hit in hits[:4]] == [hit.reranked for hit in hits[:4]]
    assert all(hit.score == hit.fused for hit in hits[4:])


def test_stages_follow_one_another_each_on_what_the_one_before_put_first(rivers, encoder):
    wide, narrow = Scripted(encoder), Scripted(encoder, sign=-1)
    plan = QueryPlan(
        top_k=3, rerank=(Rerank(reranker=wide, candidates=40), Rerank(reranker=narrow, candidates=3))
    )
    assert ids(rivers.search("river", plan=plan)) == [37, 38, 39]
    assert len(wide.asked[0]) == 40
    assert sorted(narrow.asked[0]) == ["river 37", "river 38", "river 39"]


def test_a_budget_stops_the_scoring_and_keeps_the_order_of_the_rest(rivers, encoder):
    before = ids(rivers.search("river", plan=QueryPlan(top_k=40)))
    slow = Scripted(encoder, takes_s=0.05)
    stage = Rerank(reranker=slow, candidates=40, budget_ms=1)
    hits = rivers.search("river", plan=QueryPlan(top_k=40, rerank=(stage,)))
    scored = sum(map(len, slow.asked))
    assert 0 < scored < 40
    assert ids(hits) == sorted(before[:scored], reverse=True) + before[scored:]


def test_a_budget_that_is_enough_scores_everything(rivers, encoder):
    stage = Rerank(reranker=Scripted(encoder), candidates=40, budget_ms=60_000)
    assert ids(rivers.search("river", plan=QueryPlan(top_k=40, rerank=(stage,)))) == list(range(39, -1, -1))


def test_a_threshold_counts_on_the_rerankers_scale_and_drops_what_it_did_not_see(rivers, encoder):
    stage = Rerank(reranker=Scripted(encoder), candidates=40)
    assert ids(rivers.search("river", plan=QueryPlan(top_k=40, rerank=(stage,), threshold=37))) == [
        39,
        38,
        37,
    ]
    few = Rerank(reranker=Scripted(encoder), candidates=4)
    hits = rivers.search("river", plan=QueryPlan(top_k=40, rerank=(few,), threshold=-1e9))
    assert len(hits) == 4


def test_a_reranker_needs_the_text_of_the_query(rivers, encoder):
    vector = encoder.encode(["river"], "query").dense.values[0]
    plan = QueryPlan(rerank=(Rerank(reranker=Scripted(encoder)),))
    with pytest.raises(InputError, match="give it a text"):
        rivers.search(Query(vectors={"dense": vector}), plan=plan)


async def test_the_pools_own_reranker_orders_by_shared_words_sync_and_async(rivers, encoder):
    stage = Rerank(reranker=CrossEncoder(encoder.source, None, encoder.pool), candidates=40)
    plan = QueryPlan(top_k=1, rerank=(stage,))
    assert (
        ids(rivers.search("river 17", plan=plan)) == [17] == ids(await rivers.asearch("river 17", plan=plan))
    )


def test_diversity_needs_dense_vectors(encoder):
    with HybridIndex(encoder, settings=IndexSettings(channels=("sparse",))) as index:
        index.add(NUMBERS)
        with pytest.raises(MissingChannelError, match="dense"):
            index.search("river", plan=QueryPlan(diversity=Diversity()))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Rerank(reranker=None, candidates=0),
        lambda: Rerank(reranker=None, budget_ms=0),
        lambda: Rerank(reranker=None, budget_ms=float("nan")),
        lambda: Diversity(lambda_mult=1.1),
        lambda: Diversity(candidates=0),
        lambda: QueryPlan(fetch_k=0),
        lambda: QueryPlan(late_interaction=-1),
        lambda: QueryPlan(channels=()),
        lambda: QueryPlan(threshold=float("nan")),
    ],
)
def test_stages_that_make_no_sense_are_refused(wrong):
    with pytest.raises(InputError):
        wrong()
