"""The tiny checkpoints are what they claim: real layouts that the stock libraries load, equal on each build."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from support import corpus, tiny

BUILDERS: dict[str, Callable[[Path], Path]] = {
    "bert": tiny.bert_embedder,
    "bert-mean": lambda folder: tiny.bert_embedder(folder, "mean"),
    "roberta": tiny.roberta_embedder,
    "m3": tiny.m3,
    "m3-safetensors": lambda folder: tiny.m3(folder, heads_format="safetensors", weights="safetensors"),
    "xlmr-reranker": tiny.xlmr_reranker,
    "bert-reranker": tiny.bert_reranker,
    "modernbert": tiny.modernbert_embedder,
}
EMBEDDERS = [name for name in BUILDERS if not name.endswith("reranker")]
RERANKERS = [name for name in BUILDERS if name.endswith("reranker")]
TEXTS = [
    "The panda is a bear.",
    "What is the capital of France?",
    "法国的首都是巴黎。",
    "Represent this sentence for searching relevant passages: " * 5,
]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("checkpoints")
    return {name: build(root / name) for name, build in BUILDERS.items()}


@pytest.mark.parametrize("name", BUILDERS)
def test_building_a_checkpoint_twice_gives_the_same_bytes(name, folders, tmp_path):
    again = BUILDERS[name](tmp_path / name)
    first = _contents(folders[name])
    assert _contents(again) == first
    assert sum(map(len, first.values())) < 1_500_000


@pytest.mark.parametrize("name", EMBEDDERS)
def test_sentence_transformers_loads_an_embedder_and_tells_texts_apart(name, folders):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folders[name]), device="cpu")
    vectors = model.encode(TEXTS)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    similarity = vectors @ vectors.T
    assert similarity[~np.eye(len(TEXTS), dtype=bool)].max() < 0.97
    assert model[1].pooling_mode == ("mean" if name in ("bert-mean", "roberta") else "cls")


@pytest.mark.parametrize("name", RERANKERS)
def test_sentence_transformers_loads_a_reranker_and_tells_pairs_apart(name, folders):
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(folders[name]), device="cpu", activation_fn=torch.nn.Identity())
    scores = model.predict([(TEXTS[1], text) for text in TEXTS])
    assert np.isfinite(scores).all()
    assert scores.std() > 0.1


@pytest.mark.parametrize("name", BUILDERS)
def test_every_tensor_of_the_network_is_in_the_file(name, folders):
    from transformers import AutoModel, AutoModelForSequenceClassification

    loader = AutoModelForSequenceClassification if name in RERANKERS else AutoModel
    options = {} if name in RERANKERS or name == "modernbert" else {"add_pooling_layer": True}
    _, report = loader.from_pretrained(folders[name], output_loading_info=True, **options)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]


@pytest.mark.parametrize("name", BUILDERS)
def test_transformers_reads_texts_and_pairs_as_the_tokenizer_file_says(name, folders):
    from transformers import AutoTokenizer

    stock = AutoTokenizer.from_pretrained(folders[name])
    plain = Tokenizer.from_file(str(folders[name] / "tokenizer.json"))
    for text in corpus.mixed(60):
        assert stock(text)["input_ids"] == plain.encode(text).ids
        assert stock(TEXTS[1], text)["input_ids"] == plain.encode(TEXTS[1], text).ids


@pytest.mark.parametrize("name", BUILDERS)
def test_few_tokens_of_ordinary_text_are_unknown(name, folders):
    tokenizer = Tokenizer.from_file(str(folders[name] / "tokenizer.json"))
    unknown = {"[UNK]", "<unk>"}
    tokens = [token for text in TEXTS[:2] for token in tokenizer.encode(text).tokens]
    assert not unknown.intersection(tokens)


def test_m3_heads_are_half_precision_and_the_same_in_both_formats(folders):
    from safetensors.torch import load_file

    for head, rows in (("sparse_linear", 1), ("colbert_linear", 64)):
        pt = torch.load(folders["m3"] / f"{head}.pt", weights_only=True)
        st = load_file(folders["m3-safetensors"] / f"{head}.safetensors")
        assert {name: tuple(tensor.shape) for name, tensor in pt.items()} == {
            "weight": (rows, 64),
            "bias": (rows,),
        }
        assert all(
            tensor.dtype == torch.float16 and torch.equal(tensor, st[name]) for name, tensor in pt.items()
        )


def test_heads_can_be_left_out(tmp_path):
    folder = tiny.m3(tmp_path / "m3", heads=("multi",), multi_width=16)
    assert not (folder / "sparse_linear.pt").exists()
    assert torch.load(folder / "colbert_linear.pt", weights_only=True)["weight"].shape == (16, 64)


def test_local_layers_of_modernbert_see_a_window_that_texts_exceed(folders):
    from transformers import AutoConfig

    config = AutoConfig.from_pretrained(folders["modernbert"])
    tokenizer = Tokenizer.from_file(str(folders["modernbert"] / "tokenizer.json"))
    assert config.layer_types == ["full_attention", "sliding_attention"] * 2
    assert len(tokenizer.encode(TEXTS[3]).ids) > 2 * config.local_attention


def test_the_corpus_is_large_mixed_and_stable():
    texts = corpus.mixed(1000)
    assert len(set(texts)) == 1000
    assert texts == corpus.mixed(1000)
    lengths = sorted(map(len, texts))
    assert lengths[0] < 10
    assert lengths[-1] > 3000
    assert set(corpus.CHINESE) | set(corpus.ODD) <= set(texts)


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
