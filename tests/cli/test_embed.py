from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bge_components.assembly import ModelArguments, make_encoder
from bge_components.encoders import EncoderSettings

FAKE = ("--model", "mini", "--backend", "fake")
TEXTS = ["a first text", "and a second, somewhat longer one", "第三"]


def rows(output: str) -> list[dict]:
    return [json.loads(line) for line in output.splitlines()]


@pytest.fixture
def encoder():
    return make_encoder(ModelArguments(model="mini", backend="fake"))


def test_each_line_gives_one_vector_in_order_and_exact_to_the_bit(bge, encoder):
    result = bge("embed", *FAKE, stdin="\n".join(TEXTS))
    assert result.exit_code == 0
    found = rows(result.stdout)
    expected = encoder.encode(TEXTS).need_dense().values
    assert [row["id"] for row in found] == [0, 1, 2]
    assert np.array_equal(np.array([row["dense"] for row in found], dtype=np.float32), expected)


def test_the_packaged_checkpoint_embeds_for_real(bge):
    result = bge(
        "embed", "--model", "mini", "--dtype", "float32", stdin="A cat sleeps.\nA kitten naps.\nTax law.\n"
    )
    cat, kitten, tax = (np.array(row["dense"]) for row in rows(result.stdout))
    assert cat @ kitten > 0.5 > 0.3 > cat @ tax


def test_all_outputs_come_together(bge, encoder):
    result = bge("embed", *FAKE, "--outputs", "dense,sparse,multi", stdin=TEXTS[1])
    (row,) = rows(result.stdout)
    expected = encoder.encode([TEXTS[1]], outputs=("dense", "sparse", "multi"))
    assert {int(token): weight for token, weight in row["sparse"].items()} == pytest.approx(
        expected.need_sparse()[0]
    )
    assert np.array_equal(np.array(row["multi"], dtype=np.float32), expected.need_multi()[0])
    assert row["tokens"] == expected.tokens[0]


def test_json_lines_keep_their_ids(bge):
    lines = "\n".join(json.dumps({"id": f"doc-{n}", "text": text}) for n, text in enumerate(TEXTS))
    assert [row["id"] for row in rows(bge("embed", *FAKE, stdin=lines).stdout)] == ["doc-0", "doc-1", "doc-2"]


def test_files_go_to_a_file_and_stdout_stays_empty(bge, tmp_path: Path):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    (tmp_path / "b.txt").write_text("three\n")
    out = tmp_path / "out.jsonl"
    result = bge("embed", *FAKE, tmp_path / "a.txt", tmp_path / "b.txt", "--out", out)
    assert (result.exit_code, result.stdout) == (0, "")
    assert [row["id"] for row in rows(out.read_text())] == [0, 1, 2]


def test_dimensions_are_cut_and_normalised_again(bge, encoder):
    (row,) = rows(bge("embed", *FAKE, "--dimensions", "5", stdin="one").stdout)
    expected = encoder.encode(["one"]).need_dense().truncated(5)[0]
    assert row["dense"] == pytest.approx(expected.tolist(), abs=1e-6)


def test_int8_and_binary_restore_what_they_should(bge, encoder):
    dense = encoder.encode(["one"]).need_dense()
    (small,) = rows(bge("embed", *FAKE, "--quantize", "int8", stdin="one").stdout)
    (bits,) = rows(bge("embed", *FAKE, "--quantize", "binary", stdin="one").stdout)
    assert np.array(small["int8"]) * small["scale"] == pytest.approx(dense[0], abs=small["scale"])
    assert np.unpackbits(np.array(bits["binary"], dtype=np.uint8), count=dense.dim).tolist() == [
        int(value > 0) for value in dense[0]
    ]
    assert "dense" not in small.keys() | bits.keys()


def test_role_and_instruction_choose_the_prompt(bge):
    expected = make_encoder(
        ModelArguments(model="mini", backend="fake"), EncoderSettings(query_instruction="find: ")
    ).encode(["one"], "query")
    (row,) = rows(bge("embed", *FAKE, "--role", "query", "--instruction", "find: ", stdin="one").stdout)
    assert row["dense"] == pytest.approx(expected.need_dense()[0].tolist(), abs=1e-6)
    (bare,) = rows(bge("embed", *FAKE, "--role", "document", stdin="one").stdout)
    assert bare["dense"] != row["dense"]


def test_cut_texts_are_counted_once_at_the_end(bge):
    result = bge("embed", *FAKE, "--max-tokens", "4", stdin="one\n" + "many words in one line here\n" * 40)
    assert result.exit_code == 0
    assert result.stderr.count("warning: 40 of 41 texts were too long") == 1
    silent = bge(
        "embed", *FAKE, "--max-tokens", "4", "--on-truncation", "ignore", stdin="many words in a line\n"
    )
    assert silent.stderr == ""


def test_cut_texts_are_refused_when_asked(bge):
    result = bge(
        "embed", *FAKE, "--max-tokens", "4", "--on-truncation", "error", stdin="many words in one line\n"
    )
    assert result.exit_code == 2
    assert "1 of 1 texts have more than 4 tokens" in result.stderr


@pytest.mark.parametrize("stdin", ["", "\n\n  \n"])
def test_no_text_gives_nothing_and_says_so(bge, stdin):
    result = bge("embed", *FAKE, stdin=stdin)
    assert (result.exit_code, result.stdout) == (0, "")
    assert "no texts came in" in result.stderr


def test_an_output_that_the_checkpoint_lacks_is_exit_code_2(bge):
    result = bge("embed", "--model", "mini", "--outputs", "sparse", stdin="one\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "sparse" in result.stderr


def test_more_dimensions_than_there_are_is_exit_code_2(bge):
    result = bge("embed", *FAKE, "--dimensions", "100000", stdin="one\n")
    assert result.exit_code == 2
    assert "100000" in result.stderr


def test_a_reader_that_leaves_early_is_no_error(shell):
    done = shell("yes 'some text to embed' | head -20000 | $BGE embed --model mini --backend fake | head -1")
    assert done.stdout.count("\n") == 1
    assert json.loads(done.stdout)["id"] == 0
    assert done.stderr == ""


def test_results_come_before_the_input_has_ended(sealed_env):
    process = subprocess.Popen(
        [sys.executable, "-m", "bge_components.cli", "embed", *FAKE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=sealed_env,
        preexec_fn=lambda: signal.signal(
            signal.SIGINT, signal.default_int_handler
        ),  # a background shell ignores it
    )
    with process:
        process.stdin.write(b"text\n" * 16)
        process.stdin.flush()
        first = json.loads(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=60)
    assert first["id"] == 0
    assert process.returncode == 130
    assert stderr.decode().strip() == "interrupted"


def test_a_dash_reads_stdin_in_the_real_program(shell):
    done = shell("printf 'one\\ntwo\\n' | $BGE embed --model mini --backend fake -")
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == [0, 1]
    ranked = shell("printf 'one\\ntwo\\n' | $BGE rerank --model mini --backend fake --query two -")
    assert json.loads(ranked.stdout.splitlines()[0])["text"] == "two"
