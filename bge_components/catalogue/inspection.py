"""What a checkpoint that the catalogue does not know is, read from its own files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ..contracts import Output
from ..errors import BrokenCheckpointError, UnsupportedCheckpointError
from .checkpoint import Checkpoint, Family
from .config_files import (
    Config,
    architectures,
    hidden_size,
    label_count,
    longest_sequence,
    needs_remote_code,
    read_config,
    refuse_what_is_no_encoder,
    tokenizer_limit,
)
from .heads import HEAD_STEMS, heads_in
from .sentence_files import SILENT, SentenceFiles, read_sentence_files


def inspect(
    folder: Path, name: str, family: Family | None = None, likeness: Checkpoint | None = None
) -> Checkpoint:
    """Describe the checkpoint in a folder.

    Args:
        folder: Holds config.json and what belongs to it.
        name: What to call it.
        family: Instead of what the files say.
        likeness: An entry that this folder seems to be a copy of. Where architecture, width, positions and
            pooling agree, it fills in what the files do not say: instructions, licence, ...

    Raises:
        UnsupportedCheckpointError: If this package does not run such a checkpoint.
        BrokenCheckpointError: If files are missing, contradict each other, or the family that was asked for.
    """
    config = read_config(folder)
    refuse_what_is_no_encoder(config, name)
    kind = _family(folder, name, config, family)
    if kind == Family.CROSS_ENCODER:
        said = SILENT
        found = _cross_encoder(folder, name, config)
    else:
        said = read_sentence_files(folder, name, hidden_size(config, name))
        found = _embedder(folder, name, config, kind, said)
    if likeness is None or not _alike(found, likeness, said):
        return found
    return _filled_in(found, likeness, said, heads_in(folder))


def check_heads(entry: Checkpoint, folder: Path) -> None:
    """Look for the heads that an entry declares.

    Raises:
        BrokenCheckpointError: If one is not on disk: a head is never made up.
    """
    missing = _head_names(entry.outputs - heads_in(folder))
    if missing:
        raise BrokenCheckpointError(
            f"{entry.name}: {folder} lacks {missing} (.pt or .safetensors). Get the missing files from the hub into "
            f"that folder (hf download {entry.name}), or use the dense vector alone with family 'embedder'"
        )


def _family(folder: Path, name: str, config: Config, asked: Family | None) -> Family:
    saved = architectures(config)
    classifier = any(architecture.endswith("ForSequenceClassification") for architecture in saved)
    heads = heads_in(folder)
    if asked == Family.CROSS_ENCODER and not classifier:
        raise BrokenCheckpointError(
            f"{name} was asked for as a cross-encoder, but its weights ({', '.join(saved) or 'of unknown kind'}) "
            "have no classification head, and a random one would give random scores"
        )
    if asked == Family.M3 and not heads:
        raise BrokenCheckpointError(
            f"{name} was asked for as m3, but {folder} has neither sparse_linear nor colbert_linear (.pt or "
            ".safetensors), and a random head would give random scores"
        )
    if asked is not None:
        return asked
    if classifier:
        return Family.CROSS_ENCODER
    return Family.M3 if heads else Family.EMBEDDER


def _cross_encoder(folder: Path, name: str, config: Config) -> Checkpoint:
    labels = label_count(config)
    if labels != 1:
        raise UnsupportedCheckpointError(
            f"{name} is a classifier with {labels} labels: a reranker has one, the relevance"
        )
    longest = longest_sequence(folder, config)
    return Checkpoint(
        name=name,
        family=Family.CROSS_ENCODER,
        architecture=config["model_type"],
        dim=None,
        max_tokens=longest,
        recommended_tokens=min(longest, tokenizer_limit(folder) or longest),
        outputs=frozenset({Output.SCORE}),
        pooling=None,
        normalize=False,
        trust_remote_code=needs_remote_code(config),
    )


def _embedder(folder: Path, name: str, config: Config, kind: Family, said: SentenceFiles) -> Checkpoint:
    longest = longest_sequence(folder, config)
    note = "" if said.pooling else "Its files do not say how to pool: the CLS vector is taken, as BGE does."
    return Checkpoint(
        name=name,
        family=kind,
        architecture=config["model_type"],
        dim=hidden_size(config, name),
        max_tokens=longest,
        recommended_tokens=min(longest, said.max_tokens or longest, tokenizer_limit(folder) or longest),
        outputs=frozenset({Output.DENSE}) | (heads_in(folder) if kind == Family.M3 else frozenset()),
        pooling=said.pooling or "cls",
        normalize=said.normalize is not False,
        query_instruction=said.query_instruction,
        document_instruction=said.document_instruction,
        trust_remote_code=needs_remote_code(config),
        note=note,
    )


def _alike(found: Checkpoint, likeness: Checkpoint, said: SentenceFiles) -> bool:
    """Say whether the files can be those of `likeness`."""
    return (
        (found.family == Family.CROSS_ENCODER) == (likeness.family == Family.CROSS_ENCODER)
        and found.architecture == likeness.architecture
        and found.max_tokens == likeness.max_tokens
        and found.dim == likeness.dim
        and said.pooling in (None, likeness.pooling)
    )


def _filled_in(
    found: Checkpoint, likeness: Checkpoint, said: SentenceFiles, heads: frozenset[Output]
) -> Checkpoint:
    prompted = bool(said.query_instruction or said.document_instruction)
    missing = _head_names(likeness.outputs - heads)
    return replace(
        likeness,
        name=found.name,
        family=found.family,
        outputs=found.outputs,
        recommended_tokens=min(found.recommended_tokens, likeness.recommended_tokens),
        normalize=likeness.normalize if said.normalize is None else said.normalize,
        query_instruction=said.query_instruction if prompted else likeness.query_instruction,
        document_instruction=said.document_instruction if prompted else likeness.document_instruction,
        query_format="{}{}" if prompted else likeness.query_format,
        document_format="{}{}" if prompted else likeness.document_format,
        trust_remote_code=found.trust_remote_code,
        note=f"This copy of {likeness.name} lacks {missing}." if missing else likeness.note,
    )


def _head_names(outputs: frozenset[Output]) -> str:
    return " and ".join(sorted(HEAD_STEMS[output] for output in outputs if output in HEAD_STEMS))
