"""Every engine, one after the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bge_components.retrieval.contracts import Engine
from support.engines import ENGINES, EnginePlace


@pytest.fixture(params=ENGINES)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EnginePlace]:
    """A place for points, of each kind of engine."""
    place = EnginePlace(request.param, tmp_path / "engine")
    yield place
    place.close()


@pytest.fixture
def engine(place: EnginePlace) -> Engine:
    """An empty engine, opened for the channels of `support.engines`."""
    return place.opened()
