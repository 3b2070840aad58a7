"""From the arguments that users write to an encoder or a reranker: the one place where the parts are chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Literal, TypeVar

from .backends import CheckpointSource
from .catalogue import Family, Pooling
from .contracts import CallOptions, DTypeName, Float32, Output
from .encoders import Encoder, EncoderSettings
from .errors import InputError, MissingOutputError
from .pool import Lease, ModelPool, Steps
from .rerankers import CrossEncoder, LateInteraction, RerankerSettings, StepReranker
from .settings import HubSettings

Settings = TypeVar("Settings", "ModelArguments", EncoderSettings, RerankerSettings, CallOptions)


@dataclass(frozen=True, kw_only=True)
class ModelArguments:
    """Which checkpoint, from where, and how to run it: what every component takes.

    Attributes:
        model: Name in the catalogue or on the hub, path of a folder, or "mini", the packaged checkpoint.
        revision: Commit, tag or branch on the hub.
        device: As torch spells it; None lets the pool choose.
        dtype: Number format of the matrix products; "auto" chooses by device and processor.
        backend: "torch", or "fake" for tests.
        family: "embedder", "m3" or "cross-encoder", instead of what the catalogue or the files say.
        pooling: "cls" or "mean", instead of what the catalogue or the files say.
        cache_folder: Folder for downloads; None uses the hub's own.
        local_files_only: Never ask the network.
        trust_remote_code: Run code that comes with this checkpoint. Off unless you have read that code.
    """

    model: str
    revision: str | None = None
    device: str | None = None
    dtype: DTypeName = "auto"
    backend: Literal["torch", "fake"] = "torch"
    family: Family | Literal["embedder", "m3", "cross-encoder"] | None = None
    pooling: Pooling | None = None
    cache_folder: str | None = None
    local_files_only: bool = False
    trust_remote_code: bool = False

    def source(self) -> CheckpointSource:
        """Give the source that the pool loads from."""
        return CheckpointSource(
            model=self.model,
            revision=self.revision,
            device=self.device,
            dtype=self.dtype,
            backend=self.backend,
            family=None if self.family is None else checked_family(self.family),
            pooling=self.pooling,
            trust_remote_code=self.trust_remote_code,
            hub=HubSettings(cache_folder=self.cache_folder, local_files_only=self.local_files_only),
        )


def picked(kind: type[Settings], component: object, **own: Any) -> Settings:
    """Make settings of a kind from a component's attributes of the same names.

    Args:
        kind: `ModelArguments`, `EncoderSettings`, `RerankerSettings` or `CallOptions`.
        component: Anything that has some of the fields; the others keep their defaults.
        own: Fields given outright.
    """
    names = [field.name for field in fields(kind) if field.name not in own and hasattr(component, field.name)]
    return kind(**{name: getattr(component, name) for name in names}, **own)


def checked_family(family: str) -> Family:
    """Give the family of this name.

    Raises:
        InputError: If there is none.
    """
    try:
        return Family(family)
    except ValueError as error:
        known = ", ".join(str(one) for one in Family)
        raise InputError(f"family must be one of {known}; got {family!r}") from error


def make_encoder(
    arguments: ModelArguments | str, settings: EncoderSettings | None = None, pool: ModelPool | None = None
) -> Encoder:
    """Give an encoder; nothing is loaded. A name alone will do for `arguments`."""
    return Encoder(_arguments(arguments).source(), settings, pool)


def make_reranker(
    arguments: ModelArguments | str, settings: RerankerSettings | None = None, pool: ModelPool | None = None
) -> Reranker:
    """Give a reranker of whatever kind the checkpoint is; nothing is loaded. A name alone will do."""
    return Reranker(_arguments(arguments).source(), settings, pool)


def _arguments(given: ModelArguments | str) -> ModelArguments:
    return ModelArguments(model=given) if isinstance(given, str) else given


class Reranker(StepReranker):
    """A reranker that lets the checkpoint decide: a cross-encoder scores pairs, a multi-vector encoder compares.

    The checkpoint is looked at in the first call, not in the constructor.
    """

    def raw_score_steps(self, pairs: Sequence[tuple[str, str]], options: CallOptions) -> Steps[Float32]:
        """Score pairs with the kind of reranker that the checkpoint is."""
        lease: Lease = yield self.pool.open(self.source, options.remaining_s())
        with lease:
            chosen = self._chosen(lease.info.outputs)
            scores: Any = yield from chosen.raw_score_steps(pairs, options)
        return scores  # type: ignore[no-any-return]

    def _chosen(self, outputs: frozenset[Output]) -> StepReranker:
        if Output.SCORE in outputs:
            return CrossEncoder(self.source, self.settings, self._pool)
        if Output.MULTI in outputs:
            self._refuse_windows()
            encoder = Encoder(self.source, picked(EncoderSettings, self.settings), self._pool)
            return LateInteraction(encoder, self.settings)
        raise MissingOutputError(
            f"{self.name} is an embedder with one vector per text and cannot rerank: use a reranker such as "
            "BAAI/bge-reranker-v2-m3, or a checkpoint with token vectors such as BAAI/bge-m3 or 'mini'"
        )

    def _refuse_windows(self) -> None:
        given = [
            name
            for name in ("long_passages", "window_overlap", "query_max_tokens")
            if getattr(self.settings, name) != getattr(RerankerSettings(), name)
        ]
        if given:
            raise InputError(
                f"{', '.join(given)} is for cross-encoders, but {self.name} reranks by its token vectors: it reads "
                "a passage up to max_tokens; leave it out, or set max_tokens"
            )
