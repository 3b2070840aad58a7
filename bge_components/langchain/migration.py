"""Constructor calls of LangChain's Hugging Face classes in our words, and a warning that says what a swap changes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from ..contracts import Role
from ..errors import InputError
from .old_arguments import CROSS_ENCODER, ENCODE, MODEL, WEIGHTS, Translation, kwargs_of

_OLD = (
    "model_kwargs",
    "encode_kwargs",
    "query_encode_kwargs",
    "embed_instruction",
    "multi_process",
)
_OWN_PROMPTS: dict[Role, tuple[str, ...]] = {"query": ("query",), "document": ("document", "passage")}


class MigrationWarning(UserWarning):
    """Arguments of another class were translated; the message says what changes."""


def migrated_embeddings(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the arguments of `HuggingFaceBgeEmbeddings` and `HuggingFaceEmbeddings`.

    Args:
        arguments: What a constructor was given, in the old words, in ours, or both.

    Returns:
        The arguments in our words; the same ones if there was no old word among them.

    Raises:
        InputError: If something old is unknown, makes no sense here, or contradicts something else.
    """
    old, translation = _split(arguments, _OLD)
    if not old:
        return translation.new
    model, encode = kwargs_of(old, "model_kwargs"), kwargs_of(old, "encode_kwargs")
    for_queries = kwargs_of(old, "query_encode_kwargs")
    translation.take("model_kwargs", model, MODEL)
    translation.take("model_kwargs['model_kwargs']", kwargs_of(model, "model_kwargs"), WEIGHTS)
    translation.take("encode_kwargs", encode, ENCODE)
    translation.take("query_encode_kwargs", for_queries, ENCODE)
    translation.put("normalize", _normalize(encode, for_queries), "normalize_embeddings")
    translation.put("document_instruction", old.get("embed_instruction"), "embed_instruction")
    translation.put("document_instruction", _prompt("document", encode, model), "the prompt of encode_kwargs")
    translation.put(
        "query_instruction", _prompt("query", for_queries or encode, model), "the prompt of queries"
    )
    if old.get("multi_process"):
        translation.without_effect["multi_process"] = "the pool uses every device it was given"
    changes = [*_changes(translation.new), *_ignored(translation)]
    _warn(
        old, [*changes, "documents embedded before should be embedded again rather than mixed with new ones"]
    )
    return translation.new


def migrated_cross_encoder(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Translate the arguments of `HuggingFaceCrossEncoder`; see `migrated_embeddings`."""
    old, translation = _split(arguments, ("model_kwargs",))
    if not old:
        return translation.new
    model = kwargs_of(old, "model_kwargs")
    translation.take("model_kwargs", model, CROSS_ENCODER)
    translation.take("model_kwargs['model_kwargs']", kwargs_of(model, "model_kwargs"), WEIGHTS)
    changes = (
        [] if "max_tokens" in translation.new else ["pairs are cut to the checkpoint's recommended length"]
    )
    _warn(old, [*changes, *_number_format(translation.new), *_ignored(translation)])
    return translation.new


def _split(arguments: Mapping[str, Any], names: tuple[str, ...]) -> tuple[dict[str, Any], Translation]:
    old = {name: arguments[name] for name in names if name in arguments}
    return old, Translation({name: value for name, value in arguments.items() if name not in old})


def _normalize(encode: Mapping[str, Any], for_queries: Mapping[str, Any]) -> bool | None:
    """Give True if it was asked for; False left the checkpoint's own normalisation on, so it means None."""
    said = {
        bool(one["normalize_embeddings"]) for one in (encode, for_queries) if "normalize_embeddings" in one
    }
    if len(said) > 1:
        raise InputError(
            "normalize_embeddings differs between encode_kwargs and query_encode_kwargs: one setting holds for both"
        )
    return True if said == {True} else None


def _prompt(role: Role, encode: Mapping[str, Any], model: Mapping[str, Any]) -> str | None:
    """Give the prompt that `encode` would have put before a text, None for the checkpoint's own or none."""
    prompts = kwargs_of(model, "prompts")
    if encode.get("prompt") is not None:
        return str(encode["prompt"])
    name = encode.get("prompt_name") or model.get("default_prompt_name")
    if name is None or (name not in prompts and name in _OWN_PROMPTS[role]):
        return None
    if name not in prompts:
        raise InputError(
            f"the prompt {name!r} for a {role} is not among model_kwargs['prompts']: give its text as "
            f"{role}_instruction, or leave it out for the checkpoint's own"
        )
    return str(prompts[name])


def _changes(new: Mapping[str, Any]) -> list[str]:
    changes = ["line breaks are kept (they were replaced by spaces)"]
    if "model" not in new and "model_name" not in new:
        changes.append("no model is named, which means BAAI/bge-m3")
    if new.get("query_instruction") is None:
        changes.append(
            "queries get the instruction that the checkpoint was trained with: for English BGE v1 and v1.5 "
            "'Represent this sentence for searching relevant passages: ' (HuggingFaceBgeEmbeddings wrote 'question', "
            "HuggingFaceEmbeddings nothing), for bge-m3 none; query_instruction='...' sets another and '' none"
        )
    if new.get("normalize") is None:
        changes.append(
            "vectors are normalised where the checkpoint says so, as all of BGE (normalize_embeddings=False left "
            "that on; normalize=False turns it off)"
        )
    if new.get("dimensions") is not None:
        changes.append("shortened vectors are scaled to unit length again")
    return [*changes, *_number_format(new), "texts that are too long are still cut, but with a warning"]


def _number_format(new: Mapping[str, Any]) -> list[str]:
    if new.get("dtype") is not None:
        return []
    return ["the number format is chosen by the machine; dtype='float32' gives the exact numbers"]


def _ignored(translation: Translation) -> list[str]:
    return [f"{name} has no effect ({why})" for name, why in translation.without_effect.items()]


def _warn(old: Mapping[str, Any], changes: list[str]) -> None:
    warnings.warn(
        f"arguments of another class were translated ({', '.join(old)}). What changes: {'; '.join(changes)}.",
        MigrationWarning,
        stacklevel=4,
    )
