"""Texts in, vectors out: prompts, tokens, the engine, and value objects in the order of the texts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from ..backends import CheckpointSource
from ..catalogue import Checkpoint
from ..contracts import DEFAULT_OPTIONS, CallOptions, Output, Priority, Role
from ..errors import InputError
from ..pool import CHUNK, Envelope, Lease, ModelPool, Steps, run_in_chunks
from ..texts import checked_texts
from ..vectors import Encoding
from .assembler import Assembler
from .reader import TextReader
from .settings import EncoderSettings

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
            assembler = self._assembler(lease, wanted)
            chunks = (reader.read(texts[start : start + CHUNK]) for start in range(0, len(texts), CHUNK))
            yield from run_in_chunks(lease, chunks, assembler.add, options, len(texts))
        reader.report()
        return assembler.encoding(tuple(reader.cut))

    def tokens_of(self, token_ids: Iterable[int]) -> list[str]:
        """Give the vocabulary entries of token ids, to read sparse vectors ("▁What", "##ing")."""
        with self.pool.lease(self.source) as lease:
            return lease.tokenizer.tokens_of(list(token_ids))

    def _assembler(self, lease: Lease, outputs: frozenset[Output]) -> Assembler:
        normalize = self.settings.normalize
        return Assembler(
            lease.info,
            lease.tokenizer.special_ids,
            outputs,
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
