from __future__ import annotations

import importlib
import sys
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

ADAPTER = "bge_components.bench.systems.adapter_infinity"


class ORTModel:
    """Stands for the class through which infinity's optimum engine opens a file, as that does: without options."""

    @classmethod
    def from_pretrained(cls, name: str, *, session_options: Any = None) -> tuple[type, str, Any]:
        return cls, name, session_options


class OfFeatures(ORTModel):
    pass


class Engines:
    opened: tuple[type, str, Any]

    @classmethod
    def from_args(cls, arguments: list[Any]) -> Engines:
        cls.opened = OfFeatures.from_pretrained(arguments[0]["model_name_or_path"])
        return cls()

    def embed(self, *, model: str, sentences: list[str]) -> Future[Any]:
        done: Future[Any] = Future()
        done.set_result(([[1.0]] * len(sentences), 1))
        return done


def test_onnxruntime_gets_the_number_of_threads_that_infinity_has_no_setting_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "made" / "onnx").mkdir(parents=True)
    (tmp_path / "made" / "onnx" / "model_O3.onnx").write_text("a network")
    made = (tmp_path / "made", "onnx/model_O3.onnx")
    fakes = {
        "infinity_emb": SimpleNamespace(EngineArgs=dict, SyncEngineArray=Engines),
        "exports": SimpleNamespace(onnx=lambda *_: made),
        "onnxruntime": SimpleNamespace(SessionOptions=SimpleNamespace),
        "optimum.onnxruntime.modeling": SimpleNamespace(ORTModel=ORTModel),
    }
    for name, fake in fakes.items():
        monkeypatch.setitem(sys.modules, name, fake)
    monkeypatch.setattr(ORTModel, "from_pretrained", ORTModel.__dict__["from_pretrained"])
    monkeypatch.setattr("torch.set_num_threads", lambda count: None)
    monkeypatch.chdir(tmp_path)

    loaded = importlib.import_module(ADAPTER).load(
        tmp_path, exports=tmp_path, task="embed", max_tokens=512, threads=3, options={"engine": "optimum"}
    )

    kind, name, options = Engines.opened
    assert (kind, name, options.intra_op_num_threads) == (OfFeatures, ".", 3)
    assert Path("model_O3.onnx").read_text() == "a network"
    assert loaded.encode(["a", "b"]).shape == (2, 1)
