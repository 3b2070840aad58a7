"""Writes documents into an index: batch by batch, each acknowledged before the next, unchanged ones passed over.

A document of several windows becomes visible with its first window, which is written last: windows that do not
belong to the version in the first window are never given. So a document is there as a whole or not at all, also after
a crash; see `writes` for what happens when several writes meet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice

from ..contracts import CallOptions
from ..errors import InputError
from ..pool import Steps
from ..vectors import Encoding
from .contracts import Engine, Passage, Point
from .documents import CheckedDocument
from .ledger import Ledger
from .manifest import Manifest
from .passages import Spans, passages_of, spans_steps
from .vectorizer import Row, Vectorizer, outputs_of
from .writes import window_id

_DOCUMENTS_AT_ONCE = 256
_CHARACTERS_AT_ONCE = 1_000_000
_PASSAGES_AT_ONCE = 128
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class IngestReport:
    """What happened to documents that were added.

    Attributes:
        stored: Documents written; all of them are acknowledged by the engine.
        unchanged: Documents that were there with the same text and metadata: neither encoded nor written.
        passages: Passages written: more than documents where long ones have windows.
        cut: Passages longer than the checkpoint reads, of which only the beginning was encoded.
    """

    stored: int = 0
    unchanged: int = 0
    passages: int = 0
    cut: int = 0

    def __add__(self, other: IngestReport) -> IngestReport:
        return IngestReport(
            stored=self.stored + other.stored,
            unchanged=self.unchanged + other.unchanged,
            passages=self.passages + other.passages,
            cut=self.cut + other.cut,
        )


def batches(documents: Iterable[CheckedDocument]) -> Iterator[list[CheckedDocument]]:
    """Cut documents into batches of bounded length; a huge document is a batch of its own."""
    rest = iter(documents)
    carried: list[CheckedDocument] = []
    while True:
        batch, characters = carried, sum(len(one.text) for one in carried)
        carried = []
        for document in islice(rest, _DOCUMENTS_AT_ONCE):
            if batch and characters + len(document.text) > _CHARACTERS_AT_ONCE:
                carried = [document]
                break
            batch.append(document)
            characters += len(document.text)
        if not batch:
            return
        yield batch


def ingest_steps(
    ledger: Ledger,
    batch: Sequence[CheckedDocument],
    manifest: Manifest,
    options: CallOptions,
    *,
    replacing: bool,
) -> Steps[IngestReport]:
    """Store one batch.

    Args:
        ledger: Of the index.
        batch: Documents; with `replacing`, the last of equal ids wins.
        manifest: Of the index.
        options: For the encoder.
        replacing: Whether documents that are there with other contents are replaced; else they are refused.

    Raises:
        InputError: If a document is there with other contents and is not to be replaced; nothing is stored.
    """
    documents = _distinct(batch, replacing=replacing)
    present = _present(ledger.engine, documents)
    if not replacing:
        _refuse_others(documents, present)
    fresh = [one for one in documents if one.id not in present or present[one.id].digest != one.digest]
    written = IngestReport()
    if fresh:
        spans: Spans = yield from spans_steps(ledger.encoder, manifest.settings, fresh, options)
        long = [document.id for document, cuts in zip(fresh, spans) if len(cuts) > 1]
        if long or any(head.window is not None for head in present.values()):
            ledger.note_windows()
        with ledger.writes.of(long):
            written = yield from _write_steps(ledger, manifest, fresh, spans, options)
    return replace(written, stored=len(fresh), unchanged=len(documents) - len(fresh))


def _distinct(batch: Sequence[CheckedDocument], *, replacing: bool) -> list[CheckedDocument]:
    last = {document.id: document for document in batch}
    if not replacing:
        twice = [one.id for one in batch if one.digest != last[one.id].digest]
        if twice:
            raise InputError(
                f"two documents of one call have the same id and other contents: {_shown(twice)}; give each its own "
                "id, or use upsert(), where the last one wins"
            )
    return list(last.values())


def _present(engine: Engine, documents: Sequence[CheckedDocument]) -> dict[str, Passage]:
    points = engine.get([engine.point_id(document.id) for document in documents])
    return {point.passage.document: point.passage for point in points if point is not None}


def _refuse_others(documents: Sequence[CheckedDocument], present: dict[str, Passage]) -> None:
    taken = [one.id for one in documents if one.id in present and present[one.id].digest != one.digest]
    if taken:
        raise InputError(
            f"{len(taken)} of the ids are there with other contents: {_shown(taken)}; use upsert() to replace them"
        )


def _shown(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return ", ".join(repr(one) for one in ids[:_SHOWN]) + more


def _write_steps(
    ledger: Ledger,
    manifest: Manifest,
    documents: Sequence[CheckedDocument],
    spans: Spans,
    options: CallOptions,
) -> Steps[IngestReport]:
    channels = [channel.name for channel in manifest.channels]
    outputs = outputs_of(channels)
    if manifest.settings.long_documents == "late-chunking" and outputs:
        return (yield from _write_chunks_steps(ledger, channels, documents, spans, options))
    written = IngestReport()
    passages = _in_writing_order(documents, spans)
    for start in range(0, len(passages), _PASSAGES_AT_ONCE):
        part = passages[start : start + _PASSAGES_AT_ONCE]
        texts = [passage.text for passage in part]
        encoding: Encoding | None = None
        if outputs:
            encoding = yield from ledger.encoder.encode_steps(texts, "document", outputs, options)
        written += _store(ledger, channels, part, encoding)
    return written


def _write_chunks_steps(
    ledger: Ledger,
    channels: Sequence[str],
    documents: Sequence[CheckedDocument],
    spans: Spans,
    options: CallOptions,
) -> Steps[IngestReport]:
    """Write document by document: its chunks come out of one pass."""
    written = IngestReport()
    for document, cuts in zip(documents, spans):
        encoding: Encoding = yield from ledger.encoder.encode_chunks_steps(
            [document.text], [cuts], outputs_of(channels), options
        )
        written += _store(ledger, channels, passages_of(document, cuts), encoding)
    return written


def _in_writing_order(documents: Sequence[CheckedDocument], spans: Spans) -> list[Passage]:
    """Give all passages; of each document the first window last."""
    ordered: list[Passage] = []
    for document, cuts in zip(documents, spans):
        head, *others = passages_of(document, cuts)
        ordered += [*others, head]
    return ordered


def _store(
    ledger: Ledger, channels: Sequence[str], passages: Sequence[Passage], encoding: Encoding | None
) -> IngestReport:
    """Hand passages with their vectors to the engine: first what nobody sees yet, then first windows."""
    texts = [passage.text for passage in passages]
    manifest = ledger.manifest_for(texts, encoding)
    vectorizer = Vectorizer.of(ledger.encoder, manifest)
    rows: list[Row] = [{} for _ in passages]
    if encoding is not None:
        vectorizer.add_encoded(rows, encoding)
    if "bm25" in channels:
        vectorizer.add_words(rows, texts, "document")
    points = [
        Point(id=window_id(ledger.engine, passage), passage=passage, vectors=row)
        for passage, row in zip(passages, rows)
    ]
    later = [point for point in points if point.passage.window and point.passage.window.number]
    heads = [point for point in points if not point.passage.window or not point.passage.window.number]
    if later:
        ledger.engine.upsert(later)
    if heads and manifest.windowed:
        ledger.writes.show(heads)
    elif heads:
        ledger.engine.upsert(heads)
    return IngestReport(passages=len(passages), cut=len(encoding.cut) if encoding is not None else 0)
