from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers

from bge_components.assembly import ModelArguments, make_encoder
from bge_components.encoders import pair_scores

PAIRS = [["a question", "an answer to it"], ["a question", "something else entirely"]]


@pytest.fixture
def examples(tmp_path: Path):
    def write(*items: object) -> Path:
        path = tmp_path / "examples.json"
        path.write_text(json.dumps(items))
        return path

    return write


@pytest.fixture
def stock_logits(tiny_reranker: Path) -> list[float]:
    """What transformers gives for the pairs."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_reranker)
    model = transformers.AutoModelForSequenceClassification.from_pretrained(
        tiny_reranker, dtype=torch.float32
    ).eval()
    with torch.inference_mode():
        return [float(model(**tokenizer(*pair, return_tensors="pt")).logits) for pair in PAIRS]


def test_a_checkpoint_that_gives_the_expected_numbers_passes(bge, tiny_reranker, examples, stock_logits):
    file = examples({"kind": "rerank", "pairs": PAIRS, "raw": stock_logits, "tolerance": 1e-4})
    result = bge("verify", tiny_reranker, "--examples", file)
    assert result.exit_code == 0, result.output
    assert "passed: 2 of 2 numbers agree" in result.stdout


def test_one_number_that_differs_is_exit_code_1_and_shown(bge, tiny_reranker, examples, stock_logits):
    wrong = [stock_logits[0], stock_logits[1] + 0.01]
    file = examples({"kind": "rerank", "pairs": PAIRS, "raw": wrong, "tolerance": 1e-4})
    result = bge("verify", tiny_reranker, "--examples", file)
    assert result.exit_code == 1
    assert result.stdout.count("DIFFERS") == 1
    assert "FAILED: 1 of 2 numbers agree, largest difference 0.01" in result.stdout


def test_the_report_as_json_holds_both_numbers(bge, tiny_reranker, examples, stock_logits):
    file = examples({"kind": "rerank", "pairs": PAIRS, "raw": [9.0, stock_logits[1]], "source": "my notes"})
    result = bge("verify", tiny_reranker, "--examples", file, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert report["passed"] is False
    (example,) = report["examples"]
    assert example["source"] == "my notes"
    first, second = example["measurements"]
    assert (first["expected"], first["passed"], second["passed"]) == (9.0, False, True)
    assert first["measured"] == pytest.approx(stock_logits[0], abs=1e-4)


def test_every_kind_of_example_is_measured_and_notices_a_difference(bge, tiny_m3, examples):
    encoder = make_encoder(ModelArguments(model=str(tiny_m3), dtype="float32"))
    queries, passages = ["one query", "another"], ["a passage", "the next one"]
    dense = (
        encoder.encode(queries, "query").need_dense().values @ encoder.encode(passages).need_dense().values.T
    )
    scores = pair_scores(encoder, [tuple(pair) for pair in PAIRS])
    names = ("dense", "sparse", "multi", "sparse_dense", "all")
    weights = encoder.encode(queries, "query", {"sparse"}).need_sparse()
    tokens = [dict(zip([t.strip("▁") for t in encoder.tokens_of(row)], row.values())) for row in weights]
    good = [
        {"kind": "similarity", "queries": queries, "passages": passages, "matrix": dense.tolist()},
        {
            "kind": "pair_scores",
            "pairs": PAIRS,
            "weights": [0.4, 0.2, 0.4],
            **{name: getattr(scores, name).tolist() for name in names},
        },
        {"kind": "lexical_weights", "texts": queries, "weights": tokens},
        {
            "kind": "vector",
            "text": "a passage",
            "first": encoder.encode(["a passage"]).need_dense()[0][:4].tolist(),
        },
    ]
    assert bge("verify", tiny_m3, "--examples", examples(*good)).exit_code == 0
    wrong = [
        good[0] | {"matrix": (dense + 0.1).tolist()},
        good[1] | {"multi": [7.0, 7.0]},
        good[2] | {"weights": [{"absent": 1.0}, tokens[1]]},
        good[3] | {"first": [2.0]},
    ]
    for item in wrong:
        assert bge("verify", tiny_m3, "--examples", examples(item)).exit_code == 1, item["kind"]


def test_a_copy_is_held_against_the_numbers_published_for_its_original(bge, tiny_m3):
    result = bge("verify", tiny_m3, "--like", "BAAI/bge-m3", "--json")
    assert result.exit_code == 1  # random weights
    report = json.loads(result.stdout)
    assert report["published"] is True
    expected = [one["expected"] for example in report["examples"] for one in example["measurements"]]
    assert 0.6265 in expected
    assert 0.7796499729156494 in expected


@pytest.mark.parametrize("checkpoint", ["mini", "tiny_bert", "tiny_reranker"])
def test_a_checkpoint_without_published_numbers_is_checked_against_itself(bge, request, checkpoint):
    path = checkpoint if checkpoint == "mini" else request.getfixturevalue(checkpoint)
    result = bge("verify", path, "--json")
    assert result.exit_code == 0
    report = json.loads(result.stdout)
    assert (report["passed"], report["published"]) == (True, False)
    assert len(report["examples"][0]["measurements"]) == 4


def test_people_are_told_that_nothing_was_published(bge):
    result = bge("verify", "mini")
    assert result.exit_code == 0
    assert "no numbers were published for mini" in result.stderr


def test_weights_that_cannot_be_had_are_exit_code_3(bge, tmp_path):
    result = bge("verify", "BAAI/bge-m3", "--cache-folder", tmp_path, "--offline")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "BAAI/bge-m3" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("name", "message"),
    [("BAAI/bge-m4", "did you mean BAAI/bge-m3"), ("mini", "has no published numbers")],
)
def test_a_likeness_without_numbers_is_exit_code_2(bge, name, message):
    result = bge("verify", "mini", "--like", name)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("not json", "is not JSON"),
        ("[]", "with at least one"),
        ('{"kind": "rerank"}', "must be a JSON list"),
        ('[{"kind": "magic"}]', '"kind" is one of'),
        ("[3]", '"kind" is one of'),
        ('[{"kind": "rerank", "pairs": []}]', "raw"),
        ('[{"kind": "rerank", "pairs": [], "raw": [], "extra": 1}]', "unknown names ['extra']"),
    ],
)
def test_a_file_that_holds_no_examples_is_exit_code_2(bge, tmp_path, content, message):
    file = tmp_path / "examples.json"
    file.write_text(content)
    result = bge("verify", "mini", "--examples", file)
    assert result.exit_code == 2
    assert message in result.stderr
