"""Runs this package in a worker."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from bge_components import __version__
from bge_components.assembly import ModelArguments, make_encoder, make_reranker
from bge_components.encoders import EncoderSettings
from bge_components.pool import ModelPool
from bge_components.rerankers import RerankerSettings
from bge_components.settings import PoolSettings


def versions() -> dict[str, str]:
    """Give the versions of what runs."""
    return {"bge-components": __version__, "torch": torch.__version__}


def load(
    folder: Path, *, exports: Path, task: str, max_tokens: int, threads: int, options: Mapping[str, str]
) -> Ours:
    """Load a checkpoint into a pool of its own that remembers no outputs."""
    torch.set_num_threads(threads)
    return Ours(folder, task, max_tokens, options["dtype"])


class Ours:
    """The encoder or the reranker of one checkpoint."""

    def __init__(self, folder: Path, task: str, max_tokens: int, dtype: Any) -> None:
        self.one_at_a_time = nullcontext()
        pool = ModelPool(PoolSettings(memo_s=0))
        arguments = ModelArguments(model=str(folder), dtype=dtype, local_files_only=True)
        encoding = EncoderSettings(max_tokens=max_tokens, on_truncation="ignore")
        reranking = RerankerSettings(max_tokens=max_tokens, on_truncation="ignore")
        if task == "embed":
            self._encoder = make_encoder(arguments, encoding, pool)
            self.encode(["warm"])
        else:
            self._reranker = make_reranker(arguments, reranking, pool)
            self.score("warm", ["warm"])

    def encode(self, texts: Sequence[str]) -> Any:
        """Give dense vectors, (n, dim); the pool forms the batches."""
        return self._encoder.encode(texts).need_dense().values

    def score(self, query: str, texts: Sequence[str]) -> Any:
        """Give the sigmoid score of each text, (n,)."""
        return self._reranker.score([(query, text) for text in texts])
