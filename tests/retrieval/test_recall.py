"""Recall and fusion of one query: ties, gaps, and what late interaction is asked to score."""

import numpy as np
import pytest

from bge_components.retrieval import (
    Channel,
    ChannelKind,
    MemoryEngine,
    Passage,
    Point,
    QueryPlan,
    ReciprocalRank,
)
from bge_components.retrieval.recall import Depth, find_candidates

CHANNELS = [
    Channel(name="dense", kind=ChannelKind.DENSE, dim=2),
    Channel(name="sparse", kind=ChannelKind.SPARSE),
    Channel(name="multi", kind=ChannelKind.MULTI, dim=2),
]
EAST = np.array([1, 0], dtype=np.float32)


def words(**weights):
    ids = sorted(int(name[1:]) for name in weights)
    return np.array(ids, np.int32), np.array([weights[f"w{one}"] for one in ids], np.float32)


def direction(degrees):
    return np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))], dtype=np.float32)


class Watched(MemoryEngine):
    """Remembers what was asked of it."""

    def __init__(self):
        super().__init__()
        self.asked = []

    def search(self, channel, vector, k, condition=None, *, exact=False):
        self.asked.append(("search", channel, k))
        return super().search(channel, vector, k, condition, exact=exact)

    def score(self, channel, vector, ids):
        self.asked.append(("score", channel, len(ids)))
        return super().score(channel, vector, ids)


@pytest.fixture
def engine():
    engine = Watched()
    engine.open(CHANNELS)
    return engine


def put(engine, **documents):
    engine.upsert(
        [
            Point(id=engine.point_id(name), passage=Passage(document=name, text=name), vectors=vectors)
            for name, vectors in documents.items()
        ]
    )


def names(engine, candidates):
    return [point.passage.document for point in engine.get(candidates.ids)]


def test_a_candidate_is_scored_in_the_channel_that_did_not_recall_it(engine):
    put(
        engine,
        near={"dense": direction(0)},
        far={"dense": direction(60), "sparse": words(w1=2.0)},
        other={"dense": direction(80), "sparse": words(w2=1.0)},
    )
    plan = QueryPlan(fetch_k=1, top_k=1)
    found = find_candidates(engine, plan, {"dense": EAST, "sparse": words(w1=1.0)}, None, Depth(1, 0))
    rows = dict(zip(names(engine, found), found.scores.tolist()))
    assert rows["near"] == pytest.approx([1.0, 0.0])
    assert rows["far"] == pytest.approx([0.5, 2.0], abs=1e-6)
    assert "other" not in rows
    ranks = dict(zip(names(engine, found), found.ranks.tolist()))
    assert np.isnan(ranks["near"][1])
    assert np.isnan(ranks["far"][0])


def test_ranks_alone_ask_for_no_missing_score(engine):
    put(engine, near={"dense": direction(0)}, far={"dense": direction(60), "sparse": words(w1=2.0)})
    plan = QueryPlan(fetch_k=1, top_k=1, fusion=ReciprocalRank())
    find_candidates(engine, plan, {"dense": EAST, "sparse": words(w1=1.0)}, None, Depth(1, 0))
    assert not [one for one in engine.asked if one[0] == "score"]


def test_late_interaction_scores_the_best_only(engine):
    put(
        engine,
        **{f"d{n}": {"dense": direction(n), "multi": direction(90 - n)[None, :]} for n in range(20)},
    )
    plan = QueryPlan(fetch_k=20)
    found = find_candidates(engine, plan, {"dense": EAST, "multi": EAST[None, :]}, None, Depth(20, 5))
    assert ("score", "multi", 5) in engine.asked
    assert set(names(engine, found)) == {f"d{n}" for n in range(5)}
    assert found.channels == ("dense", "multi")


def test_of_equal_scores_that_straddle_the_end_always_the_same_stay(engine):
    put(engine, **{f"twin{n}": {"dense": EAST} for n in range(50)}, best={"dense": 2 * EAST})
    first = find_candidates(engine, QueryPlan(fetch_k=5, top_k=5), {"dense": EAST}, None, Depth(5, 0))
    again = Watched()
    again.open(CHANNELS)
    put(again, best={"dense": 2 * EAST}, **{f"twin{n}": {"dense": EAST} for n in reversed(range(50))})
    second = find_candidates(again, QueryPlan(fetch_k=5, top_k=5), {"dense": EAST}, None, Depth(5, 0))
    assert first.ids == second.ids
    assert names(engine, first)[0] == "best"
    expected = sorted((engine.point_id(f"twin{n}") for n in range(50)), key=int)[:4]
    assert first.ids[1:] == expected


def test_a_query_that_finds_nothing_gives_nothing(engine):
    put(engine, a={"sparse": words(w1=1.0)})
    found = find_candidates(engine, QueryPlan(), {"sparse": words(w9=1.0)}, None, Depth(100, 0))
    assert len(found) == 0
