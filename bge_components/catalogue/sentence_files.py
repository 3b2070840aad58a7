"""What the files of sentence-transformers say beside config.json: pooling, normalisation, prompts, length."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import BrokenCheckpointError, UnsupportedCheckpointError
from .checkpoint import Pooling
from .config_files import Config, read_json, read_settings

_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
_KNOWN_MODULES = frozenset({"Transformer", "Pooling", "Normalize", "Dropout"})
_LENGTH_FILES = (
    "sentence_bert_config.json",
    "sentence_roberta_config.json",
    "sentence_xlm-roberta_config.json",
    "sentence_distilbert_config.json",
    "sentence_camembert_config.json",
)
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")


@dataclass(frozen=True, kw_only=True)
class SentenceFiles:
    """What the files say; None where they say nothing.

    Attributes:
        pooling: How the hidden states become one vector.
        normalize: Whether vectors are scaled to unit length.
        query_instruction: Prompt of queries.
        document_instruction: Prompt of documents.
        max_tokens: Length that the checkpoint was saved with.
    """

    pooling: Pooling | None
    normalize: bool | None
    query_instruction: str
    document_instruction: str
    max_tokens: int | None


SILENT = SentenceFiles(
    pooling=None, normalize=None, query_instruction="", document_instruction="", max_tokens=None
)
"""What a checkpoint without such files says."""


def read_sentence_files(folder: Path, name: str, width: int) -> SentenceFiles:
    """Read them.

    Args:
        folder: The checkpoint.
        name: Its name, for messages.
        width: Width of the hidden states, which the pooling must agree with.

    Raises:
        UnsupportedCheckpointError: If they ask for a module or a pooling that this package does not have.
        BrokenCheckpointError: If they cannot be read, or contradict config.json.
    """
    modules = _modules(folder, name)
    query, document = _prompts(folder)
    return SentenceFiles(
        pooling=_pooling(folder, name, width, modules),
        normalize="Normalize" in modules if modules else None,
        query_instruction=query,
        document_instruction=document,
        max_tokens=_saved_length(folder),
    )


def _modules(folder: Path, name: str) -> dict[str, str]:
    """Give {class name: path} of the modules, in their order; empty without a modules.json."""
    listed = read_json(folder / "modules.json")
    if listed is None:
        return {}
    if not isinstance(listed, list) or not all(isinstance(module, dict) for module in listed):
        raise BrokenCheckpointError(f"{folder / 'modules.json'} must hold a list of modules")
    modules = {
        str(module.get("type", "")).rpartition(".")[2]: str(module.get("path", "")) for module in listed
    }
    unknown = [module for module in modules if module not in _KNOWN_MODULES]
    if unknown:
        raise UnsupportedCheckpointError(
            f"{name} ends in modules that this version does not run: {', '.join(unknown)}; it runs a transformer "
            "with CLS or mean pooling, with or without normalisation"
        )
    return modules


def _pooling(folder: Path, name: str, width: int, modules: Mapping[str, str]) -> Pooling | None:
    path = PurePosixPath(modules.get("Pooling", "1_Pooling"))
    if path.is_absolute() or ".." in path.parts:
        raise BrokenCheckpointError(f"{folder / 'modules.json'} points outside its folder: {str(path)!r}")
    settings = read_settings(folder / path / "config.json")
    if not settings:
        if "Pooling" in modules:
            raise BrokenCheckpointError(f"{folder / path / 'config.json'} is missing: get this file again")
        return None
    _check_width(settings, folder, width)
    modes = _modes(settings)
    if modes == ["cls"]:
        return "cls"
    if modes == ["mean"] and settings.get("include_prompt", True):
        return "mean"
    kind = " + ".join(modes) + ("" if settings.get("include_prompt", True) else " without the prompt")
    raise UnsupportedCheckpointError(f"{name} pools by {kind}: this version pools by cls or mean")


def _modes(settings: Config) -> list[str]:
    named: Any = settings.get("pooling_mode")
    if named is not None:
        return [str(mode) for mode in ([named] if isinstance(named, str) else named)]
    return [mode for flag, mode in _FLAGS.items() if settings.get(flag)] or ["mean"]


def _check_width(settings: Config, folder: Path, width: int) -> None:
    pooled = settings.get("embedding_dimension", settings.get("word_embedding_dimension", width))
    if pooled != width:
        raise BrokenCheckpointError(
            f"{folder}: the pooling is made for {pooled} dimensions, config.json says {width}: files of two "
            "checkpoints are mixed"
        )


def _prompts(folder: Path) -> tuple[str, str]:
    """Give the prompts of queries and documents, by the rules of sentence-transformers."""
    path = folder / "config_sentence_transformers.json"
    settings = read_settings(path)
    prompts = settings.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(prompt, str) for prompt in prompts.values()):
        raise BrokenCheckpointError(f"{path}: prompts must be an object of strings")
    fallback: str = prompts.get(settings.get("default_prompt_name") or "", "")
    document: str = next((prompts[key] for key in _DOCUMENT_PROMPTS if key in prompts), fallback)
    return str(prompts.get("query", fallback)), document


def _saved_length(folder: Path) -> int | None:
    for file in _LENGTH_FILES:
        length = read_settings(folder / file).get("max_seq_length")
        if isinstance(length, int) and length > 0:
            return length
    return None
