from __future__ import annotations

import json
from pathlib import Path

import pytest

from bge_components.assembly import ModelArguments, make_encoder
from bge_components.cli.documents import documents_from
from bge_components.retrieval import HybridIndex

pytest.importorskip("qdrant_edge")
CORPUS = [
    {"id": "bread", "text": "Knead the dough, let it rise, and bake the loaf.", "lang": "en", "year": 2001},
    {
        "id": "law",
        "text": "The parliament passed the budget after a long debate.",
        "lang": "en",
        "year": 2020,
    },
    {"id": "cats", "text": "A kitten sleeps sixteen hours a day.", "lang": "en", "year": 2024},
    {"id": "katzen", "text": "Eine Katze schläft sechzehn Stunden am Tag.", "lang": "de", "year": 2024},
]


def rows(output: str) -> list[dict]:
    return [json.loads(line) for line in output.splitlines()]


def ids(result) -> list[str]:
    (answer,) = rows(result.stdout)
    return [hit["id"] for hit in answer["hits"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """An index over the packaged checkpoint: dense, token vectors, words."""
    folder = tmp_path_factory.mktemp("search")
    (folder / "corpus.jsonl").write_text("\n".join(map(json.dumps, CORPUS)))
    with HybridIndex.open(folder / "idx", make_encoder("mini")) as index:
        index.add(documents_from([folder / "corpus.jsonl"]))
    return folder


@pytest.fixture(scope="module")
def idx(folder) -> Path:
    return folder / "idx"


def test_what_one_process_indexed_another_one_finds_without_being_told_the_model(shell):
    corpus = "\n".join(map(json.dumps, CORPUS))
    done = shell(
        "$BGE index idx - --model mini --json <<'END' >made.json\n" + corpus + "\nEND\n"
        "$BGE search idx 'How do I bake a loaf?' --json"
    )
    assert done.returncode == 0, done.stderr
    assert rows(done.stdout)[0]["hits"][0]["id"] == "bread"


def test_a_checkpoint_in_a_folder_is_found_again_from_anywhere(bge, tmp_path, tiny_m3, monkeypatch):
    monkeypatch.chdir(tiny_m3.parent)
    made = bge(
        "index", tmp_path / "idx", "-", "--model", f"./{tiny_m3.name}", stdin="one text\nand another\n"
    )
    assert made.exit_code == 0, made.stderr
    monkeypatch.chdir(tmp_path)
    found = bge("search", "idx", "one text", "--json", "--explain")
    assert found.exit_code == 0, found.stderr
    assert rows(found.stdout)[0]["hits"][0]["text"] == "one text"


def test_hits_tell_their_rank_score_text_metadata_and_channels(bge, idx):
    (answer,) = rows(bge("search", idx, "How do I bake bread?", "-k", "2", "--json").stdout)
    assert answer["query"] == "How do I bake bread?"
    first = answer["hits"][0]
    assert (first["rank"], first["id"], first["metadata"]["year"]) == (1, "bread", 2001)
    assert first["channels"].keys() == {"dense", "multi", "bm25"}
    assert first["channels"]["dense"]["rank"] == 1
    assert first["score"] == first["fused"] >= answer["hits"][1]["score"]
    assert first["reranked"] is None


def test_several_questions_are_answered_in_order_also_from_stdin(bge, idx):
    both = ("baking bread", "sleeping cats")
    named = rows(bge("search", idx, *both, "-k", "1", "--json").stdout)
    piped = rows(bge("search", idx, "-", "-k", "1", "--json", stdin="\n".join(both)).stdout)
    assert [answer["hits"][0]["id"] for answer in named] == ["bread", "cats"]
    assert [answer["query"] for answer in piped] == list(both)


def test_filters_choose_by_metadata(bge, idx):
    found = bge("search", idx, "sleeping cats", "--filter", '{"lang": "de"}', "--json")
    assert ids(found) == ["katzen"]
    found = bge("search", idx, "cats", "--filter", '{"year": {"$gte": 2002, "$lt": 2021}}', "--json")
    assert ids(found) == ["law"]


def test_the_plan_is_chosen_by_options(bge, idx):
    (alone,) = rows(bge("search", idx, "cats", "--channels", "dense", "--json").stdout)
    assert alone["hits"][0]["channels"].keys() == {"dense"}
    (late,) = rows(bge("search", idx, "cats", "--channels", "dense,multi", "--json").stdout)
    assert late["hits"][0]["channels"].keys() == {"dense", "multi"}
    for options in (
        ("--fusion", "rrf", "--weights", "dense=2,bm25=0.5"),
        ("--fusion", "min-max", "--weights", "multi=0"),
        ("--diverse", "0.3", "-k", "2"),
    ):
        assert ids(bge("search", idx, "sleeping cats", *options, "--json"))[0] == "cats"


def test_a_reranker_scores_last_and_a_threshold_is_on_its_scale(bge, idx):
    (answer,) = rows(bge("search", idx, "sleeping cats", "--rerank", "mini", "--json").stdout)
    scores = [hit["reranked"] for hit in answer["hits"]]
    assert scores == [hit["score"] for hit in answer["hits"]] == sorted(scores, reverse=True)
    least = str((scores[0] + scores[1]) / 2)
    assert ids(bge("search", idx, "sleeping cats", "--rerank", "mini", "--threshold", least, "--json")) == [
        "cats"
    ]


def test_an_explanation_marks_the_shared_words_and_draws_a_bar_for_each_channel(bge, idx):
    result = bge("search", idx, "Where do they bake loaves?", "-k", "2", "--explain")
    assert result.exit_code == 0
    assert "Knead the dough, let it rise, and [bake] the loaf." in result.stdout
    best = result.stdout.split("\n2 ")[0]
    for name in ("dense", "bm25", "multi", "fused"):
        (line,) = (line for line in best.splitlines() if line.strip().startswith(name))
        assert "█" * 30 in line
    assert "bake → bake" in best
    assert "loaves → loaf" in best
    assert "\x1b" not in result.stdout


def test_an_explanation_as_json_tells_shared_words_and_tokens_that_met(bge, idx):
    (answer,) = rows(bge("search", idx, "bake loaf", "-k", "1", "--explain", "--json").stdout)
    (hit,) = answer["hits"]
    assert {match["token"] for match in hit["matched"]["bm25"]} == {"bake", "loaf"}
    assert ["loaf", "loaf"] in [pair[:2] for pair in hit["met"]]


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (["--filter", '{"lang": "xx"}'], "nothing was found: no document meets --filter"),
        (["-k", "0"], "nothing was asked for: --top-k is 0"),
        (["--threshold", "7"], "nothing was found: the best score is 0."),
        (["--threshold", "7", "--explain"], ", and --threshold is 7"),
    ],
)
def test_why_nothing_was_found_is_said(bge, idx, options, why):
    result = bge("search", idx, "cats", *options)
    assert result.exit_code == 0
    assert why in result.stdout


def test_an_empty_index_is_said_to_be_empty(bge, tmp_path):
    with HybridIndex.open(tmp_path / "idx", make_encoder("mini")) as index:
        index.delete(["nothing"])
    assert "the index is empty" in bge("search", tmp_path / "idx", "cats").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--filter", '{"lang":'], "is not JSON"),
        (["--filter", "[1]"], "must be a JSON object"),
        (["--filter", '{"lang": {"$near": 1}}'], "$near"),
        (["--channels", "sparse"], "this index keeps dense, multi, bm25"),
        (["--channels", "multi"], "name another channel"),
        (["--weights", "dense"], "dense=1,sparse=0.5"),
        (["--weights", "sparse=1"], "this index keeps dense, multi, bm25"),
        (["--fusion", "m3", "--weights", "dense=1"], "leave out --weights"),
    ],
)
def test_what_cannot_be_searched_is_exit_code_2(bge, idx, arguments, message):
    result = bge("search", idx, "cats", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


def test_another_model_is_refused_with_what_differs(bge, idx, tiny_bert):
    result = bge("search", idx, "cats", "--model", tiny_bert)
    assert (result.exit_code, result.stdout) == (2, "")
    assert "made with another encoder" in result.stderr
    assert "'mini'" in result.stderr
    assert tiny_bert.name in result.stderr


def test_another_name_is_refused_before_it_is_looked_for(bge, idx, folder):
    offline = ("--model", "BAAI/bge-small-en-v1.5", "--offline", "--cache-folder", folder / "cache")
    for result in (
        bge("search", idx, "cats", *offline),
        bge("index", idx, folder / "corpus.jsonl", *offline),
    ):
        assert (result.exit_code, result.stdout) == (2, "")
        assert "the index was made with 'mini', and --model names 'BAAI/bge-small-en-v1.5'" in result.stderr
        assert "hub" not in result.stderr
    assert bge("search", idx, "cats", "--model", "mini").exit_code == 0


def test_an_index_made_with_other_encoder_settings_is_searched_with_them(bge, tmp_path):
    from bge_components.encoders import EncoderSettings

    settings = EncoderSettings(dimensions=16, query_instruction="search: ")
    encoder = make_encoder(ModelArguments(model="mini"), settings)
    with HybridIndex.open(tmp_path / "idx", encoder) as index:
        index.add(["a text"])
    result = bge("search", tmp_path / "idx", "a text", "--json")
    assert result.exit_code == 0, result.stderr
    assert len(rows(result.stdout)[0]["hits"]) == 1


def test_a_folder_without_an_index_is_exit_code_2_and_stays_as_it_is(bge, tmp_path):
    result = bge("search", tmp_path / "nothing", "cats")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "there is no index in" in result.stderr
    assert not (tmp_path / "nothing").exists()
