"""Texts in, vectors out: prompts, tokens, the engine, and value objects in the order of the texts or their chunks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from ..backends import CheckpointSource
from ..catalogue import Checkpoint
from ..contracts import DEFAULT_OPTIONS, CallOptions, Output, Priority, Role, Span
from ..errors import InputError
from ..pool import CHUNK, Envelope, Lease, ModelPool, Steps, run_in_chunks
from ..texts import checked_texts
from ..vectors import Encoding
from .assembler import Assembler
from .chunks import LONG_TEXTS_AT_ONCE, ChunkJoiner, ChunkReader, checked_spans
from .reader import TextReader
from .settings import EncoderSettings
from .windows import WindowCutter, window_limit

DENSE = frozenset({Output.DENSE})


class Encoder(Envelope):
    """Gives the vectors of one checkpoint: dense, sparse and multi-vector, any subset from one forward pass.

    It holds settings only; the weights live in the pool and are shared with everybody who uses the checkpoint.
    It can be pickled, compared and printed, and used from any thread and any event loop.
    """

    settings: EncoderSettings

    def __init__(
        self,
        source: CheckpointSource,
        settings: EncoderSettings | None = None,
        pool: ModelPool | None = None,
    ) -> None:
        """Set up; nothing is loaded before the first call.

        Args:
            source: The checkpoint, and where and how to run it.
            settings: What to do differently from what the checkpoint says.
            pool: The pool to draw from; None is the shared one, looked up at every call.
        """
        super().__init__(source, settings or EncoderSettings(), pool)

    @property
    def checkpoint(self) -> Checkpoint:
        """The checkpoint's catalogue entry; the first look may read its files."""
        found: Checkpoint = self.source.checkpoint()
        return found

    def encode(
        self,
        texts: Iterable[str],
        role: Role = "document",
        outputs: Iterable[Output | str] = DENSE,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> Encoding:
        """Encode texts.

        Args:
            texts: What to encode; an empty list gives an encoding of length 0.
            role: Whether they are queries or documents: it chooses the instruction, and queries go first.
            outputs: What to compute: "dense", "sparse", "multi", or members of `Output`.
            options: Priority, timeout, behaviour when the queue is full, progress callback.

        Returns:
            The outputs, in the order of the texts. Dense: float32, (n, dim), unit length unless `normalize=False`.
            Sparse: token ids and weights. Multi: float32 unit rows, one per token but the first.

        Raises:
            InputTypeError: If a text is no string.
            MissingOutputError: If the checkpoint has no such output.
            TextTooLongError: If a text is too long and `on_truncation="error"`.
            CheckpointError: If the checkpoint cannot be had or run.
            PoolError: If the engine failed; see `errors`.
        """
        return self.pool.drive(self.encode_steps(texts, role, outputs, options.started()))

    async def aencode(
        self,
        texts: Iterable[str],
        role: Role = "document",
        outputs: Iterable[Output | str] = DENSE,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> Encoding:
        """Encode texts without blocking the event loop; see `encode`."""
        steps = self.encode_steps(texts, role, outputs, options.started())
        return await self.pool.adrive(steps, call_priority(options, role))

    def encode_steps(
        self,
        texts: Iterable[str],
        role: Role = "document",
        outputs: Iterable[Output | str] = DENSE,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> Steps[Encoding]:
        """Encode as steps, to be run by `ModelPool.drive` or `adrive`, or as part of other steps."""
        wanted = checked_outputs(outputs)
        options = replace(options.started(), priority=call_priority(options, role))
        texts = checked_texts(texts)
        lease: Lease = yield self.pool.open(self.source, options.remaining_s())
        with lease:
            reader = TextReader(lease, lease.checkpoint, self.settings, role, wanted)
            assembler = self._assembler(lease, wanted, len(texts))
            chunks = (reader.read(texts[start : start + CHUNK]) for start in range(0, len(texts), CHUNK))
            yield from run_in_chunks(lease, chunks, assembler.add, options, len(texts))
        reader.report()
        return assembler.encoding(tuple(reader.cut))

    def windows(
        self,
        texts: Iterable[str],
        *,
        max_tokens: int | None = None,
        overlap_tokens: int = 64,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> list[list[Span]]:
        """Find where long documents can be cut into windows that `encode` takes whole, as documents.

        Cuts are made at white space where there is some in the second half of a window, else behind punctuation,
        else between tokens.

        Args:
            texts: The documents.
            max_tokens: Of a window, prompt and special tokens included; None allows all that the encoder takes.
            overlap_tokens: That a window shares with the one before it, about: it begins with a word.
            options: Of them the timeout counts, for loading the checkpoint.

        Returns:
            For each text the (start, stop) characters of its windows, both ascending: (0, length) for one that fits.
            Every character but white space at a cut is in a window. A single character that is more tokens than
            fit is a window all the same.

        Raises:
            InputTypeError: If a text is no string.
            InputError: If windows are to be longer than what the encoder takes, or have no room for text and overlap.
            CheckpointError: If the checkpoint cannot be had or run.
        """
        steps = self.windows_steps(
            texts, max_tokens=max_tokens, overlap_tokens=overlap_tokens, options=options
        )
        return self.pool.drive(steps)

    async def awindows(
        self,
        texts: Iterable[str],
        *,
        max_tokens: int | None = None,
        overlap_tokens: int = 64,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> list[list[Span]]:
        """Find windows without blocking the event loop; see `windows`."""
        steps = self.windows_steps(
            texts, max_tokens=max_tokens, overlap_tokens=overlap_tokens, options=options
        )
        return await self.pool.adrive(steps, call_priority(options, "document"))

    def windows_steps(
        self,
        texts: Iterable[str],
        *,
        max_tokens: int | None = None,
        overlap_tokens: int = 64,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> Steps[list[list[Span]]]:
        """Find windows as steps; see `windows` and `encode_steps`."""
        texts = checked_texts(texts)
        lease: Lease = yield self.pool.open(self.source, options.started().remaining_s())
        with lease:
            reader = TextReader(lease, lease.checkpoint, self.settings, "document", DENSE)
            limit = window_limit(max_tokens, reader.max_tokens)
            return WindowCutter(lease.tokenizer, reader.prompted, limit, overlap_tokens).windows(texts)

    def encode_chunks(
        self,
        texts: Iterable[str],
        spans: Sequence[Sequence[Span]],
        outputs: Iterable[Output | str] = DENSE,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> Encoding:
        """Encode chunks of documents late: the network reads each document whole, so that chunks know their context.

        Late chunking, arXiv:2409.04701. A chunk owns the tokens that share a character with it. Special tokens and
        the prompt belong to no chunk; a chunk without tokens gets the first one, [CLS]. The dense vector of a chunk
        is the mean of its tokens' hidden states, also where the checkpoint pools whole texts by [CLS]: such a
        checkpoint was not trained for means, so measure before you prefer them to windows. A chunk over a whole text
        is therefore near to what `encode` gives where that takes means (of special tokens and prompt too), and
        something else where it takes [CLS]. Sparse weights and token vectors are those of the chunk's tokens.

        A document longer than `max_tokens` is read in several passes that overlap; a chunk may lie across them.

        Args:
            texts: The documents.
            spans: For each of them the (start, stop) characters of its chunks, in any order; they may overlap and
                need not cover it. `windows` makes some.
            outputs: As for `encode`.
            options: As for `encode`; progress counts documents.

        Returns:
            One row per chunk: those of the first text in the order of `spans[0]`, then those of the second, and so
            on. `tokens` counts the tokens of each chunk. Nothing is cut.

        Raises:
            InputTypeError: If a text is no string, or `spans` are not lists of pairs of integers.
            InputError: If `spans` are not as many as the texts, or reach beyond them.
            MissingOutputError: If the checkpoint has no such output.
            CheckpointError: If the checkpoint cannot be had or run.
            PoolError: If the engine failed; see `errors`.
        """
        return self.pool.drive(self.encode_chunks_steps(texts, spans, outputs, options.started()))

    async def aencode_chunks(
        self,
        texts: Iterable[str],
        spans: Sequence[Sequence[Span]],
        outputs: Iterable[Output | str] = DENSE,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> Encoding:
        """Encode chunks without blocking the event loop; see `encode_chunks`."""
        steps = self.encode_chunks_steps(texts, spans, outputs, options.started())
        return await self.pool.adrive(steps, call_priority(options, "document"))

    def encode_chunks_steps(
        self,
        texts: Iterable[str],
        spans: Sequence[Sequence[Span]],
        outputs: Iterable[Output | str] = DENSE,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> Steps[Encoding]:
        """Encode chunks as steps; see `encode_chunks` and `encode_steps`."""
        wanted = checked_outputs(outputs)
        options = replace(options.started(), priority=call_priority(options, "document"))
        texts = checked_texts(texts)
        chunks = checked_spans(spans, texts)
        lease: Lease = yield self.pool.open(self.source, options.remaining_s())
        with lease:
            reader = TextReader(lease, lease.checkpoint, self.settings, "document", wanted)
            count = sum(map(len, chunks))
            joiner = ChunkJoiner(count)
            passes = ChunkReader(reader, lease.tokenizer, wanted).batches(texts, chunks, joiner)
            yield from run_in_chunks(lease, passes, joiner.add, options, len(texts), LONG_TEXTS_AT_ONCE)
        assembler = self._assembler(lease, wanted, count)
        assembler.add(*joiner.chunks())
        return assembler.encoding(())

    def tokens_of(self, token_ids: Iterable[int]) -> list[str]:
        """Give the vocabulary entries of token ids, to read sparse vectors ("▁What", "##ing")."""
        with self.pool.lease(self.source) as lease:
            return lease.tokenizer.tokens_of(list(token_ids))

    def tokens_steps(
        self, texts: Iterable[str], role: Role = "document", options: CallOptions = DEFAULT_OPTIONS
    ) -> Steps[list[list[str]]]:
        """Give, as steps, the vocabulary entries that `encode` reads of each text: prompt and special tokens too.

        All but the first have a row in the token vectors of the text.
        """
        texts = checked_texts(texts)
        lease: Lease = yield self.pool.open(self.source, options.started().remaining_s())
        with lease:
            reader = TextReader(lease, lease.checkpoint, self.settings, role, DENSE)
            rows, _ = lease.tokenizer.encode([reader.prompted(text) for text in texts], reader.max_tokens)
            return [lease.tokenizer.tokens_of(row.tolist()) for row in rows]

    def _assembler(self, lease: Lease, outputs: frozenset[Output], count: int) -> Assembler:
        normalize = self.settings.normalize
        return Assembler(
            lease.info,
            lease.tokenizer.special_ids,
            outputs,
            count,
            dimensions=self.settings.dimensions,
            normalize=lease.checkpoint.normalize if normalize is None else normalize,
        )


def checked_outputs(outputs: Iterable[Output | str]) -> frozenset[Output]:
    """Give what an encoder was asked for.

    Raises:
        InputError: If it is empty, unknown, or a score, which is a reranker's.
    """
    names = [outputs] if isinstance(outputs, str) else list(outputs)
    choices = {str(output): output for output in (Output.DENSE, Output.SPARSE, Output.MULTI)}
    unknown = [str(name) for name in names if str(name) not in choices]
    if unknown or not names:
        raise InputError(f"outputs must be some of {', '.join(choices)}; got {unknown or 'none'}")
    return frozenset(choices[str(name)] for name in names)


def call_priority(options: CallOptions, role: Role) -> Priority:
    """Give the priority of a call: the caller's own, else queries before documents.

    Raises:
        InputError: If there is no such role.
    """
    if role not in ("query", "document"):
        raise InputError(f"role must be 'query' or 'document', got {role!r}")
    if options.priority is not None:
        return options.priority
    return Priority.QUERY if role == "query" else Priority.BULK
