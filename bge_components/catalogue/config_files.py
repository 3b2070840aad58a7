"""Reading the small JSON files of a checkpoint, and what its config.json says about the network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import BrokenCheckpointError, UnsupportedCheckpointError

Config = Mapping[str, Any]

_OFFSET_POSITIONS = frozenset(
    """camembert data2vec-text ibert longformer mpnet roberta roberta-prelayernorm xlm-roberta xlm-roberta-xl
    xmod""".split()  # noqa: SIM905  (a table reads better as words)
)
"""Architectures that count positions from pad_token_id + 1, so that so many rows are never used."""

_DECODERS = frozenset(
    """bloom codegen cohere cohere2 cost_wise_gemma deepseek_v2 deepseek_v3 falcon gemma gemma2 gemma3 gemma3_text
    glm glm4 gpt2 gpt_bigcode gpt_neo gpt_neox gptj granite internlm2 internlm3 llama minicpm minicpm3 mistral
    mistral3 mixtral mpt olmo olmo2 opt phi phi3 qwen2 qwen2_moe qwen3 qwen3_moe smollm3 stablelm
    starcoder2""".split()  # noqa: SIM905
)
_REFUSED_ENDINGS = {
    "ForCausalLM": "a language model",
    "LMHeadModel": "a language model",
    "ForConditionalGeneration": "a text generator",
    "ForTokenClassification": "a token classifier",
    "ForQuestionAnswering": "an extractive reader",
    "ForMultipleChoice": "a multiple-choice classifier",
    "ForNextSentencePrediction": "a next-sentence classifier",
}
_NO_LIMIT = 1_000_000
"""Tokenisers without a limit of their own say 1e30."""


def read_json(path: Path) -> Any:
    """Give what a JSON file holds; None if there is no such file.

    Raises:
        BrokenCheckpointError: If it cannot be read.
    """
    if not path.is_file():
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise BrokenCheckpointError(
            f"{path} cannot be read as JSON ({error}): get this file again"
        ) from error


def read_settings(path: Path) -> Config:
    """Give what a JSON file with one object holds; empty if there is no such file.

    Raises:
        BrokenCheckpointError: If it cannot be read, or holds something else.
    """
    found = read_json(path)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise BrokenCheckpointError(f"{path} must hold a JSON object, it holds {type(found).__name__}")
    return found


def read_config(folder: Path) -> Config:
    """Give the config.json of a folder.

    Raises:
        BrokenCheckpointError: If it is missing, or says nothing of the architecture.
    """
    config = read_settings(folder / "config.json")
    if not config:
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise BrokenCheckpointError(
            f"{folder} has no config.json, so it is no checkpoint; it holds: {there}. Pass the folder that "
            "holds config.json, the tokeniser and the weights"
        )
    if not isinstance(config.get("model_type"), str):
        raise BrokenCheckpointError(f"{folder / 'config.json'} does not say its model_type")
    return config


def architectures(config: Config) -> tuple[str, ...]:
    """Give the class names that the weights were saved from."""
    return tuple(str(name) for name in config.get("architectures") or ())


def refuse_what_is_no_encoder(config: Config, name: str) -> None:
    """Raise if the network is no text encoder.

    Raises:
        UnsupportedCheckpointError: For decoders, sequence-to-sequence networks, and heads for other tasks.
    """
    model_type = config["model_type"]
    for architecture in architectures(config):
        for ending, kind in _REFUSED_ENDINGS.items():
            if architecture.endswith(ending):
                raise UnsupportedCheckpointError(
                    f"{name} is {kind} ({architecture}): this version runs encoders and cross-encoders "
                    "(BERT, RoBERTa, XLM-RoBERTa, ModernBERT, ...)"
                )
    if model_type in _DECODERS or config.get("is_decoder") or config.get("is_encoder_decoder"):
        raise UnsupportedCheckpointError(
            f"{name} is of the LLM-based or sequence-to-sequence kind (model_type {model_type!r}): this version "
            "runs encoders and cross-encoders (BERT, RoBERTa, XLM-RoBERTa, ModernBERT, ...)"
        )


def hidden_size(config: Config, name: str) -> int:
    """Give the width of the hidden states.

    Raises:
        UnsupportedCheckpointError: If config.json does not say it: then it is no plain text encoder.
    """
    for key in ("hidden_size", "dim", "d_model"):
        if isinstance(value := config.get(key), int):
            return value
    raise UnsupportedCheckpointError(
        f"{name} (model_type {config['model_type']!r}) is no plain text encoder: its config.json has no hidden_size"
    )


def label_count(config: Config) -> int:
    """Give how many labels a classifier has, by the rules of transformers: two unless it says otherwise."""
    labels = config.get("id2label")
    if isinstance(labels, dict):
        return len(labels)
    count = config.get("num_labels")
    return count if isinstance(count, int) else 2


def longest_sequence(folder: Path, config: Config) -> int:
    """Give how many tokens the network takes: its positions, else what the tokeniser says, else 512."""
    positions = config.get("max_position_embeddings")
    if not isinstance(positions, int) or positions < 1:
        return tokenizer_limit(folder) or 512
    if config["model_type"] in _OFFSET_POSITIONS:
        pad = config.get("pad_token_id")
        positions -= (pad if isinstance(pad, int) else 1) + 1
    return positions


def tokenizer_limit(folder: Path) -> int | None:
    """Give the model_max_length of the tokeniser; None if it has no limit."""
    limit = read_settings(folder / "tokenizer_config.json").get("model_max_length")
    return int(limit) if isinstance(limit, (int, float)) and 0 < limit < _NO_LIMIT else None


def needs_remote_code(config: Config) -> bool:
    """Say whether the network is defined by code beside the files."""
    mapped = config.get("auto_map")
    return isinstance(mapped, dict) and any(
        key in mapped for key in ("AutoModel", "AutoModelForSequenceClassification")
    )
