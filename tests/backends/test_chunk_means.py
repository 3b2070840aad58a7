"""Dense vectors of chunks, held against means of the hidden states that transformers gives."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from bge_components.backends.fake import FakeModel, fake_checkpoint
from bge_components.contracts import Output, TokenSequence
from bge_components.errors import InputError
from support import tiny

from .sequences import DENSE, largest_difference, load, random_ids, sequences

EVERY = frozenset({Output.DENSE, Output.SPARSE, Output.MULTI})


def chunked(ids: np.ndarray, *ranges: tuple[int, int], outputs: frozenset[Output] = DENSE) -> TokenSequence:
    return TokenSequence(ids, outputs, chunks=np.array(ranges, dtype=np.int32).reshape(-1, 2))


def batch_of(vocabulary: int) -> list[TokenSequence]:
    """Sequences with chunks that touch, overlap, cover all or a single token, and not in order."""
    short, long, middle, other = random_ids([5, 120, 33, 33], vocabulary)
    return [
        chunked(long, (1, 40), (30, 90), (90, 119), (0, 120)),
        chunked(short, (1, 4)),
        chunked(middle, (20, 32), (1, 2), (2, 20)),
        chunked(other, (1, 32)),
    ]


def references(folder: Path, batch: list[TokenSequence]) -> list[np.ndarray]:
    from transformers import AutoModel

    network = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    found = []
    for sequence in batch:
        with torch.no_grad():
            hidden = network(torch.tensor(sequence.ids[None]).long()).last_hidden_state[0]
        found.append(np.stack([hidden[a:b].mean(0).numpy() for a, b in sequence.chunks]))
    return found


@pytest.fixture
def camembert(tmp_path: Path) -> Path:
    """RoBERTa under another name: an architecture that only transformers runs."""
    folder = tiny.m3(tmp_path, heads=(), weights="safetensors")
    config = json.loads((folder / "config.json").read_text())
    config |= {"model_type": "camembert", "architectures": ["CamembertModel"]}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize(
    "name", ["tiny_bert", "tiny_bert_mean", "tiny_roberta", "tiny_m3", "tiny_modernbert", "camembert"]
)
def test_a_chunk_is_the_mean_of_transformers_own_hidden_states(name: str, request) -> None:
    folder = request.getfixturevalue(name)
    model = load(folder)
    batch = batch_of(model._vocabulary)
    company = sequences(random_ids([7, 33, 120, 1], model._vocabulary, seed=1))
    right = references(folder, batch)

    alone = [model.run([one])[0][Output.DENSE] for one in batch]
    together = model.run([company[0], *batch, *company[1:]])

    for place, expected in enumerate(right):
        assert alone[place].shape == expected.shape
        assert np.abs(alone[place] - expected).max() < 2e-5
        assert np.abs(together[place + 1][Output.DENSE] - expected).max() < 2e-5
    assert largest_difference([together[0], *together[5:]], model.run(company)) < 1e-5


def test_one_chunk_over_all_tokens_is_mean_pooling(tiny_bert_mean: Path) -> None:
    model = load(tiny_bert_mean)
    (ids,) = random_ids([33], model._vocabulary)
    whole, chunk = model.run([TokenSequence(ids, DENSE), chunked(ids, (0, 33))])
    assert np.abs(chunk[Output.DENSE][0] - whole[Output.DENSE]).max() < 1e-6


def test_other_outputs_stay_per_token(tiny_m3: Path) -> None:
    model = load(tiny_m3)
    (ids,) = random_ids([30], model._vocabulary)
    plain, with_chunks = model.run([TokenSequence(ids, EVERY), chunked(ids, (1, 9), (9, 29), outputs=EVERY)])
    assert with_chunks.keys() == EVERY
    assert with_chunks[Output.DENSE].shape == (2, 64)
    for output in (Output.SPARSE, Output.MULTI):
        assert np.abs(with_chunks[output] - plain[output]).max() < 1e-6
    (sparse_only,) = model.run([chunked(ids, (1, 9), outputs=frozenset({Output.SPARSE}))])
    assert sparse_only.keys() == {Output.SPARSE}


def test_exact_means_chunks_in_fp32_too(tiny_m3: Path) -> None:
    model = load(tiny_m3, "bfloat16")
    batch = batch_of(model._vocabulary)
    found = model.run(batch, exact=True)
    upcast = load(tiny_m3)
    upcast._network = model._network.in_fp32()
    assert largest_difference(found, upcast.run(batch)) < 1e-5
    assert all(one[Output.DENSE].dtype == np.float32 for one in model.run(batch))


def test_arrays_of_chunks_are_their_own(tiny_bert: Path) -> None:
    model = load(tiny_bert)
    for one in model.run(batch_of(model._vocabulary)):
        array = one[Output.DENSE]
        assert array.flags.c_contiguous
        assert array.base is None or array.base.nbytes == array.nbytes
    (none,) = model.run([chunked(random_ids([4], model._vocabulary)[0])])
    assert none[Output.DENSE].shape == (0, 64)


@pytest.mark.parametrize("wrong", [(0, 0), (3, 2), (-1, 2), (1, 5)])
def test_chunks_beyond_the_text_or_without_tokens_are_refused(tiny_bert: Path, wrong) -> None:
    ids = np.array([5, 6, 7, 8], np.int32)
    with pytest.raises(InputError, match=rf"4 tokens must be .* got \[{wrong[0]}, {wrong[1]}\]"):
        load(tiny_bert).run([chunked(ids, (0, 4), wrong)])


def test_chunks_of_the_wrong_shape_are_refused(tiny_bert: Path) -> None:
    ids = np.array([5, 6, 7, 8], np.int32)
    flat = TokenSequence(ids, DENSE, chunks=np.array([0, 4], np.int32))
    with pytest.raises(InputError, match=r"shape \[2\]"):
        load(tiny_bert).run([flat])


def test_the_fake_means_its_token_vectors() -> None:
    model = FakeModel(fake_checkpoint("fake"))
    (ids,), _ = model.tokenizer.encode(["one two three four"], 64)
    outputs = frozenset({Output.DENSE, Output.MULTI})
    plain, found = model.run([TokenSequence(ids, outputs), chunked(ids, (1, 3), (0, 6), outputs=outputs)])
    assert np.allclose(found[Output.DENSE][0], plain[Output.MULTI][:2].mean(0), atol=1e-6)
    assert np.allclose(found[Output.DENSE][1], plain[Output.DENSE], atol=1e-6)
