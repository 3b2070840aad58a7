"""Late chunking, held against transformers' hidden states averaged by hand."""

import asyncio

import numpy as np
import pytest
import torch

from bge_components.backends import CheckpointSource
from bge_components.backends.fake import FakeFaults, FakeSource
from bge_components.contracts import CallOptions, Output, Progress, TokenSequence
from bge_components.encoders import Encoder, EncoderSettings
from bge_components.encoders.assembler import lexical_weights
from bge_components.errors import InputError, InputTypeError, MissingOutputError, NonFiniteError
from bge_components.pool import ModelPool
from bge_components.settings import BatchSettings, PoolSettings
from support.corpus import english, mixed

ALL = frozenset({Output.DENSE, Output.SPARSE, Output.MULTI})
TEXT = "The giant panda eats bamboo, and returns. 大熊猫吃竹子。 Is the capital of France Paris?"
SPANS = [(0, 41), (10, 26), (42, 49), (50, len(TEXT)), (0, len(TEXT))]
TOLERANCE = 2e-5


@pytest.fixture(scope="module")
def pool():
    with ModelPool(PoolSettings(devices=("cpu",))) as pool:
        yield pool


def _source(folder):
    return CheckpointSource(model=str(folder), dtype="float32")


def encoder(pool, folder, **settings):
    return Encoder(_source(folder), EncoderSettings(**settings), pool)


def fake(pool, **settings):
    return Encoder(CheckpointSource(model="fake", backend="fake"), EncoderSettings(**settings), pool)


def hidden_states(folder, text):
    """Give transformers' own hidden states of a text, the span of each token, and the ids.

    Special tokens have (0, 0). White space before a word is not the token's, and a token of nothing else goes with
    what follows.
    """
    from transformers import AutoModel, AutoTokenizer

    given = AutoTokenizer.from_pretrained(folder)([text], return_offsets_mapping=True, return_tensors="pt")
    spans = given.pop("offset_mapping")[0].numpy()
    for span in spans:
        span[0] = span[1] - len(text[span[0] : span[1]].lstrip())
        span[1] += span[0] == span[1] > 0
    network = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        states = network(given["input_ids"]).last_hidden_state[0].numpy()
    return states, spans, given["input_ids"][0].numpy()


def owned(spans, start, stop):
    return (spans[:, 0] < stop) & (spans[:, 1] > start)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=-1, keepdims=True)


@pytest.mark.parametrize(
    "name", ["tiny_bert", "tiny_bert_mean", "tiny_roberta", "tiny_m3", "tiny_modernbert"]
)
async def test_dense_vectors_are_means_of_transformers_states(pool, request, name):
    folder = request.getfixturevalue(name)
    states, spans, _ = hidden_states(folder, TEXT)
    right = unit(np.stack([states[owned(spans, *chunk)].mean(0) for chunk in SPANS]))
    ours = encoder(pool, folder)
    others = [text for text in mixed(20) if text.strip()]

    alone = ours.encode_chunks([TEXT], [SPANS])
    awaited = await ours.aencode_chunks([TEXT], [SPANS])
    company = ours.encode_chunks(
        [*others, TEXT], [*[[(0, len(one))] for one in others], SPANS], options=CallOptions(batch_size=7)
    )

    assert np.abs(alone.need_dense().values - right).max() < TOLERANCE
    assert np.abs(awaited.need_dense().values - right).max() < TOLERANCE
    assert np.abs(company.need_dense().values[len(others) :] - right).max() < TOLERANCE
    assert alone.tokens.tolist() == [int(owned(spans, *chunk).sum()) for chunk in SPANS]
    assert alone.cut == ()


def test_sparse_weights_and_token_vectors_are_those_of_the_chunks_tokens(pool, tiny_m3):
    ours = encoder(pool, tiny_m3)
    whole = ours.encode([TEXT], outputs=ALL)
    _, spans, ids = hidden_states(tiny_m3, TEXT)
    found = ours.encode_chunks([TEXT], [SPANS], outputs=ALL)
    for place, chunk in enumerate(SPANS):
        mine = np.flatnonzero(owned(spans, *chunk))
        assert np.abs(found.need_multi()[place] - whole.need_multi()[0][mine - 1]).max() < TOLERANCE
        assert found.need_sparse()[place].keys() <= set(ids[mine].tolist())
    assert found.need_sparse()[4].keys() == whole.need_sparse()[0].keys()
    for token, weight in found.need_sparse()[4].items():
        assert abs(weight - whole.need_sparse()[0][token]) < TOLERANCE


def test_the_largest_weight_of_a_token_counts_within_its_chunk(tiny_m3):
    with ModelPool(PoolSettings(devices=("cpu",))) as own, own.lease(_source(tiny_m3)) as lease:
        ours = encoder(own, tiny_m3)
        text = "model vector model text model"
        ((ids, spans),) = lease.tokenizer.encode_spans([text])
        (outputs,) = lease.submit([TokenSequence(ids, ALL)]).result()
        found = ours.encode_chunks([text], [[(0, 18), (13, 29)]], outputs=["sparse"]).need_sparse()
        special = np.array(sorted(lease.tokenizer.special_ids), dtype=np.int32)
        for place, chunk in enumerate([(0, 18), (13, 29)]):
            mine = owned(spans, *chunk)
            expected = dict(zip(*lexical_weights(ids[mine], outputs[Output.SPARSE][mine], special)))
            assert found[place].keys() == expected.keys()
            assert all(abs(found[place][token] - weight) < TOLERANCE for token, weight in expected.items())


def test_a_chunk_over_a_whole_text_leaves_out_special_tokens_only(pool, tiny_bert_mean):
    ours = encoder(pool, tiny_bert_mean, normalize=False)
    text = "the panda eats bamboo and returns to its document " * 6
    states, spans, _ = hidden_states(tiny_bert_mean, text)
    whole = ours.encode([text]).need_dense().values[0]
    chunk = ours.encode_chunks([text], [[(0, len(text))]]).need_dense().values[0]
    count = len(states)
    special = states[(spans == 0).all(1)]
    assert len(special) == 2
    assert np.abs(whole * count - (chunk * (count - 2) + special.sum(0))).max() < 1e-3
    assert float(unit(whole) @ unit(chunk)) > 0.99
    assert not np.allclose(whole, chunk, atol=1e-4)


def test_chunks_know_their_context(pool, tiny_m3):
    ours = encoder(pool, tiny_m3)
    late = ours.encode_chunks([TEXT], [[(0, 41)]]).need_dense().values[0]
    early = ours.encode_chunks([TEXT[:41]], [[(0, 41)]]).need_dense().values[0]
    again = ours.encode_chunks([TEXT[:41] + " Something else."], [[(0, 41)]]).need_dense().values[0]
    assert not np.allclose(late, early, atol=1e-3)
    assert not np.allclose(late, again, atol=1e-3)


def test_the_prompt_is_read_but_belongs_to_no_chunk(pool, tiny_bert):
    folder, prompt = tiny_bert, "search passage: "
    states, spans, _ = hidden_states(folder, prompt + TEXT)
    shifted = [(start + len(prompt), stop + len(prompt)) for start, stop in SPANS]
    right = unit(np.stack([states[owned(spans, *chunk)].mean(0) for chunk in shifted]))
    found = encoder(pool, folder, document_instruction=prompt).encode_chunks([TEXT], [SPANS])
    assert np.abs(found.need_dense().values - right).max() < TOLERANCE


def test_a_document_longer_than_the_limit_is_read_in_passes_that_overlap(tiny_m3):
    text = " ".join(english(12))[:4000]
    with ModelPool(PoolSettings(devices=("cpu",), memo_s=0)) as own:
        ours = encoder(own, tiny_m3, max_tokens=120)
        assert len(ours.encode_chunks([text], [[]])) == 0
        windows = ours.windows([text], overlap_tokens=29)[0]
        edges = [0, *(stop for _, stop in windows)]
        straddling = [(edges[1] - 30, edges[1] + 30), (0, len(text)), (edges[2], edges[3])]
        found = ours.encode_chunks([text], [straddling], outputs=ALL)
        assert own.stats().devices[0].sequences == len(windows) > 5

    passes = []
    for (start, stop), covered in zip(windows, edges):
        states, spans, ids = hidden_states(tiny_m3, text[start:stop])
        passes.append((states, np.where(spans.any(1)[:, None], spans + start, -1), ids, covered, stop))
    for place, (start, stop) in enumerate(straddling):
        parts = [
            states[(spans[:, 0] >= 0) & owned(spans, max(start, covered), min(stop, end))]
            for states, spans, _, covered, end in passes
            if max(start, covered) < min(stop, end)
        ]
        right = unit(np.concatenate(parts).mean(0))
        assert np.abs(found.need_dense().values[place] - right).max() < TOLERANCE
        assert found.tokens[place] == sum(map(len, parts)) == len(found.need_multi()[place])


def test_only_passes_that_a_chunk_needs_are_run():
    with ModelPool(PoolSettings(devices=("cpu",), memo_s=0)) as own:
        ours = fake(own, max_tokens=50)
        text = "word " * 1000
        ours.encode_chunks([text, "unused"], [[(4000, 4004)], []])
        assert own.stats().devices[0].sequences == 1


def test_rows_follow_texts_and_their_chunks_in_the_order_given(pool):
    texts = [f"number {i} of many words here" for i in range(150)]
    spans = [[(10, 20), (0, 9)] if i % 3 else [] for i in range(150)]
    found = fake(pool).encode_chunks(texts, spans, outputs=ALL)
    assert len(found) == len(found.need_dense()) == len(found.need_sparse()) == len(found.need_multi()) == 200
    for row, index in ((0, 1), (2, 2), (198, 149)):
        alone = fake(pool).encode_chunks([texts[index]], [[(10, 20), (0, 9)]], outputs=ALL)
        assert np.allclose(alone.need_dense().values, found.need_dense().values[row : row + 2])
        assert alone.need_sparse().todicts() == [found.need_sparse()[row], found.need_sparse()[row + 1]]


def test_no_chunks_give_an_empty_encoding_with_every_output(pool):
    for texts, spans in (([], []), (["text"], [[]])):
        found = fake(pool).encode_chunks(texts, spans, outputs=ALL)
        assert (
            len(found) == len(found.need_dense()) == len(found.need_sparse()) == len(found.need_multi()) == 0
        )


@pytest.mark.parametrize("name", ["tiny_m3", "fake"])
def test_a_chunk_without_tokens_gets_the_first_one(pool, request, name):
    ours = fake(pool) if name == "fake" else encoder(pool, request.getfixturevalue(name))
    texts = ["", "  ", "one   two"]
    found = ours.encode_chunks(texts, [[(0, 0)], [(0, 2), (1, 1)], [(4, 5), (0, 3)]], outputs=ALL)
    assert found.tokens.tolist()[:4] == [1, 1, 1, 1]
    assert np.allclose(np.linalg.norm(found.need_dense().values, axis=1), 1, atol=1e-5)
    assert found.need_sparse().todicts()[:4] == [{}, {}, {}, {}]
    assert [len(one) for one in found.need_multi()][:4] == [0, 0, 0, 0]
    assert len(found.need_multi()[4]) == found.tokens[4] > 0


def test_the_first_token_of_an_empty_text_is_what_encode_gives_where_it_pools_by_it(pool, tiny_m3):
    ours = encoder(pool, tiny_m3)
    chunk = ours.encode_chunks([""], [[(0, 0)]]).need_dense().values
    assert np.allclose(chunk, ours.encode([""]).need_dense().values, atol=1e-5)


def test_dimensions_and_normalisation_are_those_of_the_settings(pool):
    full = fake(pool, normalize=False).encode_chunks([TEXT], [SPANS]).need_dense().values
    short = fake(pool, dimensions=8).encode_chunks([TEXT], [SPANS], outputs=["dense", "multi"])
    assert np.allclose(short.need_dense().values, unit(full[:, :8]), atol=1e-6)
    assert short.need_multi().dim == 8
    assert not np.allclose(np.linalg.norm(full, axis=1), 1)


def test_chunks_and_the_whole_text_do_not_meet_in_the_memo(pool, tiny_m3):
    ours = encoder(pool, tiny_m3)
    text = "a text of its own for the memo"
    whole = ours.encode([text]).need_dense().values
    first = ours.encode_chunks([text], [[(0, 6)]]).need_dense().values
    second = ours.encode_chunks([text], [[(7, 30)]]).need_dense().values
    assert not np.allclose(first, second, atol=1e-3)
    assert not np.allclose(first, whole, atol=1e-3)
    assert np.array_equal(ours.encode([text]).need_dense().values, whole)
    assert np.array_equal(ours.encode_chunks([text], [[(0, 6)]]).need_dense().values, first)


def test_dense_and_then_sparse_chunks_teach_the_memo_to_compute_both(tiny_m3):
    with ModelPool(PoolSettings(devices=("cpu",))) as own:
        ours = encoder(own, tiny_m3)
        for text in ("one text", "another text", "a third text"):
            spans = [[(0, 3), (4, len(text))]]
            dense = ours.encode_chunks([text], spans)
            sparse = ours.encode_chunks([text], spans, outputs=["sparse"])
            assert dense.sparse is None
            assert sparse.dense is None
            assert len(dense.need_dense()) == len(sparse.need_sparse()) == 2
        assert own.stats().devices[0].sequences == 4


def test_nan_is_recomputed_and_else_refused_as_for_whole_texts(pool):
    text, spans = "good and bad words", [[(0, 4), (5, 18)]]
    right = Encoder(FakeSource("sound"), pool=pool).encode_chunks([text], spans).need_dense().values
    passing = FakeSource("passing", faults=FakeFaults(nan=frozenset({"bad"})))
    found = Encoder(passing, pool=pool).encode_chunks([text], spans).need_dense().values
    assert np.array_equal(found, right)
    lasting = FakeSource("lasting", faults=FakeFaults(nan=frozenset({"bad"}), nan_also_exact=True))
    with pytest.raises(NonFiniteError):
        Encoder(lasting, pool=pool).encode_chunks([text], spans)


def test_memory_that_runs_out_halves_the_batch():
    batch = BatchSettings(max_tokens=10_000)
    with ModelPool(PoolSettings(devices=("cpu",), batch=batch, memo_s=0)) as own:
        texts = [f"number {i} of them" for i in range(40)]
        spans = [[(0, 6), (7, len(text))] for text in texts]
        right = fake(own).encode_chunks(texts, spans).need_dense().values
        tight = Encoder(FakeSource("tight", faults=FakeFaults(out_of_memory_above=30)), pool=own)
        assert np.array_equal(tight.encode_chunks(texts, spans).need_dense().values, right)
        assert own.stats().devices[0].out_of_memory > 0


def test_progress_counts_documents(pool):
    seen: list[Progress] = []
    texts = ["word " * 1500, *(f"text {i} of its own" for i in range(139))]
    spans = [[(0, 50), (5000, 7000)], *([(0, 4)] for _ in range(139))]
    fake(pool).encode_chunks(texts, spans, options=CallOptions(progress=seen.append))
    assert seen[-1] == Progress(140, 140)


async def test_many_awaited_calls_do_not_mix(pool):
    texts = [f"document {i} of many, all in company" for i in range(30)]
    spans = [[(0, 8), (9, len(text))] for text in texts]
    ours = fake(pool)
    together = ours.encode_chunks(texts, spans).need_dense().values
    found = await asyncio.gather(
        *(ours.aencode_chunks([text], [chunks]) for text, chunks in zip(texts, spans))
    )
    assert np.allclose(np.concatenate([one.need_dense().values for one in found]), together)


@pytest.mark.parametrize(
    ("spans", "error", "message"),
    [
        ([], InputError, "got 0 for 1 texts"),
        ([[], []], InputError, "got 2 for 1 texts"),
        ([[(0, 5)]], InputError, r"spans\[0\] holds \(0, 5\).* 0 to 4"),
        ([[(-1, 2)]], InputError, r"\(-1, 2\)"),
        ([[(3, 2)]], InputError, r"\(3, 2\)"),
        ([(0, 4)], InputTypeError, "pairs for each text"),
        ([["ab"]], InputTypeError, "pairs for each text"),
        (None, InputTypeError, "pairs for each text"),
    ],
)
def test_spans_that_make_no_sense_are_refused(pool, spans, error, message):
    with pytest.raises(error, match=message):
        fake(pool).encode_chunks(["text"], spans)


def test_outputs_the_checkpoint_lacks_are_refused_by_name(pool, tiny_bert):
    with pytest.raises(MissingOutputError, match="sparse"):
        encoder(pool, tiny_bert).encode_chunks(["a"], [[(0, 1)]], outputs={"sparse"})


def test_tokens_are_told_as_encode_reads_them(pool, tiny_m3):
    ours = encoder(pool, tiny_m3, document_instruction="passage ")
    texts = ["the model", "a longer text of words", ""]
    tokens = pool.drive(ours.tokens_steps(texts))
    encoding = ours.encode(texts, outputs=["multi"])
    assert [len(one) for one in tokens] == encoding.tokens.tolist()
    assert [len(one) - 1 for one in tokens] == [len(one) for one in encoding.need_multi()]
    assert (tokens[0][0], tokens[0][-1], tokens[2][-1]) == ("<s>", "</s>", "</s>")
    assert "".join(tokens[0][1:-1]).replace("▁", " ").strip() == "passage the model"
    assert len(pool.drive(encoder(pool, tiny_m3, max_tokens=4).tokens_steps(texts))[1]) == 4
