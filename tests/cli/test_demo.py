from __future__ import annotations

import json
from pathlib import Path

import pytest

from bge_components.cli.demo.command import QUESTIONS


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    (folder / "deep" / ".hidden").mkdir(parents=True)
    (folder / "bread.md").write_text(
        "# Bread\n\nKnead the dough, let it rise, and bake the loaf for forty minutes."
    )
    (folder / "deep" / "law.txt").write_text("The parliament passed the budget after a long debate.")
    (folder / "deep" / "cats.html").write_text("<h1>Cats</h1><p>A kitten sleeps sixteen hours a day.</p>")
    (folder / "deep" / ".hidden" / "secret.txt").write_text("Hidden bread recipe.")
    (folder / "picture.png").write_bytes(b"\x89PNG\x00")
    return folder


def test_the_default_questions_find_their_answers_in_the_installed_packages_without_a_network(shell):
    done = shell("$BGE demo --json", OMP_NUM_THREADS="1")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert [one["query"] for one in report["questions"]] == list(QUESTIONS)
    assert report["passages"] > 500
    first = {
        stage: [one[stage][0]["source"] + one[stage][0]["text"] for one in report["questions"]]
        for stage in ("dense", "hybrid", "reranked")
    }
    answers = ("torch", "ceil_mode", "padding_idx", "idna", "markupsafe")
    assert all(answer in found for answer, found in zip(answers, first["reranked"]))
    for number in (1, 2):  # a name that dense vectors overlook, and words find
        assert answers[number] not in first["dense"][number]
        assert answers[number] in first["hybrid"][number]
    for number in (0, 3):  # what only reading question and passage together finds
        assert answers[number] not in first["hybrid"][number]


def test_own_documents_answer_own_questions(bge, docs):
    result = bge(
        "demo", "--docs", docs, "-q", "How do I bake bread?", "-q", "How long do cats sleep?", "--json"
    )
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["passages"] == report["sources"] == 3
    bread, cats = report["questions"]
    assert bread["reranked"][0]["source"] == "bread.md"
    assert cats["reranked"][0]["text"] == "cats, Cats: A kitten sleeps sixteen hours a day."


def test_three_ways_are_reported_with_scores_ranks_and_times(bge, docs):
    report = json.loads(bge("demo", "--docs", docs, "-q", "budget", "--top-n", "2", "--json").stdout)
    (answer,) = report["questions"]
    assert report["channels"] == ["dense", "bm25"]
    for before, stage in ((None, "dense"), ("dense", "hybrid"), ("hybrid", "reranked")):
        found = answer[stage]
        assert len(found) == 2
        assert found[0]["score"] >= found[1]["score"]
        assert answer[f"{stage}_ms"] > 0
        for one in found:
            if before is None:
                assert one["rank_before"] is None
            elif one["rank_before"] <= 2:
                assert answer[before][one["rank_before"] - 1]["text"] == one["text"]
    assert report["passages_per_s"] > 0


def test_sparse_vectors_take_the_place_of_words_where_the_encoder_gives_them(bge, docs):
    result = bge("demo", "--docs", docs, "-q", "bread", "--backend", "fake", "--json")
    assert json.loads(result.stdout)["channels"] == ["dense", "sparse"]


def test_people_see_three_ways_side_by_side_and_what_mini_is(bge, docs):
    result = bge("demo", "--docs", docs, "-q", "How do I bake bread?")
    assert result.exit_code == 0
    for title in ("dense alone", "hybrid: dense + bm25", "hybrid + rerank"):
        assert title in result.stdout
    assert "[bread.md]" in result.stdout
    assert "against the column to the left" in result.stdout
    assert "BAAI/bge-m3" in result.stderr
    assert "stand-in" in result.stderr


def test_a_passage_with_square_brackets_is_shown_as_it_is(bge, tmp_path):
    (tmp_path / "a.txt").write_text("Use [bold]brackets[/bold] and [/] freely.")
    result = bge("demo", "--docs", tmp_path, "-q", "brackets", "--backend", "fake")
    assert "[bold]brackets[/bold] and [/]" in result.stdout


def test_the_limit_bounds_what_is_searched(bge, docs):
    report = json.loads(
        bge("demo", "--docs", docs, "-q", "x", "--limit", "2", "--backend", "fake", "--json").stdout
    )
    assert report["passages"] == 2


def test_a_folder_without_text_is_exit_code_2(bge, tmp_path):
    result = bge("demo", "--docs", tmp_path, "-q", "x")
    assert result.exit_code == 2
    assert "no text files" in result.stderr


def test_a_file_that_is_no_text_is_left_out_with_a_warning(bge, docs):
    (docs / "broken.txt").write_bytes(b"\xff\xfe\x00")
    result = bge("demo", "--docs", docs, "-q", "x", "--backend", "fake", "--json")
    assert result.exit_code == 0
    assert "left out" in result.stderr
    assert json.loads(result.stdout)["passages"] == 3


def test_another_reranker_is_used_where_named(bge, docs, tiny_reranker):
    result = bge("demo", "--docs", docs, "-q", "x", "--reranker", tiny_reranker, "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert report["reranker"]["name"] == str(tiny_reranker)
    assert report["model"]["name"] == "mini"
