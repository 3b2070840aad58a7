"""Checkpoint folders written by the tests: the small files only, no weights worth loading."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

BERT = {
    "architectures": ["BertModel"],
    "model_type": "bert",
    "hidden_size": 384,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
}
M3 = {
    "architectures": ["XLMRobertaModel"],
    "model_type": "xlm-roberta",
    "hidden_size": 1024,
    "max_position_embeddings": 8194,
    "pad_token_id": 1,
}
RERANKER = {
    "architectures": ["XLMRobertaForSequenceClassification"],
    "model_type": "xlm-roberta",
    "hidden_size": 768,
    "id2label": {"0": "LABEL_0"},
    "max_position_embeddings": 514,
    "pad_token_id": 1,
}
CLS = {"word_embedding_dimension": 384, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
MEAN = {"word_embedding_dimension": 384, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True}


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def modules(*kinds: str) -> list[dict[str, Any]]:
    paths = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize", "Dense": "2_Dense"}
    return [
        {
            "idx": i,
            "name": str(i),
            "path": paths.get(kind, kind),
            "type": f"sentence_transformers.models.{kind}",
        }
        for i, kind in enumerate(kinds)
    ]


def write_checkpoint(
    folder: Path, config: dict[str, Any], *, heads: tuple[str, ...] = (), **files: Any
) -> Path:
    """Write config.json, and other JSON files by keyword: pooling, modules, prompts, sentence, tokenizer."""
    names = {
        "pooling": "1_Pooling/config.json",
        "modules": "modules.json",
        "prompts": "config_sentence_transformers.json",
        "sentence": "sentence_bert_config.json",
        "tokenizer": "tokenizer_config.json",
    }
    write_json(folder / "config.json", config)
    for key, content in files.items():
        write_json(folder / names[key], content)
    for head in heads:
        (folder / head).write_bytes(b"head")
    return folder
