"""The published numbers are checked against each other: a slip of the pen breaks a sum, a sigmoid or a shape."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest

from bge_components.catalogue import (
    LexicalWeightsExample,
    PairScoresExample,
    RerankExample,
    SimilarityExample,
    VectorExample,
    all_checkpoints,
    find,
    published,
)
from bge_components.contracts import Output
from bge_components.vectors import sigmoid

EXAMPLES = [(entry.name, example) for entry in all_checkpoints() for example in entry.examples]


def of_kind(kind):
    return [pytest.param(example, id=name) for name, example in EXAMPLES if isinstance(example, kind)]


def test_these_checkpoints_can_be_verified():
    assert {name for name, _ in EXAMPLES} == {
        "BAAI/bge-m3",
        "BAAI/llm-embedder",
        "BAAI/bge-small-en",
        "BAAI/bge-small-en-v1.5",
        "BAAI/bge-small-zh-v1.5",
        "BAAI/bge-base-en",
        "BAAI/bge-base-en-v1.5",
        "BAAI/bge-large-en-v1.5",
        "BAAI/bge-reranker-base",
        "BAAI/bge-reranker-large",
        "BAAI/bge-reranker-v2-m3",
        "thenlper/gte-base",
        "thenlper/gte-large",
    }


def test_every_published_number_belongs_to_an_entry():
    named = {**published.EMBEDDERS, **published.RERANKERS}
    assert all(find(name) is not None for name in named)
    assert sum(len(examples) for examples in named.values()) == len(EXAMPLES)


@pytest.mark.parametrize(("name", "example"), EXAMPLES)
def test_an_example_names_its_source_and_fits_its_checkpoint(name, example):
    entry = find(name)
    assert entry is not None
    assert "@" in example.source
    assert "/" in example.source
    assert 0 < example.tolerance <= 0.05
    needed = {
        SimilarityExample: {Output.DENSE},
        VectorExample: {Output.DENSE},
        LexicalWeightsExample: {Output.SPARSE},
        PairScoresExample: {Output.DENSE, Output.SPARSE, Output.MULTI},
        RerankExample: {Output.SCORE},
    }[type(example)]
    assert needed <= entry.outputs


@pytest.mark.parametrize("example", of_kind(SimilarityExample))
def test_a_similarity_matrix_has_a_row_per_query_and_favours_its_diagonal(example):
    matrix = np.array(example.matrix)
    assert matrix.shape == (len(example.queries), len(example.passages))
    assert (matrix.argmax(axis=1) == np.arange(len(matrix))).all()
    assert np.abs(matrix).max() <= 1


@pytest.mark.parametrize("example", of_kind(PairScoresExample))
def test_the_fused_scores_of_m3_are_the_weighted_sums_of_the_others(example):
    dense, sparse, multi = (np.array(scores) for scores in (example.dense, example.sparse, example.multi))
    w_dense, w_sparse, w_multi = example.weights
    pair = (w_dense * dense + w_sparse * sparse) / (w_dense + w_sparse)
    fused = (w_dense * dense + w_sparse * sparse + w_multi * multi) / sum(example.weights)
    np.testing.assert_allclose(example.sparse_dense, pair, atol=3e-4)  # they were summed in fp16
    np.testing.assert_allclose(example.all, fused, atol=3e-4)
    assert len(example.pairs) == len(dense)


def test_the_pair_scores_of_m3_agree_with_its_similarity_matrix():
    similarity, _, pairs = published.BGE_M3
    assert isinstance(similarity, SimilarityExample)
    assert isinstance(pairs, PairScoresExample)
    assert pairs.pairs == tuple((q, p) for q in similarity.queries for p in similarity.passages)
    np.testing.assert_allclose(np.ravel(similarity.matrix), pairs.dense, atol=similarity.tolerance)


def test_a_lexical_score_of_m3_can_be_had_from_shared_tokens_only():
    _, lexical, _ = published.BGE_M3
    assert isinstance(lexical, LexicalWeightsExample)
    first, second = lexical.weights
    assert not first.keys() & second.keys()  # printed: the score of the two queries is 0.0
    assert [text for text in lexical.texts if "".join(first) in text.replace(" ", "")] == [lexical.texts[0]]


@pytest.mark.parametrize("example", of_kind(RerankExample))
def test_the_sigmoids_of_a_reranker_are_those_of_its_logits(example):
    assert len(example.raw) == len(example.pairs)
    if example.sigmoid:
        np.testing.assert_allclose(sigmoid(np.array(example.raw)), example.sigmoid, rtol=1e-5)


@pytest.mark.parametrize("example", of_kind(VectorExample))
def test_the_first_dimensions_can_belong_to_a_unit_vector(example):
    assert len(example.first) == 5
    assert 0 < np.linalg.norm(example.first) < 1
    assert (example.text, example.role) == ("hello world", "document")


def test_examples_are_frozen_and_without_free_fields():
    for _, example in EXAMPLES:
        assert {"source", "tolerance"} <= {item.name for item in fields(example)}
        with pytest.raises(AttributeError):
            example.tolerance = 1.0
