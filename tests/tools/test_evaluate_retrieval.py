"""The yardstick gives the numbers that can be worked out by hand."""

from __future__ import annotations

import json
from math import log2

import numpy as np
import pytest
from evaluate_retrieval import mean_ndcg, ndcg, read_set, stock_encoder

from support import tiny


@pytest.fixture
def folder(tmp_path):
    passages = [("a", "Alpha", "one"), ("b", "", "two"), ("c", "Gamma", "three")]
    corpus = [json.dumps({"_id": i, "title": title, "text": text}) for i, title, text in passages]
    queries = [json.dumps({"_id": i, "text": text}) for i, text in (("q", "find"), ("unjudged", "other"))]
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text("\n".join(corpus), encoding="utf-8")
    (tmp_path / "queries.jsonl").write_text("\n".join(queries), encoding="utf-8")
    judged = "query-id\tcorpus-id\tscore\nq\ta\t1\nq\tc\t2\n"
    (tmp_path / "qrels" / "test.tsv").write_text(judged, encoding="utf-8")
    return tmp_path


def test_a_set_holds_titled_passages_and_judged_queries_only(folder):
    data = read_set(folder)
    assert data.passages == {"a": "Alpha one", "b": "two", "c": "Gamma three"}
    assert data.queries == {"q": "find"}
    assert data.judged == {"q": {"a": 1, "c": 2}}


def test_gain_is_linear_and_discounted_by_rank():
    assert ndcg(["c", "a", "b"], {"a": 1, "c": 2}) == pytest.approx(1)
    assert ndcg(["b", "a", "c"], {"a": 1, "c": 2}) == pytest.approx((1 / log2(3) + 2 / 2) / (2 + 1 / log2(3)))
    assert ndcg(["b"], {"a": 1}) == 0


def test_passages_are_ranked_by_inner_product_with_the_query(folder):
    places = {"Alpha one": 0.1, "two": 0.9, "Gamma three": 0.5, "find": 1.0}

    def encode(texts):
        return np.array([[places[text], 1.0] for text in texts], dtype=np.float32)

    expected = (2 / log2(3) + 1 / 2) / (2 + 1 / log2(3))
    assert mean_ndcg(read_set(folder), encode) == pytest.approx(expected)


def test_a_query_encoder_of_its_own_is_used_for_queries(folder):
    def passages(texts):
        return np.eye(3, dtype=np.float32)[: len(texts)]

    def queries(texts):
        assert texts == ["find"]
        return np.array([[0.5, 0.0, 1.0]], dtype=np.float32)

    assert mean_ndcg(read_set(folder), passages, encode_queries=queries) == pytest.approx(1)


def test_only_the_first_ranks_count(folder):
    def encode(texts):
        return np.array([[1.0 + ("two" in text)] for text in texts], dtype=np.float32)

    assert mean_ndcg(read_set(folder), encode, depth=1) == 0


def test_the_stock_encoder_agrees_with_sentence_transformers(tmp_path):
    from sentence_transformers import SentenceTransformer

    checkpoint = tiny.bert_embedder(tmp_path / "bert", "mean")
    texts = ["The panda is a bear.", "one", "a longer text about the capital of France " * 60]
    expected = SentenceTransformer(str(checkpoint), device="cpu").encode(texts)
    assert np.abs(stock_encoder(checkpoint, max_tokens=512)(texts) - expected).max() < 1e-5


def test_weights_that_are_missing_are_named(tmp_path):
    from safetensors.torch import load_file, save_file

    checkpoint = tiny.bert_embedder(tmp_path / "bert")
    tensors = load_file(checkpoint / "model.safetensors")
    del tensors["encoder.layer.1.output.dense.weight"]
    save_file(tensors, checkpoint / "model.safetensors")
    with pytest.raises(ValueError, match=r"encoder\.layer\.1\.output\.dense\.weight"):
        stock_encoder(checkpoint)
