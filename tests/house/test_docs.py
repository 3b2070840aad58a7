from __future__ import annotations

import enum
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import pytest
import typer
from check_docs import (
    GENERATORS,
    DocumentError,
    checkpoint_table,
    command_help,
    main,
    rewritten,
    stale_documents,
)
from typer.main import get_command

ROOT = Path(__file__).parents[2]
WORDS = {"word": lambda: "fresh\n", "other": lambda: "more\n"}


def document(*blocks: tuple[str, str]) -> str:
    return "# Title\n" + "".join(
        f"\n<!-- generated: {name} -->\n{body}<!-- end -->\nprose\n" for name, body in blocks
    )


def test_the_documents_of_this_project_are_in_step() -> None:
    assert sorted(stale_documents(ROOT, GENERATORS)) == []


def test_a_block_in_step_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(document(("word", "fresh\n")))

    assert stale_documents(tmp_path, WORDS) == {}


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md", "docs/deep.md"])
def test_a_block_out_of_step_is_found_in_every_document(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(document(("word", "stale\n"), ("other", "more\n")))

    assert stale_documents(tmp_path, WORDS) == {path: document(("word", "fresh\n"), ("other", "more\n"))}


def test_an_empty_block_is_filled_and_prose_is_kept() -> None:
    assert rewritten(document(("word", "")), WORDS, "x") == document(("word", "fresh\n"))
    assert rewritten("no blocks", WORDS, "x") == "no blocks"


@pytest.mark.parametrize(
    "text",
    [
        "<!-- generated: word -->\nnever closed\n",
        "closed <!-- end --> only\n",
        "<!-- generated: word -->\n<!-- generated: other -->\n<!-- end -->\n",
    ],
)
def test_a_block_that_is_not_closed_is_an_error(text: str) -> None:
    with pytest.raises(DocumentError, match="here: a generated block is not closed"):
        rewritten(text, WORDS, "here")


def test_a_block_that_nothing_makes_is_an_error() -> None:
    with pytest.raises(DocumentError, match="block nonsense; there are: word, other"):
        rewritten(document(("nonsense", "")), WORDS, "here")


def test_the_command_fails_on_stale_documents_and_mends_them_on_request(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("check_docs.GENERATORS", WORDS)
    path = tmp_path / "README.md"
    path.write_text(document(("word", "stale\n")))

    assert main(["--root", str(tmp_path)]) == 1
    assert "make docs" in capsys.readouterr().err
    assert main(["--root", str(tmp_path), "--write"]) == 0
    assert path.read_text() == document(("word", "fresh\n"))
    assert main(["--root", str(tmp_path)]) == 0


def test_the_command_fails_on_a_broken_document_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("<!-- generated: word -->\n")
    command = [sys.executable, str(ROOT / "tools" / "check_docs.py"), "--root", str(tmp_path)]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "README.md: a generated block is not closed" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_table_shows_every_fact_of_a_checkpoint() -> None:
    family = enum.Enum("family", {"M3": "m3"})
    entry = SimpleNamespace(
        name="someone/some-model",
        family=family.M3,
        dim=1024,
        max_tokens=8192,
        recommended_tokens=512,
        pooling="cls",
        outputs=frozenset({"sparse", "dense"}),
        languages=("en", "zh"),
        parameters=567.75,
        licence="MIT",
        query_instruction="a | b: ",
    )
    reranker = SimpleNamespace(**{**vars(entry), "dim": None, "query_instruction": None, "pooling": None})

    header, rule, first, second = checkpoint_table([entry, reranker]).splitlines()

    assert header.startswith("| Checkpoint | Family | Outputs | Dimensions |")
    assert rule.count("---") == header.count("|") - 1
    assert first == (
        "| `someone/some-model` | m3 | dense, sparse | 1024 | 8192 | 512 | cls | en, zh | 568 M | MIT | `a \\| b: ` |"
    )
    assert "| – | 8192 | 512 | – |" in second


def small_app() -> typer.Typer:
    app = typer.Typer(add_completion=False, help="A small tool.")
    group = typer.Typer(help="A group.")
    app.add_typer(group, name="group")

    @app.command()
    def greet(name: str, loud: Annotated[bool, typer.Option(help="Shout it.")] = False) -> None:
        """Greet somebody."""

    @app.command(hidden=True)
    def secret() -> None:
        """Nobody sees this."""

    @group.command()
    def inner() -> None:
        """Do something inside."""

    @group.command()
    def outer() -> None:
        """Do something outside."""

    return app


def test_the_help_of_every_command_is_drawn_but_of_hidden_ones() -> None:
    text = command_help(get_command(small_app()), "tool")

    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "### `tool`",
        "### `tool greet`",
        "### `tool group`",
        "### `tool group inner`",
        "### `tool group outer`",
    ]
    assert "Usage: tool greet [OPTIONS]" in text
    assert "--loud / --no-loud  Shout it." in text


def test_the_help_is_the_same_in_every_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = command_help(get_command(small_app()), "tool")
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("FORCE_COLOR", "1")

    assert command_help(get_command(small_app()), "tool") == plain
    assert "\x1b" not in plain
    assert "╭" not in plain
