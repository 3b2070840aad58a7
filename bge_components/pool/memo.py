"""A short memory of outputs, so that asking for dense and then for sparse of the same text costs one pass.

Entries are keyed by a digest of the token ids: they hold everything that changes the forward pass (text, prompt,
role, length), and the memo itself holds no text. When a text comes back within seconds for an output that was not
computed the first time, the memo learns that these outputs go together, and for a while later passes compute both.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b

from ..contracts import Float32, Output, Priority, SequenceOutputs, TokenSequence

_LEARNED_FOR = 6  # times keep_s
_ENTRY_BYTES = 600  # what an entry costs beside its numbers


@dataclass(slots=True)
class _Entry:
    outputs: dict[Output, Float32]
    born: float
    nbytes: int


class OutputMemo:
    """Outputs of the last seconds of one model, oldest dropped first. Safe to share between threads."""

    def __init__(self, keep_s: float, max_bytes: int) -> None:
        self._keep_s = keep_s
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()
        self._nbytes = 0
        self._companions: dict[Priority, tuple[frozenset[Output], float]] = {}
        self.hits = 0

    def __len__(self) -> int:
        return len(self._entries)

    def get(
        self, digest: bytes, wanted: frozenset[Output], priority: Priority = Priority.BULK
    ) -> SequenceOutputs | None:
        """Give the outputs of a text if all of them are there; else learn what goes together."""
        if self._keep_s <= 0:
            return None
        with self._lock:
            self._forget_old()
            entry = self._entries.get(digest)
            if entry is None:
                return None
            if wanted <= entry.outputs.keys():
                self.hits += 1
                return {output: entry.outputs[output] for output in wanted}
            until = time.monotonic() + _LEARNED_FOR * self._keep_s
            self._companions[priority] = (wanted | entry.outputs.keys(), until)
            return None

    def wider(self, wanted: frozenset[Output], priority: Priority = Priority.BULK) -> frozenset[Output]:
        """Give the outputs worth computing where `wanted` is asked for; queries teach nothing to a bulk."""
        companions, until = self._companions.get(priority, (frozenset(), 0.0))
        return wanted | companions if wanted & companions and time.monotonic() < until else wanted

    def put(self, digest: bytes, outputs: Mapping[Output, Float32]) -> None:
        """Remember outputs; they must not be written to from now on."""
        if self._keep_s <= 0:
            return
        for array in outputs.values():
            array.setflags(write=False)
        with self._lock:
            known = self._entries.pop(digest, None)
            merged = {**known.outputs, **outputs} if known else dict(outputs)
            nbytes = _ENTRY_BYTES + sum(array.nbytes for array in merged.values())
            self._nbytes += nbytes - (known.nbytes if known else 0)
            self._entries[digest] = _Entry(merged, time.monotonic(), nbytes)
            while self._nbytes > self._max_bytes:
                self._drop_oldest()

    def forget_old(self) -> None:
        """Drop what is older than the memo keeps; called by the keeper, so that an idle memo empties itself."""
        with self._lock:
            self._forget_old()

    def _forget_old(self) -> None:
        limit = time.monotonic() - self._keep_s
        while self._entries and next(iter(self._entries.values())).born < limit:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        _, entry = self._entries.popitem(last=False)
        self._nbytes -= entry.nbytes


def digest_of(sequence: TokenSequence) -> bytes:
    """Give a key for everything that the outputs of a text follow from."""
    digest = blake2b(sequence.ids.tobytes(), digest_size=16)
    for mark, array in ((b"|", sequence.type_ids), (b"/", sequence.chunks)):
        if array is not None:
            digest.update(mark)
            digest.update(array.tobytes())
    return digest.digest()
