"""Tiny checkpoints in the exact layout of the real ones, with random weights that never change.

Every function writes one folder and gives it back; transformers and sentence-transformers load it too.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file

from .tiny_tokenizers import (
    bert_tokenizer,
    modernbert_tokenizer,
    roberta_tokenizer,
    write_json,
    xlmr_tokenizer,
)
from .tiny_weights import WeightsFormat, encoder_tensors, linear, noise, save_weights

Pooling = Literal["cls", "mean"]
HeadName = Literal["sparse", "multi"]


def bert_embedder(
    folder: Path, pooling: Pooling = "cls", *, weights: WeightsFormat = "safetensors", **config: Any
) -> Path:
    """Write an embedder like bge-*-en-v1.5 (CLS) or e5 (mean).

    Args:
        folder: Where to write; made if missing.
        pooling: What `1_Pooling` says.
        weights: File format.
        **config: Fields of config.json that differ: hidden_size, num_hidden_layers, hidden_act, ...
    """
    settings = _bert_config(bert_tokenizer(folder), "BertModel", config)
    write_json(folder / "config.json", settings)
    save_weights(folder, encoder_tensors("bert", settings), weights)
    return _sentence_transformers_files(folder, pooling, 512, settings["hidden_size"])


def roberta_embedder(
    folder: Path, pooling: Pooling = "mean", *, weights: WeightsFormat = "safetensors", **config: Any
) -> Path:
    """Write an embedder on RoBERTa: byte-level tokens, positions that start after the padding id."""
    settings = _roberta_config(roberta_tokenizer(folder), "roberta", "RobertaModel", 514, config)
    write_json(folder / "config.json", settings)
    save_weights(folder, encoder_tensors("roberta", settings), weights)
    return _sentence_transformers_files(folder, pooling, 512, settings["hidden_size"])


def m3(
    folder: Path,
    heads: Collection[HeadName] = ("sparse", "multi"),
    heads_format: Literal["pt", "safetensors"] = "pt",
    weights: WeightsFormat = "bin",
    *,
    multi_width: int | None = None,
    positions: int = 1026,
    **config: Any,
) -> Path:
    """Write an embedder like bge-m3: XLM-RoBERTa, CLS pooling, fp16 heads in files of their own.

    Args:
        folder: Where to write; made if missing.
        heads: Which head files there are.
        heads_format: `sparse_linear.pt` as on the hub, or `sparse_linear.safetensors`.
        weights: File format of the trunk; the hub has "bin".
        multi_width: Width of the token vectors; None means the hidden size, as in bge-m3.
        positions: Rows of the position table, two more than the longest sequence (bge-m3: 8194).
        **config: Fields of config.json that differ.
    """
    tokens = xlmr_tokenizer(folder, max_tokens=positions - 2)
    settings = _roberta_config(tokens, "xlm-roberta", "XLMRobertaModel", positions, config)
    write_json(folder / "config.json", settings)
    save_weights(folder, encoder_tensors("m3", settings), weights)
    width = settings["hidden_size"]
    if "sparse" in heads:
        _save_head(folder / f"sparse_linear.{heads_format}", 1, width, gain=2.0)
    if "multi" in heads:
        _save_head(folder / f"colbert_linear.{heads_format}", multi_width or width, width, gain=1.0)
    return _sentence_transformers_files(folder, "cls", positions - 2, width)


def xlmr_reranker(
    folder: Path, positions: int = 514, *, weights: WeightsFormat = "safetensors", **config: Any
) -> Path:
    """Write a cross-encoder like bge-reranker-base (514 positions) or -v2-m3 (8194)."""
    tokens = xlmr_tokenizer(folder, max_tokens=positions - 2)
    architecture = "XLMRobertaForSequenceClassification"
    settings = _roberta_config(tokens, "xlm-roberta", architecture, positions, {**_one_label(), **config})
    write_json(folder / "config.json", settings)
    width = settings["hidden_size"]
    tensors = encoder_tensors("xlmr-reranker", settings, prefix="roberta.", pooler=False)
    tensors |= linear("xlmr-reranker", "classifier.dense", width, width)
    tensors |= linear("xlmr-reranker", "classifier.out_proj", 1, width, gain=3.0)
    save_weights(folder, tensors, weights)
    return folder


def bert_reranker(folder: Path, *, weights: WeightsFormat = "safetensors", **config: Any) -> Path:
    """Write a cross-encoder like ms-marco-MiniLM: BERT with pooler and a one-label classifier."""
    architecture = "BertForSequenceClassification"
    settings = _bert_config(bert_tokenizer(folder), architecture, {**_one_label(), **config})
    write_json(folder / "config.json", settings)
    tensors = encoder_tensors("bert-reranker", settings, prefix="bert.")
    tensors |= linear("bert-reranker", "classifier", 1, settings["hidden_size"], gain=3.0)
    save_weights(folder, tensors, weights)
    return folder


def modernbert_embedder(folder: Path, pooling: Pooling = "cls", **config: Any) -> Path:
    """Write an embedder on ModernBERT: four layers, every second one sees 8 tokens to either side only."""
    from transformers import AutoConfig, AutoModel

    settings = _modernbert_config(modernbert_tokenizer(folder), config)
    write_json(folder / "config.json", settings)
    model = AutoModel.from_config(AutoConfig.from_pretrained(folder))
    save_weights(folder, {name: _filled(name, tensor) for name, tensor in model.named_parameters()})
    return _sentence_transformers_files(folder, pooling, 512, settings["hidden_size"])


def _bert_config(tokens: int, architecture: str, changes: dict[str, Any]) -> dict[str, Any]:
    return {
        "architectures": [architecture],
        "model_type": "bert",
        "vocab_size": tokens,
        "hidden_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "intermediate_size": 128,
        "hidden_act": "gelu",
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "position_embedding_type": "absolute",
        **changes,
    }


def _roberta_config(
    tokens: int, model_type: str, architecture: str, positions: int, changes: dict[str, Any]
) -> dict[str, Any]:
    return {
        **_bert_config(tokens, architecture, {}),
        "model_type": model_type,
        "max_position_embeddings": positions,
        "type_vocab_size": 1,
        "layer_norm_eps": 1e-05,
        "bos_token_id": 0,
        "pad_token_id": 1,
        "eos_token_id": 2,
        **changes,
    }


def _modernbert_config(tokens: int, changes: dict[str, Any]) -> dict[str, Any]:
    return {
        "architectures": ["ModernBertModel"],
        "model_type": "modernbert",
        "vocab_size": tokens,
        "hidden_size": 64,
        "num_hidden_layers": 4,
        "num_attention_heads": 4,
        "intermediate_size": 96,
        "hidden_activation": "gelu",
        "max_position_embeddings": 512,
        "global_attn_every_n_layers": 2,
        "local_attention": 16,
        "global_rope_theta": 160000.0,
        "local_rope_theta": 10000.0,
        "cls_token_id": 1,
        "bos_token_id": 1,
        "sep_token_id": 2,
        "eos_token_id": 2,
        "pad_token_id": 3,
        **changes,
    }


def _one_label() -> dict[str, Any]:
    return {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}


def _save_head(path: Path, rows: int, width: int, *, gain: float) -> None:
    tensors = linear("m3", path.stem, rows, width, gain=gain)
    half = {name.rpartition(".")[2]: tensor.half() for name, tensor in tensors.items()}
    if path.suffix == ".pt":
        torch.save(half, path)
    else:
        save_file(half, path, metadata={"format": "pt"})


def _filled(name: str, like: torch.Tensor) -> torch.Tensor:
    """Give noise in the shape of a parameter: norms near one, matrices that keep the size of what passes."""
    if like.ndim == 1:
        return noise("modernbert", name, *like.shape, std=0.1) + (1 if "norm" in name else 0)
    std = 0.5 if "embedding" in name else 1.5 / like.shape[1] ** 0.5
    return noise("modernbert", name, *like.shape, std=std)


def _sentence_transformers_files(folder: Path, pooling: Pooling, max_tokens: int, width: int) -> Path:
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds.items())
    ]
    write_json(folder / "modules.json", modules)
    modes = {
        "pooling_mode_cls_token": pooling == "cls",
        "pooling_mode_mean_tokens": pooling == "mean",
        "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    }
    write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": width, **modes})
    write_json(folder / "2_Normalize" / "config.json", {})
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": max_tokens, "do_lower_case": False})
    versions = {"sentence_transformers": "2.2.2", "transformers": "4.33.0", "pytorch": "2.1.2"}
    write_json(folder / "config_sentence_transformers.json", {"__version__": versions})
    return folder
