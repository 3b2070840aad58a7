"""Measures nDCG@10 of anything that turns texts into vectors, on a retrieval set in BEIR layout.

    python tools/evaluate_retrieval.py SET_FOLDER CHECKPOINT_FOLDER

The command runs transformers' own BertModel, on plain weights or on the int8 ones of `mini`: a yardstick
that owes nothing to this package.
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]
Encode = Callable[[list[str]], Float32]
"""Texts in, unit vectors out: shape (len(texts), dim), in the order of the texts."""


@dataclass(frozen=True, kw_only=True)
class RetrievalSet:
    """Questions, passages, and which passage answers which question.

    Attributes:
        passages: Passage id to "title text".
        queries: Query id to text; only those with a judgement.
        judged: Query id to {passage id: gain}.
    """

    passages: dict[str, str]
    queries: dict[str, str]
    judged: dict[str, dict[str, int]]


def read_set(folder: Path) -> RetrievalSet:
    """Read corpus.jsonl, queries.jsonl and qrels/test.tsv."""
    judged: dict[str, dict[str, int]] = {}
    with (folder / "qrels" / "test.tsv").open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines, delimiter="\t"):
            judged.setdefault(row["query-id"], {})[row["corpus-id"]] = int(row["score"])
    return RetrievalSet(
        passages={
            row["_id"]: f"{row.get('title') or ''} {row['text']}".strip()
            for row in _rows(folder / "corpus.jsonl")
        },
        queries={row["_id"]: row["text"] for row in _rows(folder / "queries.jsonl") if row["_id"] in judged},
        judged=judged,
    )


def mean_ndcg(
    data: RetrievalSet, encode: Encode, *, encode_queries: Encode | None = None, depth: int = 10
) -> float:
    """Rank all passages for each query by inner product and average the normalised gain.

    Args:
        data: The retrieval set.
        encode: Turns passages into vectors.
        encode_queries: Turns queries into vectors, where that differs.
        depth: How many ranks count.

    Returns:
        Mean nDCG at `depth`, gains linear and discounted by log2(rank + 1) as in trec_eval.
    """
    passages = encode(list(data.passages.values()))
    queries = (encode_queries or encode)(list(data.queries.values()))
    ids = list(data.passages)
    best = np.argsort(-(queries @ passages.T), axis=1, kind="stable")[:, :depth]
    gains = [ndcg([ids[i] for i in row], data.judged[query]) for query, row in zip(data.queries, best)]
    return float(np.mean(gains))


def ndcg(ranked: list[str], gains: dict[str, int]) -> float:
    """Give the discounted gain of one ranking over that of the best possible one of the same depth."""
    ideal = _discounted(sorted(gains.values(), reverse=True)[: len(ranked)])
    return _discounted([gains.get(name, 0) for name in ranked]) / ideal if ideal else 0.0


def stock_encoder(checkpoint: Path, *, max_tokens: int = 256, batch_size: int = 32) -> Encode:
    """Give mean-pooled unit vectors by transformers' BertModel in fp32.

    Args:
        checkpoint: Folder with plain fp32 weights, or with int8 ones and their scales.
        max_tokens: Where texts are cut, special tokens included.
        batch_size: Texts per forward pass, sorted by length first.
    """
    import torch
    from tokenizers import Tokenizer

    model = _stock_model(checkpoint)
    tokenizer = Tokenizer.from_file(str(checkpoint / "tokenizer.json"))
    tokenizer.enable_truncation(max_tokens)
    tokenizer.enable_padding()

    def encode(texts: list[str]) -> Float32:
        order = np.argsort([len(text) for text in texts], kind="stable")
        vectors = np.zeros((len(texts), model.config.hidden_size), dtype=np.float32)
        for start in range(0, len(texts), batch_size):
            chosen = order[start : start + batch_size]
            batch = tokenizer.encode_batch([texts[i] for i in chosen])
            mask = torch.tensor([item.attention_mask for item in batch])
            ids = torch.tensor([item.ids for item in batch])
            with torch.inference_mode():
                hidden = model(ids, attention_mask=mask).last_hidden_state  # (batch, tokens, width)
            pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)  # (batch, width)
            vectors[chosen] = torch.nn.functional.normalize(pooled, dim=-1).numpy()
        return vectors

    return encode


def main() -> int:
    """Print nDCG@10 of one checkpoint on one set."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("set_folder", type=Path)
    parser.add_argument("checkpoint", type=Path)
    arguments = parser.parse_args()
    score = mean_ndcg(read_set(arguments.set_folder), stock_encoder(arguments.checkpoint))
    print(f"{arguments.set_folder.name} nDCG@10 {score:.4f}")
    return 0


def _stock_model(checkpoint: Path) -> Any:
    import torch
    from build_mini import dequantized
    from safetensors.numpy import load_file
    from transformers import BertConfig, BertModel

    model = BertModel(BertConfig.from_pretrained(checkpoint), add_pooling_layer=False).eval()
    weights = dequantized(load_file(checkpoint / "model.safetensors"))
    known = {name: torch.from_numpy(weights[name]) for name in model.state_dict() if name in weights}
    missing, _ = model.load_state_dict(known, strict=False)
    if any(not name.endswith(("position_ids", "token_type_ids")) for name in missing):
        raise ValueError(f"{checkpoint} lacks {missing}")
    return model


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _discounted(gains: list[int]) -> float:
    return sum(gain / float(np.log2(rank + 2)) for rank, gain in enumerate(gains))


if __name__ == "__main__":
    sys.exit(main())
