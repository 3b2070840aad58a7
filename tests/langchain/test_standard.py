"""LangChain's own tests for embeddings."""

from __future__ import annotations

from typing import Any

from langchain_tests.integration_tests import EmbeddingsIntegrationTests
from langchain_tests.unit_tests import EmbeddingsUnitTests

from bge_components.langchain import BGEEmbeddings


class TestUnitOfMini(EmbeddingsUnitTests):
    @property
    def embeddings_class(self) -> type[BGEEmbeddings]:
        return BGEEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "mini"}


class TestIntegrationOfMini(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[BGEEmbeddings]:
        return BGEEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "mini"}


class TestIntegrationOfTheFakeBackend(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self) -> type[BGEEmbeddings]:
        return BGEEmbeddings

    @property
    def embedding_model_params(self) -> dict[str, Any]:
        return {"model": "mini", "backend": "fake"}
