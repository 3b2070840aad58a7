"""What encoders and rerankers are to the pool: an envelope of settings that draws on it when it is used."""

from __future__ import annotations

from typing import Any

from ..contracts import ModelSource
from .pool import ModelPool
from .shared import shared_pool


class Envelope:
    """A source, settings and the pool to draw from; no weights.

    It can be compared, printed and pickled: a pickle holds the settings and uses the shared pool of the process that
    opens it.
    """

    def __init__(self, source: ModelSource, settings: Any, pool: ModelPool | None) -> None:
        self.source: Any = source
        self.settings = settings
        self._pool = pool

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.source.label!r}, {self.settings})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self.__getstate__() == other.__getstate__()

    def __hash__(self) -> int:
        return hash((type(self), self.source, self.settings))

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_pool": None}

    @property
    def name(self) -> str:
        """Name of the checkpoint."""
        return str(self.source.label)

    @property
    def pool(self) -> ModelPool:
        """The pool it draws from: its own, or the shared one of the moment."""
        return self._pool or shared_pool()
