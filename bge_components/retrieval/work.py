"""What an index does, written once as steps: the doors for blocking and for async callers are in `index`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import replace
from typing import Any, TypeVar

from ..contracts import DEFAULT_OPTIONS, CallOptions, Progress
from ..encoders import Encoder
from ..errors import InputError
from ..pool import Steps
from .contracts import Engine, Passage
from .documents import Document, checked_documents, checked_ids
from .filters import And, Filter, IsDocument, IsHead, parsed_filter
from .hits import Hit
from .ingest import IngestReport, batches, ingest_steps
from .ledger import Ledger
from .manifest import Manifest
from .plan import Query, QueryPlan
from .search import Search
from .vectorizer import Vectorizer, outputs_of

T = TypeVar("T")
GivenFilter = Filter | Mapping[str, Any] | None
Documents = Iterable[Document | str]
_BULK = 10_000
"""A call that stored so many documents ends with optimising the engine: nobody waits for it by the second."""


class IndexWork:
    """The work of one index.

    Attributes:
        engine: Keeps the points.
        encoder: Gives the vectors.
        ledger: Keeps the manifest.
    """

    def __init__(self, engine: Engine, encoder: Encoder, ledger: Ledger) -> None:
        self.engine = engine
        self.encoder = encoder
        self.ledger = ledger

    def ready(self) -> Steps[Manifest]:
        """Open the index."""
        return (yield from self.ledger.ready_steps(DEFAULT_OPTIONS))

    def add(
        self, documents: Documents, options: CallOptions, *, replacing: bool, before: int = 0
    ) -> Steps[IngestReport]:
        """Add documents, batch by batch.

        Args:
            documents: Taken as they are needed.
            options: For the encoder; the timeout counts for each batch.
            replacing: Whether documents that are there with other contents are replaced, or refused.
            before: Documents done in earlier calls of one job, for its progress.
        """
        manifest = yield from self.ledger.ready_steps(options.started())
        total = before + len(documents) if isinstance(documents, Sized) else None
        report, done = IngestReport(), before
        for batch in batches(checked_documents(documents, before)):
            part = replace(options, progress=None).started()
            report += yield from ingest_steps(self.ledger, batch, manifest, part, replacing=replacing)
            done += len(batch)
            if options.progress is not None:
                options.progress(Progress(done, done if total is None else total))
        return report

    def settle(self, report: IngestReport) -> Steps[IngestReport]:
        """Optimise the engine after a bulk, and give the report on."""
        yield from ()
        if report.stored >= _BULK and self.engine.capabilities.approximate:
            self.engine.optimize()
        return report

    def search(
        self,
        queries: Iterable[str | Query],
        plan: QueryPlan,
        given_filter: GivenFilter,
        options: CallOptions,
        *,
        explain: bool,
    ) -> Steps[list[list[Hit]]]:
        """Search for queries."""
        options = options.started()
        asked = [one if isinstance(one, Query) else Query(text=one) for one in _listed(queries)]
        condition = parsed_filter(given_filter)
        manifest = yield from self.ledger.ready_steps(options)
        search = Search(
            engine=self.engine,
            vectorizer=Vectorizer.of(self.encoder, manifest),
            manifest=manifest,
            plan=plan,
            condition=condition,
            explain=explain,
            options=options,
        )
        return (yield from search.steps(asked))

    def get(self, ids: Iterable[str]) -> Steps[list[Document | None]]:
        """Give documents in the order of their ids."""
        wanted = checked_ids(ids)
        yield from self.ready()
        points = self.engine.get([self.engine.point_id(one) for one in wanted])
        return [None if point is None else _document(point.passage) for point in points]

    def documents(self, given_filter: GivenFilter) -> Steps[list[Document]]:
        """Give all documents that meet a filter."""
        condition = parsed_filter(given_filter)
        yield from self.ready()
        found = self.engine.scan(self._of_heads(condition))
        return [_document(point.passage) for batch in found for point in batch]

    def delete(self, ids: Iterable[str] | None, given_filter: GivenFilter) -> Steps[None]:
        """Delete documents by id or by filter."""
        if (ids is None) == (given_filter is None):
            raise InputError("delete() wants ids or a filter, one of them")
        by_filter = parsed_filter(given_filter) or And(())
        condition = by_filter if ids is None else IsDocument(tuple(checked_ids(ids)))
        yield from self.ready()
        self.ledger.writes.delete(condition)

    def count(self, given_filter: GivenFilter) -> Steps[int]:
        """Count the documents that meet a filter."""
        condition = parsed_filter(given_filter)
        yield from self.ready()
        return self.engine.count(self._of_heads(condition))

    def calibrate(self, texts: Sequence[str], options: CallOptions) -> Steps[None]:
        """Fit what is fitted to documents."""
        manifest = yield from self.ledger.ready_steps(options)
        outputs = outputs_of([channel.name for channel in manifest.channels])
        encoding = None
        if outputs:
            encoding = yield from self.encoder.encode_steps(texts, "document", outputs, options)
        self.ledger.manifest_for(texts, encoding)

    def channels(self) -> Steps[tuple[str, ...]]:
        """Name the channels."""
        manifest = yield from self.ready()
        return tuple(channel.name for channel in manifest.channels)

    def stats(self) -> Steps[dict[str, Any]]:
        """Give numbers on what is stored."""
        channels = yield from self.channels()
        documents = yield from self.count(None)
        return {"documents": documents, "channels": list(channels), **self.engine.stats()}

    def call(self, work: Callable[[], T]) -> Steps[T]:
        """Call something of the opened engine."""
        yield from self.ready()
        return work()

    def _of_heads(self, condition: Filter | None) -> Filter | None:
        """Give a condition that finds every document once, also one that has windows."""
        if not self.ledger.windowed():
            return condition
        return IsHead() if condition is None else And((condition, IsHead()))


def _document(passage: Passage) -> Document:
    text = passage.text if passage.whole is None else passage.whole
    return Document(id=passage.document, text=text, metadata=dict(passage.metadata))


def _listed(queries: Iterable[str | Query]) -> list[str | Query]:
    if isinstance(queries, (str, Query)):
        raise InputError("queries must be a list; search() takes a single one")
    return list(queries)
