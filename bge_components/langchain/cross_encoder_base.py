"""Finds LangChain's `BaseCrossEncoder`: in langchain_core where that is new enough, else in langchain_classic."""

from __future__ import annotations

from abc import ABC, abstractmethod
from importlib import import_module

_HOMES = ("langchain_core.cross_encoders", "langchain_classic.retrievers.document_compressors.cross_encoder")


class LonelyCrossEncoder(ABC):
    """The same interface, for where neither home of the original is installed."""

    @abstractmethod
    def score(self, text_pairs: list[tuple[str, str]]) -> list[float]:
        """Score (query, text) pairs."""


def _base_cross_encoder() -> type:
    for home in _HOMES:
        try:
            return import_module(home).BaseCrossEncoder  # type: ignore[no-any-return]
        except ModuleNotFoundError:
            continue
    return LonelyCrossEncoder


BaseCrossEncoder = _base_cross_encoder()
