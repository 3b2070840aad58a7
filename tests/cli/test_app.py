from __future__ import annotations

import json
import subprocess
import sys

import pytest

from bge_components import __version__

COMMANDS = ("demo", "index", "search", "models", "embed", "rerank", "verify", "doctor")


def test_the_version_is_the_packages(bge):
    result = bge("--version")
    assert (result.exit_code, result.stdout) == (0, f"bge-components {__version__}\n")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_says_what_its_exit_codes_mean(bge, command):
    result = bge(command, "--help")
    assert result.exit_code == 0
    assert "--json" in result.stdout
    assert "Exit codes: 0 done" in " ".join(result.stdout.split())


def test_no_command_at_all_shows_the_help(bge):
    result = bge()
    assert "Commands" in result.output
    assert all(command in result.output for command in COMMANDS)


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["models", "--no-such-option"],
        ["models", "--family", "nope"],
        ["embed", "no-such-file.txt"],
        ["embed", "--outputs", "dense,shiny"],
        ["embed", "--outputs", ""],
        ["embed", "--outputs", "sparse", "--quantize", "int8"],
        ["embed", "--dimensions", "0"],
        ["rerank"],
        ["rerank", "--query", "q", "--top-n", "-1"],
        ["demo", "--top-n", "0"],
        ["demo", "--docs", "."],
        ["demo", "--docs", "no-such-folder", "--query", "q"],
        ["index"],
        ["index", ".", "--format", "xml"],
        ["search", "no-such-index"],
        ["search", "no-such-index", "q", "--fusion", "hot"],
        ["search", "no-such-index", "q", "--diverse", "1.5"],
        ["verify"],
        ["verify", "mini", "--examples", "no-such-file.json"],
    ],
)
def test_wrong_usage_is_exit_code_2_on_stderr(bge, arguments):
    result = bge(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert "error" in result.stderr.lower()
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["embed", "--help"], ["models", "--json"]])
def test_help_and_catalogue_load_no_model_library(sealed_env, arguments):
    code = (
        "import sys\nfrom bge_components.cli import app\n"
        f"try:\n    app({arguments!r})\nexcept SystemExit as end:\n    assert end.code in (0, None)\n"
        "heavy = {'torch', 'transformers', 'tokenizers', 'safetensors', 'huggingface_hub'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=sealed_env, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_an_unknown_checkpoint_is_exit_code_3_with_a_suggestion(bge):
    result = bge("embed", "--model", "BAAI/bge-smal-en-v1.5", stdin="one\n")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "BAAI/bge-small-en-v1.5" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_folder_that_is_not_there_is_exit_code_3(bge):
    result = bge("rerank", "--query", "q", "--model", "./no/such/folder", stdin="one\n")
    assert (result.exit_code, result.stdout) == (3, "")
    assert "no/such/folder" in result.stderr


def test_debug_shows_the_traceback_from_option_and_environment(shell):
    line = "echo one | $BGE {} embed --model ./nowhere"
    assert "Traceback" not in shell(line.format("")).stderr
    for done in (shell(line.format("--debug")), shell(line.format(""), BGE_DEBUG="1")):
        assert done.returncode == 3
        assert done.stderr.startswith("Traceback")
        assert done.stderr.splitlines()[-1].startswith("error: There is no folder")


def test_every_error_is_one_message_and_stdout_stays_empty(shell):
    done = shell("printf 'good\\n\\377\\n' | $BGE embed --model mini --backend fake --out out.jsonl")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: stdin, line 2 is not UTF-8 text")
    assert done.stderr.count("\n") == 1


def test_a_variable_of_the_environment_that_makes_no_sense_is_exit_code_2(shell):
    done = shell("echo one | $BGE embed --model mini --backend fake", BGE_MAX_TOKENS="many")
    assert done.returncode == 2
    assert "BGE_MAX_TOKENS must be a number" in done.stderr


@pytest.mark.parametrize("device", ["cuda:77", "toaster", "cuda:x"])
def test_a_device_that_is_not_there_is_exit_code_2(bge, device):
    result = bge("embed", "--model", "mini", "--device", device, stdin="one\n")
    assert (result.exit_code, result.stdout) == (2, "")
    assert device in result.stderr


@pytest.mark.parametrize("command", ["--help", "models --json", "embed --model mini --backend fake"])
def test_a_full_disk_is_one_message_and_exit_code_3(shell, command):
    done = shell(f"echo one | $BGE {command} > /dev/full")
    assert done.returncode == 3
    assert done.stderr == "error: [Errno 28] No space left on device\n"


@pytest.mark.parametrize("command", ["--help", "models", "models --json"])
def test_a_reader_that_leaves_early_is_no_error(shell, command):
    done = shell(f"$BGE {command} | head -1")
    assert done.stderr == ""


def test_a_defect_is_exit_code_70_and_asks_to_be_reported(bge, monkeypatch):
    def broken() -> None:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("bge_components.cli.models.all_checkpoints", broken)
    result = bge("models")
    assert result.exit_code == 70
    assert "ZeroDivisionError: by nothing" in result.stderr
    assert "report" in result.stderr
    assert "Traceback" not in result.stderr


def test_nothing_is_coloured_in_a_pipe(shell):
    done = shell("$BGE models; $BGE --help; $BGE nonsense")
    assert "\x1b" not in done.stdout + done.stderr
    assert "BAAI/bge-reranker-v2-m3" in done.stdout


def test_the_catalogue_as_json_is_one_document(bge):
    entries = json.loads(bge("models", "--json").stdout)
    assert entries[0]["name"] == "mini"
    assert {"BAAI/bge-m3", "BAAI/bge-reranker-v2-m3"} <= {entry["name"] for entry in entries}
    m3 = next(entry for entry in entries if entry["name"] == "BAAI/bge-m3")
    assert m3["outputs"] == ["dense", "multi", "sparse"]
    assert m3["published_examples"] > 0


def test_the_catalogue_is_filtered_by_language_and_family(bge):
    names = [
        entry["name"]
        for entry in json.loads(bge("models", "-l", "zh", "-f", "cross-encoder", "--json").stdout)
    ]
    assert "BAAI/bge-reranker-base" in names
    assert "BAAI/bge-reranker-v2-m3" in names  # multilingual
    assert "BAAI/bge-base-zh-v1.5" not in names
    languages = [entry["languages"] for entry in json.loads(bge("models", "-l", "EN", "--json").stdout)]
    assert languages
    assert all("en" in one or "multilingual" in one for one in languages)
