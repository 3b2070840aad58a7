import asyncio
import pickle

import numpy as np
import pytest

from bge_components.backends import CheckpointSource
from bge_components.contracts import CallOptions, Output, Progress
from bge_components.encoders import Encoder, EncoderSettings, pair_scores
from bge_components.encoders.assembler import lexical_weights
from bge_components.errors import InputError, InputTypeError, MissingOutputError, TextTooLongError
from bge_components.pool import ModelPool, use_pool
from bge_components.settings import PoolSettings
from bge_components.truncation import TextCutWarning
from support.corpus import mixed


@pytest.fixture(scope="module")
def pool():
    with ModelPool(PoolSettings(devices=("cpu",))) as pool:
        yield pool


def fake(pool, **settings):
    return Encoder(CheckpointSource(model="fake", backend="fake"), EncoderSettings(**settings), pool)


def test_an_empty_list_gives_an_empty_encoding_with_every_output(pool):
    encoding = fake(pool).encode([], outputs={"dense", "sparse", "multi"})
    assert len(encoding) == len(encoding.dense) == len(encoding.sparse) == len(encoding.multi) == 0
    assert encoding.dense.values.shape[1] > 0


@pytest.mark.parametrize("text", ["", "   \n\t ", "\0", "a\0b", "\ud800 lone", "👩‍👩‍👧", "word " * 200_000])
def test_odd_strings_are_encoded(pool, text):
    encoding = fake(pool, on_truncation="ignore").encode([text], outputs={"dense", "sparse", "multi"})
    assert np.isfinite(encoding.dense.values).all()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        ("one string", "wrap it in a list"),
        ([None], r"texts\[0\]"),
        (["a", 3], r"texts\[1\].*int"),
        (["a", b"b"], r"texts\[1\].*bytes"),
        (7, "int"),
    ],
)
def test_what_is_no_list_of_strings_is_refused_with_its_place(pool, texts, message):
    with pytest.raises(InputTypeError, match=message):
        fake(pool).encode(texts)
    assert len(fake(pool).encode(["the next one works"])) == 1


def test_outputs_the_checkpoint_lacks_are_refused_by_name(pool, tiny_bert):
    dense_only = Encoder(CheckpointSource(model=str(tiny_bert)), pool=pool)
    with pytest.raises(MissingOutputError, match="sparse"):
        dense_only.encode(["a"], outputs={"sparse"})
    with pytest.raises(InputError, match="score"):
        dense_only.encode(["a"], outputs={"score"})


def test_long_texts_are_cut_and_counted_and_reported_as_asked(pool):
    long = "word " * 2000
    before = sum(model.cut_texts for model in pool.stats().models)
    with pytest.warns(TextCutWarning, match="2 of 3 texts"):
        encoding = fake(pool).encode([long, "short", long + "x"])
    assert encoding.cut == (0, 2)
    assert sum(model.cut_texts for model in pool.stats().models) == before + 2
    assert fake(pool, on_truncation="ignore").encode([long]).cut == (0,)
    with pytest.raises(TextTooLongError, match="1 of 1 texts"):
        fake(pool, on_truncation="error").encode([long])
    with pytest.raises(InputError, match="at most"):
        fake(pool, max_tokens=10**6).encode(["a"])


def test_more_texts_than_a_chunk_come_back_in_order(pool):
    texts = [f"number {i} of many" for i in range(3000)]
    ours = fake(pool)
    encoding = ours.encode(texts, outputs={"dense", "sparse"})
    assert len(encoding) == 3000
    for index in (0, 1023, 1024, 2048, 2999):
        alone = ours.encode([texts[index]], outputs={"dense", "sparse"})
        assert np.allclose(alone.dense.values[0], encoding.dense.values[index])
        assert alone.sparse[0] == encoding.sparse[index]


def test_duplicate_texts_get_equal_vectors(pool):
    values = fake(pool).encode(["same", "other", "same"]).dense.values
    assert (values[0] == values[2]).all()
    assert not (values[0] == values[1]).all()


def test_dimensions_are_cut_and_normalised_again(pool):
    full = fake(pool).encode(["some text"]).dense.values
    short = fake(pool, dimensions=8).encode(["some text"], outputs={"dense", "multi"})
    expected = full[:, :8] / np.linalg.norm(full[:, :8])
    assert np.allclose(short.dense.values, expected, atol=1e-6)
    assert np.allclose(np.linalg.norm(short.multi.values, axis=1), 1, atol=1e-5)
    assert short.multi.dim == 8
    with pytest.raises(InputError, match="dimensions=100000"):
        fake(pool, dimensions=100_000).encode(["a"])


def test_normalisation_can_be_left_out(pool, tiny_bert):
    source = CheckpointSource(model=str(tiny_bert), dtype="float32")
    raw = Encoder(source, EncoderSettings(normalize=False), pool).encode(mixed(5)).dense.values
    unit = Encoder(source, pool=pool).encode(mixed(5)).dense.values
    assert not np.allclose(np.linalg.norm(raw, axis=1), 1)
    assert np.allclose(raw / np.linalg.norm(raw, axis=1, keepdims=True), unit, atol=1e-6)


def test_an_instruction_of_the_caller_wins_and_an_empty_one_is_none(pool):
    plain = fake(pool).encode(["question"], "query").dense.values
    told = fake(pool, query_instruction="find: ").encode(["question"], "query").dense.values
    spelled = fake(pool).encode(["find: question"], "query").dense.values
    none = fake(pool, query_instruction="").encode(["question"], "query").dense.values
    assert np.allclose(told, spelled)
    assert np.allclose(plain, none)
    assert not np.allclose(told, plain)


def test_an_unknown_task_is_refused(pool):
    with pytest.raises(InputError, match="no task 'cooking'"):
        fake(pool, task="cooking").encode(["a"], "query")


def test_dense_and_sparse_asked_for_one_after_the_other_cost_one_pass(tiny_m3):
    with ModelPool(PoolSettings(devices=("cpu",))) as pool:
        first = Encoder(CheckpointSource(model=str(tiny_m3), dtype="float32"), pool=pool)
        second = Encoder(CheckpointSource(model=str(tiny_m3), dtype="float32"), pool=pool)
        for text in ("one text", "another text", "a third text"):
            first.encode([text])
            second.encode([text], outputs={"sparse"})
        assert pool.stats().devices[0].sequences == 4


def test_progress_counts_up_to_the_number_of_texts(pool):
    seen: list[Progress] = []
    texts = [f"text {i} {i * 7}" for i in range(1500)]
    fake(pool).encode(texts, options=CallOptions(progress=seen.append))
    assert seen[-1] == Progress(1500, 1500)
    assert [one.done for one in seen] == sorted(one.done for one in seen)


def test_an_encoder_is_an_envelope_of_settings(pool):
    ours = fake(pool, dimensions=8)
    copy = pickle.loads(pickle.dumps(ours))
    assert copy == ours
    assert hash(copy) == hash(ours)
    assert "dimensions=8" in repr(ours)
    with use_pool(pool):
        assert (copy.encode(["a"]).dense.values == ours.encode(["a"]).dense.values).all()


def test_sparse_vectors_can_be_read_as_tokens(pool, tiny_m3):
    ours = Encoder(CheckpointSource(model=str(tiny_m3)), pool=pool)
    weights = ours.encode(["the model ranks relevant documents"], outputs={"sparse"}).sparse[0]
    assert weights
    assert all(
        type(token) is int and type(weight) is float and weight > 0 for token, weight in weights.items()
    )
    tokens = ours.tokens_of(weights)
    assert len(tokens) == len(weights)
    assert all(token.strip("▁").lower() in "the model ranks relevant documents" for token in tokens)


def test_the_largest_weight_of_a_token_counts_and_special_tokens_do_not():
    ids = np.array([0, 7, 5, 7, 9, 2], dtype=np.int32)
    weights = np.array([3, 0.5, 0.1, 0.8, 0.0, 4], dtype=np.float32)
    kept, values = lexical_weights(ids, weights, np.array([0, 2], dtype=np.int32))
    assert kept.tolist() == [5, 7]
    assert np.allclose(values, [0.1, 0.8])


def test_pair_scores_encode_each_distinct_text_once(tiny_m3):
    with ModelPool(PoolSettings(devices=("cpu",), memo_s=0)) as pool:
        ours = Encoder(CheckpointSource(model=str(tiny_m3), dtype="float32"), pool=pool)
        queries, passages = ["query one", "query two"], ["passage one", "passage two", "passage three"]
        scores = pair_scores(ours, [(q, p) for q in queries for p in passages])
        assert len(scores.all) == 6
        assert pool.stats().devices[0].sequences == 5
        combined = (0.4 * scores.dense + 0.2 * scores.sparse + 0.4 * scores.multi) / 1.0
        assert np.allclose(scores.all, combined, atol=1e-6)


@pytest.mark.parametrize("weights", [(1, 2), (1, 2, 3, 4), (-1, 1, 1), (0, 0, 1)])
def test_weights_that_make_no_sense_are_refused(pool, weights):
    with pytest.raises(InputError, match="three numbers"):
        pair_scores(fake(pool), [("a", "b")], weights)


async def test_two_event_loops_in_two_threads_share_the_pool(pool):
    ours = fake(pool)
    expected = ours.encode(["from any loop"]).dense.values

    def other_loop():
        return asyncio.run(ours.aencode(["from any loop"])).dense.values

    here, there = await asyncio.gather(ours.aencode(["from any loop"]), asyncio.to_thread(other_loop))
    assert (here.dense.values == expected).all()
    assert (there == expected).all()


def test_an_encoding_says_which_output_was_not_asked_for(pool):
    with pytest.raises(MissingOutputError, match="sparse"):
        fake(pool).encode(["a"], outputs=[Output.DENSE]).need_sparse()
