from __future__ import annotations

from bge_components.assembly import make_encoder
from bge_components.retrieval import HybridIndex, MemoryEngine


def model_of(model: str) -> str:
    engine = MemoryEngine()
    HybridIndex(make_encoder(model), engine).stats()
    manifest = engine.manifest()
    assert manifest is not None
    return manifest["model"]


def test_an_index_remembers_its_checkpoint_by_name():
    assert model_of("mini") == "mini"


def test_an_index_remembers_a_folder_by_its_absolute_path(tiny_bert, monkeypatch):
    monkeypatch.chdir(tiny_bert.parent)
    assert model_of(f"./{tiny_bert.name}") == str(tiny_bert.resolve())
