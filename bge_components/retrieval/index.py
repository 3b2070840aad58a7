"""The hybrid index: documents in, ranked documents out, over any engine, for blocking and for async callers."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Sequence, Sized
from dataclasses import replace
from typing import Any, TypeVar

from ..contracts import DEFAULT_OPTIONS, CallOptions, Priority
from ..encoders import Encoder
from ..errors import InputTypeError
from ..pool import Steps
from .contracts import Engine
from .documents import Document
from .engines.choice import engine_for
from .engines.memory import MemoryEngine
from .hits import Hit
from .ingest import IngestReport
from .ledger import Ledger
from .plan import Query, QueryPlan
from .settings import IndexSettings
from .work import Documents, GivenFilter, IndexWork

T = TypeVar("T")
_ASYNC_BATCH = 256


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
        if not isinstance(encoder, Encoder):
            raise InputTypeError(
                f'encoder must be an Encoder, got {type(encoder).__name__}: make_encoder("BAAI/bge-m3") makes one'
            )
        self.encoder = encoder
        self.engine: Engine = MemoryEngine() if engine is None else engine
        self.plan = plan or QueryPlan()
        self._work = IndexWork(self.engine, encoder, Ledger(self.engine, encoder, settings))

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
        try:
            index._drive(index._work.ready())
        except BaseException:
            index.close()
            raise
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
            try:
                yield from index._work.ready()
            except BaseException:
                index.close()
                raise
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
        return self._write(documents, options, replacing=False)

    def upsert(self, documents: Documents, options: CallOptions = DEFAULT_OPTIONS) -> IngestReport:
        """Add documents, replacing those of the same id; of equal ids the last one wins; see `add`."""
        return self._write(documents, options, replacing=True)

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
        steps = self._work.search(queries, self._planned(plan, top_k), filter, options, explain=explain)
        return self._drive(steps)

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
        steps = self._work.search(queries, self._planned(plan, top_k), filter, options, explain=explain)
        return await self._adrive(steps)

    def get(self, ids: Iterable[str]) -> list[Document | None]:
        """Give documents in the order of their ids, None where there is none."""
        return self._drive(self._work.get(ids))

    async def aget(self, ids: Iterable[str]) -> list[Document | None]:
        """Get without blocking the event loop; see `get`."""
        return await self._adrive(self._work.get(ids))

    def documents(self, filter: GivenFilter = None) -> list[Document]:
        """Give all documents (that meet a filter), in an order of the engine's own."""
        return self._drive(self._work.documents(filter))

    async def adocuments(self, filter: GivenFilter = None) -> list[Document]:
        """Give documents without blocking the event loop; see `documents`."""
        return await self._adrive(self._work.documents(filter))

    def channels(self) -> tuple[str, ...]:
        """Name the channels that the index keeps, as "dense" or "bm25"."""
        return self._drive(self._work.channels())

    async def achannels(self) -> tuple[str, ...]:
        """Name the channels without blocking the event loop; see `channels`."""
        return await self._adrive(self._work.channels())

    def delete(self, ids: Iterable[str] | None = None, *, filter: GivenFilter = None) -> None:
        """Delete documents by id, or all that meet a filter (`{}`: all); ids that are not there are ignored.

        No search that starts after this returns finds them.

        Raises:
            InputError: If neither or both are given.
        """
        self._drive(self._work.delete(ids, filter))

    async def adelete(self, ids: Iterable[str] | None = None, *, filter: GivenFilter = None) -> None:
        """Delete without blocking the event loop; see `delete`."""
        await self._adrive(self._work.delete(ids, filter))

    def count(self, filter: GivenFilter = None) -> int:
        """Count the documents (that meet a filter)."""
        return self._drive(self._work.count(filter))

    async def acount(self, filter: GivenFilter = None) -> int:
        """Count without blocking the event loop; see `count`."""
        return await self._adrive(self._work.count(filter))

    def calibrate(self, texts: Sequence[str], options: CallOptions = DEFAULT_OPTIONS) -> None:
        """Fit what is fitted to documents (BM25's average length, a projection) to a sample, before any is added.

        Without this the first batch that is added is the sample. Once fitted, it stays.
        """
        self._drive(self._work.calibrate(texts, options))

    def stats(self) -> dict[str, Any]:
        """Give numbers on what is stored: documents, and what the engine says."""
        return self._drive(self._work.stats())

    def optimize(self) -> None:
        """Let the engine build what makes search faster; searches go on meanwhile."""
        self._drive(self._work.call(self.engine.optimize))

    async def aoptimize(self) -> None:
        """Optimize without blocking the event loop; see `optimize`."""
        await self._adrive(self._work.call(self.engine.optimize), Priority.BULK)

    def flush(self) -> None:
        """Write everything to the disk."""
        self._drive(self._work.call(self.engine.flush))

    async def aflush(self) -> None:
        """Flush without blocking the event loop; see `flush`."""
        await self._adrive(self._work.call(self.engine.flush), Priority.BULK)

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
        return cls(encoder, engine_for(path), settings, plan=plan)

    def _drive(self, steps: Steps[T]) -> T:
        return self.encoder.pool.drive(steps)

    async def _adrive(self, steps: Steps[T], priority: Priority = Priority.QUERY) -> T:
        return await self.encoder.pool.adrive(steps, priority)

    def _write(self, documents: Documents, options: CallOptions, *, replacing: bool) -> IngestReport:
        report = self._drive(self._work.add(documents, options, replacing=replacing))
        return self._drive(self._work.settle(report))

    async def _awrite(
        self,
        documents: Documents | AsyncIterable[Document | str],
        options: CallOptions,
        *,
        replacing: bool,
    ) -> IngestReport:
        report, done = IngestReport(), 0
        async for part in _parts(documents):
            steps = self._work.add(part, options, replacing=replacing, before=done)
            report += await self._adrive(steps, Priority.BULK)
            done += len(part) if isinstance(part, Sized) else 0
        return await self._adrive(self._work.settle(report), Priority.BULK)

    def _planned(self, plan: QueryPlan | None, top_k: int | None) -> QueryPlan:
        chosen = self.plan if plan is None else plan
        return chosen if top_k is None else replace(chosen, top_k=top_k)


async def _parts(documents: Documents | AsyncIterable[Document | str]) -> AsyncIterator[Documents]:
    """Give what an async iterable brings in parts; anything else as it is."""
    if not isinstance(documents, AsyncIterable):
        yield documents
        return
    waiting: list[Document | str] = []
    async for document in documents:
        waiting.append(document)
        if len(waiting) == _ASYNC_BATCH:
            yield waiting
            waiting = []
    yield waiting


def _plain(work: Callable[[], T]) -> Steps[T]:
    """Give work that waits for nothing as steps."""
    yield from ()
    return work()
