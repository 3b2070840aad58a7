from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bge_components.bench.systems import exports

LIBRARY = """
import os
from pathlib import Path


class SentenceTransformer:
    def __init__(self, folder, **given):
        if "broken" in folder:
            raise ValueError("no such architecture")
        self.told = f"{folder} {given['backend']} {os.getppid()}"

    def save_pretrained(self, target):
        Path(target, "config.json").write_text(self.told)
        Path(target, "onnx").mkdir()
        Path(target, "onnx", "model.onnx").write_text("as exported")
        Path(target, "onnx", "model.onnx_data").write_text("large")


def export_optimized_onnx_model(model, level, target):
    Path(target, "onnx", f"model_{level}.onnx").write_text("optimised")
    Path(target, "onnx", f"model_{level}.onnx_data").write_text("large")


def export_dynamic_quantized_onnx_model(model, processor, target):
    Path(target, "onnx", f"model_qint8_{processor}.onnx").write_text("quantised")
"""


@pytest.fixture(autouse=True)
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a package of the name of sentence-transformers where a new process finds it."""
    (tmp_path / "library").mkdir()
    (tmp_path / "library" / "sentence_transformers.py").write_text(LIBRARY)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "library"))


def test_an_export_is_made_once_in_a_process_of_its_own(tmp_path: Path) -> None:
    here = "sentence_transformers" in sys.modules
    made, file = exports.onnx(tmp_path / "model", tmp_path / "exports", "embed", "O3")
    written = (made / "config.json").stat().st_mtime_ns

    assert exports.onnx(tmp_path / "model", tmp_path / "exports", "embed", "O3") == (made, file)
    assert (made / "config.json").stat().st_mtime_ns == written
    assert (made / "config.json").read_text().split() == [
        str(tmp_path / "model"),
        "onnx",
        str(os.getpid()),
    ]
    assert ("sentence_transformers" in sys.modules) == here


@pytest.mark.parametrize(
    ("variant", "file", "beside"),
    [
        ("O3", "model_O3.onnx", ["model_O3.onnx_data"]),
        ("int8", f"model_qint8_{exports.instruction_set()}.onnx", []),
    ],
)
def test_only_the_model_that_was_asked_for_is_kept(
    tmp_path: Path, variant: str, file: str, beside: list[str]
) -> None:
    made, found = exports.onnx(tmp_path / "model", tmp_path / "exports", "embed", variant)

    assert found == f"onnx/{file}"
    assert sorted(path.name for path in (made / "onnx").iterdir()) == [file, *beside]


def test_openvino_has_a_folder_of_its_own(tmp_path: Path) -> None:
    made = exports.openvino(tmp_path / "model", tmp_path / "exports", "embed")

    assert made == tmp_path / "exports" / "openvino"
    assert "openvino" in (made / "config.json").read_text()


def test_an_export_that_fails_says_why_and_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"ended with code 1.*no such architecture"):
        exports.openvino(tmp_path / "broken", tmp_path / "exports", "embed")

    assert list((tmp_path / "exports").iterdir()) == []
