"""Runs every notebook from top to bottom, without network."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
every_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)

SEAL = """
import socket as _socket

_connect = _socket.socket.connect

def _local_only(self, address):
    if self.family != _socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
        raise OSError(f"the notebook asked for the network: {address}")
    return _connect(self, address)

_socket.socket.connect = _local_only
"""


def cells(path: Path, kind: str) -> list[Any]:
    return [
        cell for cell in json.loads(path.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == kind
    ]


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], list[Any]]:
    """Give what the cells of a notebook show; each notebook runs once."""
    import matplotlib.font_manager  # noqa: F401  (looks for fonts now: the first time it tells stderr so)

    @cache
    def run(path: Path) -> list[Any]:
        notebook: Any = nbformat.read(path, as_version=4)
        notebook.cells.insert(0, nbformat.v4.new_code_cell(SEAL))
        folder = str(tmp_path_factory.mktemp(path.stem))
        NotebookClient(
            notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": folder}}
        ).execute()
        return [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]

    return run


def printed(outputs: list[Any]) -> str:
    return "".join(output.text for output in outputs if output.get("name") == "stdout")


def test_the_notebooks_are_all_there() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["01_langchain", "02_llama_index", "03_hybrid", "04_agents"]


@every_notebook
def test_a_notebook_runs_from_top_to_bottom_without_network(
    path: Path, executed: Callable[[Path], list[Any]]
) -> None:
    shown = executed(path)

    assert shown, "a notebook that shows nothing teaches nothing"
    assert [output.text for output in shown if output.get("name") == "stderr"] == []


def test_the_hybrid_notebook_shows_what_it_says(executed: Callable[[Path], list[Any]]) -> None:
    shown = executed(FOLDER / "03_hybrid.ipynb")
    text = printed(shown)
    dense, bm25, fused, late = map(int, re.findall(r"\d+", text.split(" of 11 in first place")[0])[-4:])

    assert max(dense, bm25) < fused < late
    assert re.search(r"produces +is nearest to makes", text)
    assert re.search(r"drinks +is nearest to ##ade", text)
    assert len([output for output in shown if "image/png" in output.get("data", {})]) == 2


def test_the_agents_of_both_frameworks_find_the_same(executed: Callable[[Path], list[Any]]) -> None:
    text = printed(executed(FOLDER / "04_agents.ipynb"))

    assert "That is shutil.rmtree." in text
    assert re.search(r"free space is left on the disk\? +shutil.disk_usage +shutil.disk_usage", text)
    assert "explain: module: heapq" in text
    assert "loaded 1 time(s)" in text


@every_notebook
def test_a_notebook_is_kept_without_outputs_and_without_the_names_of_a_machine(path: Path) -> None:
    for cell in cells(path, "code"):
        assert cell["outputs"] == []
        assert cell["execution_count"] is None
    metadata = json.loads(path.read_text(encoding="utf-8"))["metadata"]
    assert set(metadata) <= {"kernelspec", "language_info"}
    assert metadata["kernelspec"]["name"] == "python3"


@every_notebook
def test_a_notebook_says_in_words_what_it_does(path: Path) -> None:
    prose = ["".join(cell["source"]) for cell in cells(path, "markdown")]

    assert re.match(r"# \S", prose[0])
    assert len(prose) >= len(cells(path, "code")) // 2


@every_notebook
def test_the_code_in_the_prose_of_a_notebook_names_what_there_is(path: Path) -> None:
    for prose in cells(path, "markdown"):
        for code in re.findall(r"```python\n(.*?)```", "".join(prose["source"]), re.DOTALL):
            imports = [node for node in ast.parse(code).body if isinstance(node, ast.ImportFrom)]
            exec(compile(ast.Module(imports, []), path.stem, "exec"), {})
