"""What every component of this room has in common: which model, how to run it, and being settings only."""

from __future__ import annotations

import os
from difflib import get_close_matches
from typing import Annotated, Any, Literal

from langchain_core.load.serializable import Serializable
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    SkipValidation,
    ValidationError,
)

from ..assembly import ModelArguments, picked
from ..backends import CheckpointSource
from ..backends.source import Backend
from ..catalogue import Pooling
from ..contracts import CallOptions, DTypeName, OnTruncation, ProgressCallback
from ..errors import InputError
from ..pool import ModelPool


def _path_as_text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


NameOrPath = Annotated[str, BeforeValidator(_path_as_text)]
Count = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Component(Serializable):
    """Settings that draw on the shared pool when they are used.

    Making one loads nothing. It can be printed, compared, copied, pickled and, with LangChain's `dumps`, written
    as JSON; a pickle holds the settings and no weights, and uses the shared pool where it is opened.
    """

    model_config = ConfigDict(
        extra="forbid",
        protected_namespaces=(),
        arbitrary_types_allowed=True,
        validate_assignment=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )

    model: NameOrPath
    """Name in the catalogue or on the hub, path of a folder, or "mini", the packaged checkpoint.
    Also accepted as `model_name`."""
    revision: str | None = None
    """Commit, tag or branch on the hub."""
    device: str | None = None
    """As torch spells it ("cpu", "cuda:0"); None lets the pool choose."""
    dtype: DTypeName = "auto"
    """Number format of the matrix products; "auto" chooses by device and processor."""
    cache_folder: NameOrPath | None = None
    """Folder for downloads; None uses the hub's own (`HF_HOME`)."""
    local_files_only: bool = False
    """Never ask the network; also set by `HF_HUB_OFFLINE=1`."""
    trust_remote_code: bool = False
    """Run code that comes with this checkpoint. Off unless you have read that code."""
    backend: Backend = "torch"
    """Who runs the model; "fake" is deterministic, loads nothing and is for tests."""
    family: Literal["embedder", "m3", "cross-encoder"] | None = None
    """What the checkpoint is; None believes the catalogue or its files."""
    pooling: Pooling | None = None
    """How hidden states become one vector ("cls", "mean"); None as the checkpoint says."""
    query_instruction: str | None = None
    """Put before every query; None means the checkpoint's own, "" means none."""
    max_tokens: Count | None = None
    """Longest input in tokens, special tokens included; None takes what the catalogue recommends."""
    on_truncation: OnTruncation = "warn"
    """When something is cut to that length: warn once per call, raise `TextTooLongError`, or say nothing."""
    timeout_s: Seconds | None = None
    """Seconds until a call fails with `DeadlineError`; None waits."""
    batch_size: Count | None = None
    """Most texts in a forward pass that holds one of this component; None leaves it to the pool, which fills
    batches by tokens."""
    batch_tokens: Count | None = None
    """Most tokens in such a forward pass; None leaves it to the pool."""
    show_progress: bool = False
    """Show a progress bar on stderr."""
    pool: SkipValidation[ModelPool | None] = Field(default=None, exclude=True, repr=False)
    """The pool to draw from; None is the one that the whole process shares. Batches are the pool's affair:
    `ModelPool(PoolSettings(batch=BatchSettings(max_tokens=...)))`. Not part of the settings: it is neither
    compared nor written anywhere."""

    _last_source: CheckpointSource | None = PrivateAttr(default=None)

    def __init__(self, **arguments: Any) -> None:
        """Check the settings; nothing is loaded.

        Raises:
            InputError: If an argument is unknown or makes no sense.
        """
        try:
            super().__init__(**_with_model_name(arguments))
        except ValidationError as error:
            raise refusal(type(self), error) from error

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Say that `langchain_core.load.dumps` may write it."""
        return True

    @property
    def model_name(self) -> str:
        """The name of the checkpoint, as other integrations call it."""
        return self.model

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Component):
            return NotImplemented
        return type(self) is type(other) and self.model_dump() == other.model_dump()

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        return {**state, "__dict__": {**state["__dict__"], "pool": None}}

    def _source(self) -> CheckpointSource:
        """Give the source of the model; the same one while the settings are, as it remembers what it found."""
        arguments = picked(ModelArguments, self)
        source = arguments.source()
        if source != self._last_source:
            self._last_source = source
        return self._last_source or source

    def _call_options(self, progress: ProgressCallback | None = None) -> CallOptions:
        return picked(CallOptions, self, progress=progress).started()


def _with_model_name(arguments: dict[str, Any]) -> dict[str, Any]:
    """Give the arguments with `model_name` under its own name, `model`."""
    if "model_name" not in arguments:
        return arguments
    renamed = dict(arguments)
    name = renamed.pop("model_name")
    if renamed.setdefault("model", name) != name:
        raise InputError(f"model={renamed['model']!r} and model_name={name!r} were given: give one of them")
    return renamed


def refusal(component: type[BaseModel], error: ValidationError) -> InputError:
    """Say what is wrong with which argument, without the values: they may be secret."""
    known = list(component.model_fields)
    found = [f"{'.'.join(str(part) for part in one['loc'])}: {_told(one, known)}" for one in error.errors()]
    return InputError(f"{component.__name__} cannot be made: {'; '.join(found)}")


def _told(one: Any, known: list[str]) -> str:
    if one["type"] != "extra_forbidden":
        return str(one["msg"])
    near = get_close_matches(str(one["loc"][-1]), known, n=1)
    return (
        f"no such argument, did you mean {near[0]!r}?"
        if near
        else f"no such argument; it takes {', '.join(known)}"
    )
