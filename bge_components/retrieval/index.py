"""The hybrid index: documents in, ranked documents out, over any engine, for blocking and for async callers."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Callable, Iterable, Mapping, Sequence, Sized
from dataclasses import replace
from typing import Any, TypeVar

from ..contracts import DEFAULT_OPTIONS, CallOptions, Priority, Progress
from ..encoders import Encoder
from ..errors import InputError, InputTypeError
from ..pool import Steps
from .contracts import Engine, Passage
from .documents import Document, checked_documents, checked_ids
from .engines.memory import MemoryEngine
from .filters import And, Filter, IsDocument, parsed_filter
from .hits import Hit
from .ingest import IngestReport, batches, ingest_steps
from .ledger import Ledger
from .manifest import Manifest
from .plan import Query, QueryPlan
from .search import Search
from .settings import IndexSettings
from .vectorizer import Vectorizer, outputs_of

T = TypeVar("T")
GivenFilter = Filter | Mapping[str, Any] | None
Documents = Iterable[Document | str]
_ASYNC_BATCH = 256
_BULK = 10_000
"""A call that stored so many documents ends with optimising the engine: nobody waits for it by the second."""


class HybridIndex:
    """Documents that are found by dense vectors, sparse vectors, words and token vectors together.

    One forward pass gives every channel that the index keeps. Search recalls from each channel, fuses, lets token
    vectors and rerankers order the best again, and says of every hit why it was found.

    Any thread and any event loop may use it. The async methods never run the engine on the event loop's thread.

    Example:
        ```python
        index = HybridIndex(make_encoder("BAAI/bge-m3"))
        index.add([Document(id="1", text="BGE-M3 gives three outputs.", metadata={"lang": "en"})])
        hits = index.search("What does M3 give?", filter={"lang": "en"}, explain=True)
        ```
    """

    def __init__(
        self,
        encoder: Encoder,
        engine: Engine | None = None,
        settings: IndexSettings | None = None,
        *,
        plan: QueryPlan | None = None,
    ) -> None:
        """Set up; nothing is loaded or opened before the first use.

        Args:
            encoder: Whose vectors are kept.
            engine: Where; None keeps everything in memory, exactly searched, gone with the process.
            settings: What a new index keeps; None takes those of the index that is there, or the defaults.
            plan: How it is searched unless a search says otherwise.
        """
        self.encoder = encoder
        self.engine: Engine = MemoryEngine() if engine is None else engine
        self.plan = plan or QueryPlan()
        self._ledger = Ledger(self.engine, encoder, settings)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        encoder: Encoder,
        settings: IndexSettings | None = None,
        *,
        plan: QueryPlan | None = None,
    ) -> HybridIndex:
        """Open the index in a folder, or make a new one there, kept by the embedded engine (extra "edge").

        Blocks until the encoder's checkpoint is at hand; see `aopen`.

        Args:
            path: A folder of its own; it is made if missing.
            encoder: The one that the index was made with.
            settings: For a new index; None takes those of the index that is there, or the defaults.
            plan: How it is searched unless a search says otherwise.

        Raises:
            IndexMismatchError: If it was made with another encoder or other settings.
            IndexHeldError: If another process holds it.
            MissingDependencyError: If qdrant-edge-py is not installed.
        """
        index = cls._in_folder(path, encoder, settings, plan)
        index._drive(index._ledger.ready_steps(DEFAULT_OPTIONS))
        return index

    @classmethod
    async def aopen(
        cls,
        path: str | os.PathLike[str],
        encoder: Encoder,
        settings: IndexSettings | None = None,
        *,
        plan: QueryPlan | None = None,
    ) -> HybridIndex:
        """Open without blocking the event loop; see `open`."""

        def steps() -> Steps[HybridIndex]:
            index = cls._in_folder(path, encoder, settings, plan)
            yield from index._ledger.ready_steps(DEFAULT_OPTIONS)
            return index

        return await encoder.pool.adrive(steps())

    def __repr__(self) -> str:
        return f"HybridIndex({self.encoder!r}, {self.engine!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> HybridIndex:
        return self

    def __getstate__(self) -> dict[str, Any]:
        raise InputTypeError(
            f"{self!r} is open in this process, and no pickle can hold it: open one where it is needed"
        )

    def __enter__(self) -> HybridIndex:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    async def __aenter__(self) -> HybridIndex:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.aclose()

    def add(self, documents: Documents, options: CallOptions = DEFAULT_OPTIONS) -> IngestReport:
        """Add documents; those that are there already with the same text and metadata are passed over.

        So an ingest that was interrupted goes on where it stopped when it is run again: what was acknowledged is not
        encoded again. Documents are taken from the iterable as they are needed, some hundreds at a time. A call that
        stored 10,000 or more ends with `optimize`, where the engine has something to build.

        Args:
            documents: Any iterable; a plain string is a document without id and metadata.
            options: Priority, timeout (for each batch), progress callback (documents done; the total is what is
                known so far where the iterable has no length).

        Returns:
            What was stored, passed over and cut.

        Raises:
            InputError: If a document is no document, or its id is there with other contents. Batches before it are
                stored.
            IndexStoreError: If the engine fails; everything acknowledged stays.
        """
        return self._drive(self._write_steps(documents, options, replacing=False))

    def upsert(self, documents: Documents, options: CallOptions = DEFAULT_OPTIONS) -> IngestReport:
        """Add documents, replacing those of the same id; of equal ids the last one wins; see `add`."""
        return self._drive(self._write_steps(documents, options, replacing=True))

    async def aadd(
        self, documents: Documents | AsyncIterable[Document | str], options: CallOptions = DEFAULT_OPTIONS
    ) -> IngestReport:
        """Add without blocking the event loop; async iterables are taken too; see `add`."""
        return await self._awrite(documents, options, replacing=False)

    async def aupsert(
        self, documents: Documents | AsyncIterable[Document | str], options: CallOptions = DEFAULT_OPTIONS
    ) -> IngestReport:
        """Upsert without blocking the event loop; async iterables are taken too; see `upsert`."""
        return await self._awrite(documents, options, replacing=True)

    def search(
        self,
        query: str | Query,
        *,
        top_k: int | None = None,
        filter: GivenFilter = None,
        plan: QueryPlan | None = None,
        explain: bool = False,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> list[Hit]:
        """Find documents.

        Args:
            query: A text, or a `Query` that brings vectors.
            top_k: How many; None is the plan's.
            filter: A `Filter`, or a mapping such as `{"lang": "en", "year": {"$gte": 2020}}`.
            plan: Instead of the index's own.
            explain: Let hits say which tokens matched.
            options: For encoder and rerankers.

        Returns:
            At most `top_k` hits, best first; equal scores in an order that is always the same.

        Raises:
            FilterError: If the filter makes no sense.
            MissingChannelError: If the plan asks for a channel that the index does not keep.
        """
        return self.search_batch(
            [query], top_k=top_k, filter=filter, plan=plan, explain=explain, options=options
        )[0]

    def search_batch(
        self,
        queries: Iterable[str | Query],
        *,
        top_k: int | None = None,
        filter: GivenFilter = None,
        plan: QueryPlan | None = None,
        explain: bool = False,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> list[list[Hit]]:
        """Search for many queries, which are encoded together; see `search`."""
        return self._drive(self._search_steps(queries, top_k, filter, plan, options, explain=explain))

    async def asearch(
        self,
        query: str | Query,
        *,
        top_k: int | None = None,
        filter: GivenFilter = None,
        plan: QueryPlan | None = None,
        explain: bool = False,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> list[Hit]:
        """Search without blocking the event loop; see `search`."""
        found = await self.asearch_batch(
            [query], top_k=top_k, filter=filter, plan=plan, explain=explain, options=options
        )
        return found[0]

    async def asearch_batch(
        self,
        queries: Iterable[str | Query],
        *,
        top_k: int | None = None,
        filter: GivenFilter = None,
        plan: QueryPlan | None = None,
        explain: bool = False,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> list[list[Hit]]:
        """Search for many queries without blocking the event loop; see `search_batch`."""
        steps = self._search_steps(queries, top_k, filter, plan, options, explain=explain)
        return await self._adrive(steps)

    def get(self, ids: Iterable[str]) -> list[Document | None]:
        """Give documents in the order of their ids, None where there is none."""
        return self._drive(self._when_ready(lambda _: _documents(self.engine, checked_ids(ids))))

    async def aget(self, ids: Iterable[str]) -> list[Document | None]:
        """Get without blocking the event loop; see `get`."""
        return await self._adrive(self._when_ready(lambda _: _documents(self.engine, checked_ids(ids))))

    def documents(self, filter: GivenFilter = None) -> list[Document]:
        """Give all documents (that meet a filter), in an order of the engine's own."""
        return self._drive(self._when_ready(lambda _: self._scanned(filter)))

    async def adocuments(self, filter: GivenFilter = None) -> list[Document]:
        """Give documents without blocking the event loop; see `documents`."""
        return await self._adrive(self._when_ready(lambda _: self._scanned(filter)))

    def channels(self) -> tuple[str, ...]:
        """Name the channels that the index keeps, as "dense" or "bm25"."""
        return self._drive(self._when_ready(_channel_names))

    async def achannels(self) -> tuple[str, ...]:
        """Name the channels without blocking the event loop; see `channels`."""
        return await self._adrive(self._when_ready(_channel_names))

    def delete(self, ids: Iterable[str] | None = None, *, filter: GivenFilter = None) -> None:
        """Delete documents by id, or all that meet a filter (`{}`: all); ids that are not there are ignored.

        No search that starts after this returns finds them.

        Raises:
            InputError: If neither or both are given.
        """
        self._drive(self._delete_steps(ids, filter))

    async def adelete(self, ids: Iterable[str] | None = None, *, filter: GivenFilter = None) -> None:
        """Delete without blocking the event loop; see `delete`."""
        await self._adrive(self._delete_steps(ids, filter))

    def count(self, filter: GivenFilter = None) -> int:
        """Count the documents (that meet a filter)."""
        return self._drive(self._when_ready(lambda _: self._counted(filter)))

    async def acount(self, filter: GivenFilter = None) -> int:
        """Count without blocking the event loop; see `count`."""
        return await self._adrive(self._when_ready(lambda _: self._counted(filter)))

    def calibrate(self, texts: Sequence[str], options: CallOptions = DEFAULT_OPTIONS) -> None:
        """Fit what is fitted to documents (BM25's average length, a projection) to a sample, before any is added.

        Without this the first batch that is added is the sample. Once fitted, it stays.
        """
        self._drive(self._calibrate_steps(texts, options))

    def stats(self) -> dict[str, Any]:
        """Give numbers on what is stored: documents, and what the engine says."""
        return self._drive(self._when_ready(self._stats))

    def optimize(self) -> None:
        """Let the engine build what makes search faster; searches go on meanwhile."""
        self._drive(self._when_ready(lambda _: self.engine.optimize()))

    async def aoptimize(self) -> None:
        """Optimize without blocking the event loop; see `optimize`."""
        await self._adrive(self._when_ready(lambda _: self.engine.optimize()), Priority.BULK)

    def flush(self) -> None:
        """Write everything to the disk."""
        self._drive(self._when_ready(lambda _: self.engine.flush()))

    async def aflush(self) -> None:
        """Flush without blocking the event loop; see `flush`."""
        await self._adrive(self._when_ready(lambda _: self.engine.flush()), Priority.BULK)

    def close(self) -> None:
        """Close the engine. The pool stays, it belongs to the process. A second call does nothing."""
        self.engine.close()

    async def aclose(self) -> None:
        """Close without blocking the event loop; see `close`."""
        await self._adrive(_plain(self.engine.close))

    @classmethod
    def _in_folder(
        cls,
        path: str | os.PathLike[str],
        encoder: Encoder,
        settings: IndexSettings | None,
        plan: QueryPlan | None,
    ) -> HybridIndex:
        from .engines.edge import EdgeEngine

        return cls(encoder, EdgeEngine(path), settings, plan=plan)

    def _drive(self, steps: Steps[T]) -> T:
        return self.encoder.pool.drive(steps)

    async def _adrive(self, steps: Steps[T], priority: Priority = Priority.QUERY) -> T:
        return await self.encoder.pool.adrive(steps, priority)

    def _when_ready(self, work: Callable[[Manifest], T]) -> Steps[T]:
        manifest = yield from self._ledger.ready_steps(DEFAULT_OPTIONS)
        return work(manifest)

    def _search_steps(
        self,
        queries: Iterable[str | Query],
        top_k: int | None,
        given_filter: GivenFilter,
        plan: QueryPlan | None,
        options: CallOptions,
        *,
        explain: bool,
    ) -> Steps[list[list[Hit]]]:
        options = options.started()
        asked = [one if isinstance(one, Query) else Query(text=one) for one in _listed(queries)]
        chosen = self.plan if plan is None else plan
        manifest = yield from self._ledger.ready_steps(options)
        search = Search(
            engine=self.engine,
            vectorizer=Vectorizer.of(self.encoder, manifest),
            manifest=manifest,
            plan=chosen if top_k is None else replace(chosen, top_k=top_k),
            condition=parsed_filter(given_filter),
            explain=explain,
            options=options,
        )
        return (yield from search.steps(asked))

    def _write_steps(
        self, documents: Documents, options: CallOptions, *, replacing: bool
    ) -> Steps[IngestReport]:
        manifest = yield from self._ledger.ready_steps(options.started())
        total = len(documents) if isinstance(documents, Sized) else None
        report, done = IngestReport(), 0
        for batch in batches(checked_documents(documents)):
            part = replace(options, progress=None).started()
            report += yield from ingest_steps(self._ledger, batch, manifest, part, replacing=replacing)
            done += len(batch)
            if options.progress is not None:
                options.progress(Progress(done, done if total is None else total))
        if report.stored >= _BULK and self.engine.capabilities.approximate:
            self.engine.optimize()
        return report

    async def _awrite(
        self,
        documents: Documents | AsyncIterable[Document | str],
        options: CallOptions,
        *,
        replacing: bool,
    ) -> IngestReport:
        if not isinstance(documents, AsyncIterable):
            return await self._adrive(
                self._write_steps(documents, options, replacing=replacing), Priority.BULK
            )
        report, waiting = IngestReport(), list[Document | str]()
        async for document in documents:
            waiting.append(document)
            if len(waiting) == _ASYNC_BATCH:
                report += await self._awrite(waiting, options, replacing=replacing)
                waiting = []
        return report + await self._awrite(waiting, options, replacing=replacing)

    def _calibrate_steps(self, texts: Sequence[str], options: CallOptions) -> Steps[None]:
        manifest = yield from self._ledger.ready_steps(options)
        outputs = outputs_of([channel.name for channel in manifest.channels])
        encoding = None
        if outputs:
            encoding = yield from self.encoder.encode_steps(texts, "document", outputs, options)
        self._ledger.manifest_for(texts, encoding)

    def _delete_steps(self, ids: Iterable[str] | None, given_filter: GivenFilter) -> Steps[None]:
        if (ids is None) == (given_filter is None):
            raise InputError("delete() wants ids or a filter, one of them")
        condition = (
            parsed_filter(given_filter) or And(()) if ids is None else IsDocument(tuple(checked_ids(ids)))
        )
        yield from self._ledger.ready_steps(DEFAULT_OPTIONS)
        self.engine.delete_where(condition)

    def _counted(self, given_filter: GivenFilter) -> int:
        condition = parsed_filter(given_filter)
        if not self._ledger.windowed():
            return self.engine.count(condition)
        return sum(_is_head(point.passage) for batch in self.engine.scan(condition) for point in batch)

    def _scanned(self, given_filter: GivenFilter) -> list[Document]:
        found = self.engine.scan(parsed_filter(given_filter))
        return [_document(point.passage) for batch in found for point in batch if _is_head(point.passage)]

    def _stats(self, manifest: Manifest) -> dict[str, Any]:
        return {
            "documents": self._counted(None),
            "channels": list(_channel_names(manifest)),
            **self.engine.stats(),
        }


def _channel_names(manifest: Manifest) -> tuple[str, ...]:
    return tuple(channel.name for channel in manifest.channels)


def _documents(engine: Engine, ids: Sequence[str]) -> list[Document | None]:
    points = engine.get([engine.point_id(one) for one in ids])
    return [None if point is None else _document(point.passage) for point in points]


def _document(passage: Passage) -> Document:
    text = passage.text if passage.whole is None else passage.whole
    return Document(id=passage.document, text=text, metadata=dict(passage.metadata))


def _is_head(passage: Passage) -> bool:
    return passage.window is None or not passage.window.number


def _listed(queries: Iterable[str | Query]) -> list[str | Query]:
    if isinstance(queries, (str, Query)):
        raise InputError("queries must be a list; search() takes a single one")
    return list(queries)


def _plain(work: Callable[[], T]) -> Steps[T]:
    """Give work that waits for nothing as steps."""
    yield from ()
    return work()
