"""Runs every notebook from top to bottom, without network."""

from __future__ import annotations

import json
import re
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


def test_the_langchain_notebook_is_among_them() -> None:
    assert "01_langchain" in [path.stem for path in NOTEBOOKS]


@every_notebook
def test_a_notebook_runs_from_top_to_bottom_without_network(path: Path, tmp_path: Path) -> None:
    notebook: Any = nbformat.read(path, as_version=4)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(SEAL))

    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()

    shown = [output for cell in notebook.cells if cell.cell_type == "code" for output in cell.outputs]
    assert shown, "a notebook that shows nothing teaches nothing"
    assert [output.text for output in shown if output.get("name") == "stderr"] == []


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
