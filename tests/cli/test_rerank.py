from __future__ import annotations

import json

import pytest

from bge_components.assembly import ModelArguments, make_reranker
from bge_components.rerankers import RerankerSettings

MINI = ("--model", "mini", "--dtype", "float32")
QUERY = "How do I bake bread?"
TEXTS = [
    "The parliament passed the budget.",
    "Knead the dough, let it rise, and bake the loaf for forty minutes.",
    "Bread is sold on the corner.",
]


def rows(output: str) -> list[dict]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture(scope="module")
def ranking():
    arguments = ModelArguments(model="mini", dtype="float32")
    return make_reranker(arguments, RerankerSettings()).rank(QUERY, TEXTS)


def test_texts_come_back_best_first_with_rank_id_score_and_text(bge, ranking):
    result = bge("rerank", *MINI, "--query", QUERY, stdin="\n".join(TEXTS))
    assert result.exit_code == 0
    found = rows(result.stdout)
    assert [row["rank"] for row in found] == [1, 2, 3]
    assert [row["id"] for row in found] == list(ranking.indices)
    assert [row["score"] for row in found] == pytest.approx(ranking.scores.tolist(), abs=1e-5)
    assert found[-1]["text"] == TEXTS[0]


def test_only_the_best_are_kept_by_number_and_by_threshold(bge, ranking):
    best = rows(bge("rerank", *MINI, "-q", QUERY, "--top-n", "1", stdin="\n".join(TEXTS)).stdout)
    assert [row["id"] for row in best] == [ranking.indices[0]]
    threshold = str(float(ranking.scores[1]) - 1e-3)
    good = rows(bge("rerank", *MINI, "-q", QUERY, "--threshold", threshold, stdin="\n".join(TEXTS)).stdout)
    assert [row["id"] for row in good] == list(ranking.indices[:2])


def test_raw_scores_keep_the_order(bge, ranking):
    raw = rows(
        bge("rerank", *MINI, "-q", QUERY, "--scores", "raw", "--no-text", stdin="\n".join(TEXTS)).stdout
    )
    assert [row["id"] for row in raw] == list(ranking.indices)
    assert raw[0]["score"] != pytest.approx(float(ranking.scores[0]), abs=1e-3)
    assert all(row.keys() == {"rank", "id", "score"} for row in raw)


def test_equal_texts_keep_their_order(bge):
    found = rows(bge("rerank", *MINI, "-q", QUERY, stdin="\n".join([TEXTS[1]] * 4)).stdout)
    assert [row["id"] for row in found] == [0, 1, 2, 3]


def test_no_text_gives_nothing_and_loads_nothing(bge):
    result = bge("rerank", "-q", QUERY, "--model", "./nowhere", stdin="")
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no texts came in" in result.stderr


def test_a_checkpoint_that_cannot_rerank_is_refused_with_advice(bge, tiny_bert):
    result = bge("rerank", "-q", QUERY, "--model", tiny_bert, stdin="one\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "bge-reranker-v2-m3" in result.stderr


def test_a_cross_encoder_in_a_folder_reranks(bge, tiny_reranker):
    expected = make_reranker(ModelArguments(model=str(tiny_reranker), dtype="float32")).rank(QUERY, TEXTS)
    result = bge(
        "rerank", "-q", QUERY, "--model", tiny_reranker, "--dtype", "float32", stdin="\n".join(TEXTS)
    )
    found = rows(result.stdout)
    assert [row["id"] for row in found] == list(expected.indices)
    assert [row["score"] for row in found] == pytest.approx(expected.scores.tolist(), abs=1e-5)
