"""Runs FlagEmbedding in a worker."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from threading import Lock
from typing import Any

flag: Any = importlib.import_module("FlagEmbedding")
torch: Any = importlib.import_module("torch")


def versions() -> dict[str, str]:
    """Give the versions of what runs."""
    return {name: metadata.version(name) for name in ("FlagEmbedding", "transformers", "torch")}


def load(
    folder: Path, *, exports: Path, task: str, max_tokens: int, threads: int, options: Mapping[str, str]
) -> Flag:
    """Load a checkpoint with the class that is for it, in fp32."""
    torch.set_num_threads(threads)
    return Flag(folder, task, max_tokens)


class Flag:
    """A FlagModel, BGEM3FlagModel or FlagReranker."""

    def __init__(self, folder: Path, task: str, max_tokens: int) -> None:
        self.one_at_a_time = Lock()  # its models move to the device in every call
        self._max_tokens = max_tokens
        self._is_m3 = (folder / "colbert_linear.pt").is_file()
        given = {"use_fp16": False, "devices": "cpu"}
        if task == "rerank":
            self._model = flag.FlagReranker(str(folder), **given)
            self.score("warm", ["warm"])
        else:
            self._model = (flag.BGEM3FlagModel if self._is_m3 else flag.FlagModel)(str(folder), **given)
            self.encode(["warm"])

    def encode(self, texts: Sequence[str]) -> Any:
        """Give unit vectors, (n, dim), with the default batch size of its class."""
        found = self._model.encode(list(texts), max_length=self._max_tokens)
        return found["dense_vecs"] if self._is_m3 else found

    def score(self, query: str, texts: Sequence[str]) -> Any:
        """Give the sigmoid score of each text, (n,)."""
        pairs = [(query, text) for text in texts]
        return self._model.compute_score(pairs, max_length=self._max_tokens, normalize=True)
