import pickle
import time

import numpy as np
import pytest

from bge_components.assembly import ModelArguments, Reranker, make_reranker
from bge_components.backends import CheckpointSource
from bge_components.backends.fake import FakeFaults, FakeSource
from bge_components.contracts import CallOptions, Progress
from bge_components.encoders import Encoder
from bge_components.errors import (
    DeadlineError,
    InputError,
    InputTypeError,
    MissingOutputError,
    TextTooLongError,
)
from bge_components.pool import ModelPool, use_pool
from bge_components.rerankers import CrossEncoder, LateInteraction, RerankerSettings
from bge_components.settings import PoolSettings
from bge_components.truncation import TextCutWarning
from bge_components.vectors import sigmoid

QUERY = "which bear eats bamboo?"
TEXTS = [
    "the stock market fell",
    "the panda is a bear that eats bamboo",
    "a bear slept",
    "the stock market fell",
    "",
]


@pytest.fixture(scope="module")
def pool():
    with ModelPool(PoolSettings(devices=("cpu",))) as pool:
        yield pool


@pytest.fixture(params=["cross-encoder", "late interaction"])
def make(request, pool):
    """Both kinds of reranker behind one contract."""
    source = CheckpointSource(model="fake", backend="fake")

    def build(**settings):
        if request.param == "cross-encoder":
            return CrossEncoder(source, RerankerSettings(**settings), pool)
        return LateInteraction(Encoder(source, pool=pool), RerankerSettings(**settings))

    return build


async def test_the_best_text_comes_first_and_ties_keep_their_order(make):
    for ranking in (make().rank(QUERY, TEXTS), await make().arank(QUERY, TEXTS)):
        assert ranking.indices[0] == 1
        assert list(ranking.scores) == sorted(ranking.scores, reverse=True)
        order = list(ranking.indices)
        assert order.index(0) + 1 == order.index(3)


def test_sigmoid_and_raw_scores_order_alike_and_map_into_each_other(make):
    raw, scaled = (
        make(scores="raw").score([(QUERY, t) for t in TEXTS]),
        make().score([(QUERY, t) for t in TEXTS]),
    )
    assert np.allclose(sigmoid(raw), scaled, atol=1e-6)
    assert ((scaled > 0) & (scaled < 1)).all()


def test_nothing_to_rank_gives_an_empty_ranking(make):
    assert make().rank(QUERY, []).indices == ()
    assert make().score([]).shape == (0,)


def test_scores_are_the_same_in_a_ranking_and_pair_by_pair(make):
    ranking = make().rank(QUERY, TEXTS)
    for index, score in ranking:
        assert make().score([(QUERY, TEXTS[index])])[0] == pytest.approx(score, abs=1e-5)


def test_the_best_n_above_a_threshold_are_kept(make):
    ranking = make().rank(QUERY, TEXTS)
    assert ranking.best(2).indices == ranking.indices[:2]
    assert ranking.best(0).indices == ()
    assert ranking.best(99).indices == ranking.indices
    cut = float(ranking.scores[1])
    assert ranking.best(None, cut).indices == tuple(i for i, score in ranking if score >= cut)


def test_thousands_of_texts_are_ranked(make):
    texts = [f"text number {i}" for i in range(2500)] + [TEXTS[1]]
    ranking = make().rank(QUERY, texts)
    assert sorted(ranking.indices) == list(range(2501))
    assert ranking.indices[0] == 2500


@pytest.mark.parametrize("pairs", [["no pair"], [("a",)], [("a", None)], [("a", "b", "c")], "ab"])
def test_what_is_no_pair_of_strings_is_refused(make, pairs):
    with pytest.raises(InputTypeError):
        make().score(pairs)
    with pytest.raises(InputTypeError, match=r"texts\[0\]"):
        make().rank(QUERY, [None])
    with pytest.raises(InputTypeError, match="query"):
        make().rank(None, TEXTS)


def test_a_reranker_is_an_envelope_of_settings(make, pool):
    ours = make(scores="raw")
    copy = pickle.loads(pickle.dumps(ours))
    assert copy == ours
    with use_pool(pool):
        assert (copy.score([(QUERY, TEXTS[1])]) == ours.score([(QUERY, TEXTS[1])])).all()


def test_long_passages_are_cut_counted_and_reported(pool, tiny_reranker):
    source, pairs = (
        CheckpointSource(model=str(tiny_reranker), dtype="float32"),
        [("query", "word " * 900), ("q", "p")],
    )
    with pytest.warns(TextCutWarning, match="1 of 2 texts"):
        CrossEncoder(source, pool=pool).score(pairs)
    with pytest.raises(TextTooLongError):
        CrossEncoder(source, RerankerSettings(on_truncation="error"), pool).score(pairs)


def test_windows_read_a_long_passage_to_its_end(pool, tiny_reranker):
    source = CheckpointSource(model=str(tiny_reranker), dtype="float32")

    def logits(text, **settings):
        ours = CrossEncoder(source, RerankerSettings(scores="raw", on_truncation="error", **settings), pool)
        return float(ours.score([("what is a model", text)])[0])

    words = [f"the model ranks passage {i}" for i in range(60)]
    long = " ".join(words)
    cut = RerankerSettings(scores="raw", on_truncation="ignore", max_tokens=64)
    first = float(CrossEncoder(source, cut, pool).score([("what is a model", long)])[0])
    best, mean = (
        logits(long, max_tokens=64, long_passages="max"),
        logits(long, max_tokens=64, long_passages="mean"),
    )
    assert best >= first
    assert best > mean
    short = " ".join(words[:3])
    assert logits(short, max_tokens=64, long_passages="max") == pytest.approx(
        logits(short, max_tokens=64), abs=1e-5
    )


def test_windowed_and_short_passages_in_one_call_keep_their_places(pool, tiny_reranker):
    source = CheckpointSource(model=str(tiny_reranker), dtype="float32")
    settings = RerankerSettings(scores="raw", max_tokens=64, long_passages="max")
    ours = CrossEncoder(source, settings, pool)
    texts = ["short one", "a longer passage " * 80, "short two", "another long passage " * 90, ""]
    together = ours.score([("query", text) for text in texts])
    alone = [ours.score([("query", text)])[0] for text in texts]
    assert np.allclose(together, alone, atol=1e-5)


def test_a_query_instruction_changes_the_scores_as_if_it_were_written(pool, tiny_reranker):
    source = CheckpointSource(model=str(tiny_reranker), dtype="float32")
    told = CrossEncoder(source, RerankerSettings(query_instruction="find "), pool).score(
        [("it", "a passage")]
    )
    spelled = CrossEncoder(source, pool=pool).score([("find it", "a passage")])
    assert told == pytest.approx(spelled, abs=1e-6)


@pytest.mark.parametrize(
    "bad",
    [
        {"scores": "percent"},
        {"long_passages": "last"},
        {"max_tokens": 0},
        {"on_truncation": "shrug"},
        {"window_overlap": -1},
    ],
)
def test_settings_that_make_no_sense_are_refused(bad):
    with pytest.raises(InputError):
        RerankerSettings(**bad)


def test_lengths_that_leave_no_room_are_refused(pool, tiny_reranker):
    source = CheckpointSource(model=str(tiny_reranker))
    with pytest.raises(InputError, match="no room"):
        CrossEncoder(source, RerankerSettings(max_tokens=5), pool).score([("q", "p")])


def test_the_checkpoint_decides_how_it_reranks(pool, tiny_reranker, tiny_m3, tiny_bert):
    scored = Reranker(CheckpointSource(model=str(tiny_reranker), dtype="float32"), pool=pool).score(
        [("q", "p")]
    )
    plain = CrossEncoder(CheckpointSource(model=str(tiny_reranker), dtype="float32"), pool=pool).score(
        [("q", "p")]
    )
    assert (scored == plain).all()
    source = CheckpointSource(model=str(tiny_m3), dtype="float32")
    late = Reranker(source, pool=pool).score([("the query", "the passage")])
    assert late == pytest.approx(
        LateInteraction(Encoder(source, pool=pool)).score([("the query", "the passage")])
    )
    with pytest.raises(MissingOutputError, match="cannot rerank"):
        Reranker(CheckpointSource(model=str(tiny_bert)), pool=pool).score([("q", "p")])


def test_late_interaction_puts_no_second_model_into_memory(tiny_m3):
    with ModelPool(PoolSettings(devices=("cpu",))) as pool:
        Encoder(CheckpointSource(model=str(tiny_m3)), pool=pool).encode(["a"])
        make_reranker(ModelArguments(model=str(tiny_m3)), pool=pool).rank("a", ["b"])
        assert len(pool.stats().models) == 1
        assert pool.stats().loads == 1


def test_progress_counts_pairs_also_where_a_pair_is_several_windows(pool, tiny_reranker, make):
    seen: list[Progress] = []
    options = CallOptions(progress=seen.append)
    source = CheckpointSource(model=str(tiny_reranker), dtype="float32")
    windows = CrossEncoder(source, RerankerSettings(max_tokens=64, long_passages="max"), pool)
    windows.score([("q", "a long passage " * 90), ("q", "short"), ("q", "another long one " * 80)], options)
    assert seen[-1] == Progress(3, 3)
    seen.clear()
    make().rank(QUERY, [f"text {i}" for i in range(600)], options)
    assert seen[-1] == Progress(600, 600)
    assert [one.done for one in seen] == sorted(one.done for one in seen)
    assert {one.total for one in seen} == {600}


def test_settings_for_cross_encoders_are_refused_by_late_interaction(pool, tiny_m3):
    source = CheckpointSource(model=str(tiny_m3))
    with pytest.raises(InputError, match="long_passages is for cross-encoders"):
        Reranker(source, RerankerSettings(long_passages="max"), pool).rank(QUERY, TEXTS)


def test_the_timeout_covers_the_whole_call():
    slow = FakeSource(faults=FakeFaults(delay_s=0.15), load_s=0.3)
    with ModelPool(PoolSettings(devices=("cpu",), memo_s=0)) as pool:
        late = LateInteraction(Encoder(slow, pool=pool))
        started = time.monotonic()
        with pytest.raises(DeadlineError):
            late.rank(QUERY, [f"text {i}" for i in range(900)], CallOptions(timeout_s=0.5))
        assert time.monotonic() - started < 1.5
