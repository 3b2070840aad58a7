"""The constructor arguments of the classes that users come from: what they become, and which are refused."""

from __future__ import annotations

import warnings
from typing import Any

from ..errors import InputError

_EMBEDDING_NAMES = {
    "model": "model_name",
    "max_length": "max_tokens",
    "text_instruction": "document_instruction",
    "show_progress_bar": "show_progress",
    "truncate_dim": "dimensions",
}
_RERANKER_NAMES = {"model_name": "model", "max_length": "max_tokens"}

_NO_EFFECT = {
    "parallel_process": "one pool computes for all callers: "
    "give the pool several devices with PoolSettings(devices=...) or BGE_DEVICES",
    "target_devices": "the pool chooses among its devices: set PoolSettings(devices=...) or BGE_DEVICES",
}
_REFUSED = {
    "tokenizer": "the tokeniser is the checkpoint's own",
    "tokenizer_name": "the tokeniser is the checkpoint's own",
    "tokenizer_kwargs": "the tokeniser is the checkpoint's own; its length is max_tokens",
    "config_kwargs": "the checkpoint is run as it is",
    "prompts": "use query_instruction and document_instruction",
    "default_prompt_name": "use query_instruction and document_instruction",
    "similarity_fn_name": "the index chooses the similarity; vectors have unit length unless normalize=False",
    "token": "log in with `hf auth login` or set HF_TOKEN",
    "use_auth_token": "log in with `hf auth login` or set HF_TOKEN",
}
_SAID_DEPRECATED = ("model", "tokenizer", "tokenizer_name", "pooling")
_DTYPES = ("float32", "float16", "bfloat16")


class SwapWarning(UserWarning):
    """An argument of the class that was used before means something else here, or nothing."""


def embedding_arguments(given: dict[str, Any]) -> dict[str, Any]:
    """Translate what `HuggingFaceEmbedding` takes.

    Args:
        given: The arguments as the user wrote them.

    Returns:
        The arguments of `BGEEmbedding`; names that are unknown to both stay as they are.

    Raises:
        InputError: If an argument makes no sense here, or the same thing is given twice.
    """
    given = {k: v for k, v in given.items() if not (k in _SAID_DEPRECATED and v == "deprecated")}
    given = _without_model_kwargs(given, "model_kwargs")
    return _renamed(_without_idle(given), _EMBEDDING_NAMES)


def reranker_arguments(given: dict[str, Any]) -> dict[str, Any]:
    """Translate what `FlagEmbeddingReranker` and `SentenceTransformerRerank` take; see `embedding_arguments`."""
    given = dict(given)
    for name, value in (given.pop("cross_encoder_kwargs", None) or {}).items():
        _put(given, name, value, f"cross_encoder_kwargs[{name!r}]")
    given = _without_model_kwargs(given, "model_kwargs")
    given = _without_fp16(given)
    return _renamed(_without_idle(given), _RERANKER_NAMES)


def _without_idle(given: dict[str, Any]) -> dict[str, Any]:
    """Drop what has no effect, and refuse what would have had one."""
    kept = {}
    for name, value in given.items():
        if name in _REFUSED and value is not None:
            raise InputError(f"{name} is not taken: {_REFUSED[name]}")
        if name in _NO_EFFECT and value:
            warnings.warn(f"{name} has no effect: {_NO_EFFECT[name]}", SwapWarning, stacklevel=4)
        if name not in _REFUSED and name not in _NO_EFFECT:
            kept[name] = value
    return kept


def _without_model_kwargs(given: dict[str, Any], group: str) -> dict[str, Any]:
    given = dict(given)
    for name, value in (given.pop(group, None) or {}).items():
        if name not in ("torch_dtype", "dtype"):
            raise InputError(f"{group}[{name!r}] is not taken: of {group} only 'dtype' makes sense here")
        if value is not None:
            _put(given, "dtype", _dtype_name(value), f"{group}[{name!r}]")
    return given


def _without_fp16(given: dict[str, Any]) -> dict[str, Any]:
    """Translate `use_fp16`; only `FlagEmbeddingReranker` has it, whose scores were logits."""
    if "use_fp16" not in given:
        return given
    given = dict(given)
    half = bool(given.pop("use_fp16"))
    _put(given, "dtype", "auto" if half else "float32", "use_fp16")
    if half:
        message = 'use_fp16=True became dtype="auto": 16 bits where the device gains by it. '
    else:
        message = 'use_fp16=False became dtype="float32". '
    if "scores" not in given:
        message += 'Scores lie between 0 and 1; FlagEmbeddingReranker gave logits: for those, scores="raw". '
    if "top_n" not in given:
        message += "Three nodes are kept; FlagEmbeddingReranker kept two: for that, top_n=2. "
    warnings.warn(message.strip(), SwapWarning, stacklevel=4)
    return given


def _renamed(given: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    renamed: dict[str, Any] = {}
    for name, value in given.items():
        new = names.get(name, name)
        if name in names and value is None:
            continue
        _put(renamed, new, value, name)
    return renamed


def _put(arguments: dict[str, Any], name: str, value: Any, written: str) -> None:
    if arguments.get(name) is not None and arguments[name] != value:
        if written == name:
            written = _other_name(name)
        raise InputError(
            f"{written} and {name} are the same thing, but {value!r} and {arguments[name]!r} were given"
        )
    arguments[name] = value


def _dtype_name(value: Any) -> str:
    name = str(value).removeprefix("torch.")
    if name not in (*_DTYPES, "auto"):
        raise InputError(f"dtype must be auto or one of {', '.join(_DTYPES)}; got {name!r}")
    return name


def _other_name(name: str) -> str:
    """Give the foreign word for one of ours, where the same thing was given under both."""
    known = {**_EMBEDDING_NAMES, **_RERANKER_NAMES}
    return next((old for old, new in known.items() if new == name), name)
