"""What the embedding and the reranker share: which checkpoint and how to run it, pickling, comparing, printing."""

from __future__ import annotations

import logging
import os
import pickle
import reprlib
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Literal

from llama_index.core.bridge.pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from ..assembly import ModelArguments, picked
from ..backends import CheckpointSource
from ..catalogue import Pooling
from ..contracts import CallOptions, DTypeName, OnTruncation, ProgressCallback
from ..errors import InputError
from ..pool import ModelPool

log = logging.getLogger(__name__)

_OF_THIS_PROCESS = frozenset({"pool", "callback_manager"})


class Component(BaseModel):
    """Settings of a component; the weights live in the pool.

    What decides the result is written by `to_dict`. What belongs to the machine (device, download folder, timeout,
    permission to run code, pool) is not: it stays out of LlamaIndex's ingestion cache, and `from_dict` leaves it at
    its default.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    revision: str | None = Field(default=None, description="Commit, tag or branch on the hub.")
    dtype: DTypeName = Field(default="auto", description="Number format of the matrix products.")
    backend: Literal["torch", "fake"] = Field(default="torch", description='"fake" is for tests.')
    family: Literal["embedder", "m3", "cross-encoder"] | None = Field(
        default=None, description="What the checkpoint is; None believes the catalogue or its files."
    )
    pooling: Pooling | None = Field(
        default=None, description="How hidden states become one vector; None as the checkpoint says."
    )
    query_instruction: str | None = Field(
        default=None, description='Put before every query; "" for none, None for the checkpoint\'s own.'
    )
    max_tokens: int | None = Field(
        default=None, ge=1, description="Longest text or pair in tokens; None is the checkpoint's."
    )
    on_truncation: OnTruncation = Field(
        default="warn", description="When something is cut: warn, raise TextTooLongError, or say nothing."
    )
    device: str | None = Field(
        default=None, exclude=True, description="As torch spells it; None lets the pool choose."
    )
    cache_folder: str | None = Field(default=None, exclude=True, description="Folder for downloads.")
    local_files_only: bool = Field(default=False, exclude=True, description="Never ask the network.")
    trust_remote_code: bool = Field(
        default=False, exclude=True, description="Run code that comes with the checkpoint."
    )
    timeout_s: float | None = Field(
        default=None, gt=0, exclude=True, description="Seconds until a call fails with DeadlineError."
    )
    batch_size: int | None = Field(
        default=None,
        ge=1,
        exclude=True,
        description="Most texts in a forward pass; None leaves it to the pool.",
    )
    batch_tokens: int | None = Field(
        default=None,
        ge=1,
        exclude=True,
        description="Most tokens in a forward pass; None leaves it to the pool.",
    )
    pool: ModelPool | None = Field(
        default=None, exclude=True, repr=False, description="The pool to draw from; None is the shared one."
    )

    _source: CheckpointSource | None = PrivateAttr(default=None)

    def __init__(self, **arguments: Any) -> None:
        """Check the arguments; nothing is loaded before the first call.

        Raises:
            InputError: If a name is unknown or a value is wrong.
        """
        _check_names(type(self), arguments)
        arguments = {name: _plain(value) for name, value in arguments.items()}
        if arguments.get("callback_manager", self) is None:
            del arguments["callback_manager"]
        try:
            super().__init__(**arguments)
        except ValidationError as error:
            raise InputError(_told(type(self).__name__, error)) from error

    def checkpoint_source(self, model: str) -> CheckpointSource:
        """Give where the checkpoint comes from: the same object while nothing changes, as it looks at files once."""
        arguments = picked(ModelArguments, self, model=model)
        source, known = arguments.source(), self._source
        if known == source:
            return known
        self._source = source
        return source

    def call_options(self, progress: ProgressCallback | None = None) -> CallOptions:
        """Give what one call wants of the engine."""
        return picked(CallOptions, self, progress=progress).started()

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return _settings(self) == _settings(other)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        for name, field in type(self).model_fields.items():
            value = getattr(self, name)
            named = name in ("model", "model_name")
            if named or (field.repr and name != "callback_manager" and value != field.default):
                yield name, value

    def __getstate__(self) -> dict[Any, Any]:
        """Give settings only; pool and callback handlers belong to this process."""
        kept = {
            name: value
            for name, value in vars(self).items()
            if name not in _OF_THIS_PROCESS and _travels(name, value)
        }
        return {**BaseModel.__getstate__(self), "__dict__": kept, "__pydantic_private__": None}


def _check_names(component: type[BaseModel], arguments: dict[str, Any]) -> None:
    known = list(component.model_fields)
    for name in arguments:
        if name not in known:
            close = get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it takes {', '.join(known)}"
            raise InputError(f"{component.__name__} takes no argument {name!r}: {hint}")


def _plain(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _told(name: str, error: ValidationError) -> str:
    told = [
        f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}, got {reprlib.repr(one['input'])}"
        for one in error.errors(include_url=False)
    ]
    return f"{name}: {'; '.join(told)}"


def _settings(component: Component) -> dict[str, Any]:
    return {name: value for name, value in vars(component).items() if name != "callback_manager"}


def _travels(name: str, value: Any) -> bool:
    """Say whether a value can go to another process, where caches and rate limiters may not."""
    try:
        pickle.dumps(value)
    except Exception as error:  # whatever a foreign store raises: the component works without it
        log.warning("%s is not pickled with its component: %s", name, error)
        return False
    return True
