from __future__ import annotations

from pathlib import Path

import pytest

from bge_components.errors import InputError
from bge_components.retrieval import MemoryEngine
from bge_components.retrieval.engines.choice import engine_for


def test_an_engine_that_is_handed_over_is_the_one() -> None:
    engine = MemoryEngine()

    assert engine_for(None, engine) is engine
    assert engine_for() is None


def test_a_path_is_a_folder_of_the_embedded_engine_which_is_not_made_yet(tmp_path: Path) -> None:
    pytest.importorskip("qdrant_edge")

    engine = engine_for(tmp_path / "index")

    assert engine is not None
    assert engine.capabilities.name == "edge"
    assert not list(tmp_path.iterdir())


def test_path_and_engine_together_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="path and engine both"):
        engine_for(tmp_path, MemoryEngine())
