"""The gate to a shard: another can take its place while calls go on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ....errors import IndexClosedError

_LONGEST_CALL_S = 60.0


class ShardGate:
    """Lends the shard that is in service to calls, and hands it back when no call uses it any more.

    Args:
        shard: The first one.
    """

    def __init__(self, shard: Any) -> None:
        self._lent: _Lent | None = _Lent(shard)
        self._returned = threading.Condition()

    @contextmanager
    def lent(self) -> Iterator[Any]:
        """Lend the shard for one call.

        Raises:
            IndexClosedError: If none is in service any more.
        """
        with self._returned:
            lent = self._lent
            if lent is None:
                raise IndexClosedError("the index was closed meanwhile: open it again")
            lent.calls += 1
        try:
            yield lent.shard
        finally:
            with self._returned:
                lent.calls -= 1
                self._returned.notify_all()

    def replace(self, shard: Any | None) -> Any:
        """Put another shard in service, or none, and give the old one when the calls that use it have ended."""
        with self._returned:
            old, self._lent = self._lent, None if shard is None else _Lent(shard)
            if old is None:
                raise IndexClosedError("the index was closed already")
            self._returned.wait_for(lambda: not old.calls, timeout=_LONGEST_CALL_S)
            return old.shard


class _Lent:
    def __init__(self, shard: Any) -> None:
        self.shard = shard
        self.calls = 0
