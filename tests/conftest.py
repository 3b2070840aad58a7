"""What every test sees: no network, quiet tokenizers, tiny checkpoints built once per run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"  # tests fork
os.environ.setdefault(
    "OMP_WAIT_POLICY", "passive"
)  # cores are shared: a spinning thread would starve the other

import pytest

from support import shared, tiny


@pytest.fixture(scope="session")
def tiny_bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.bert_embedder(tmp_path_factory.mktemp("tiny") / "bert")


@pytest.fixture(scope="session")
def tiny_bert_mean(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.bert_embedder(tmp_path_factory.mktemp("tiny") / "bert-mean", "mean")


@pytest.fixture(scope="session")
def tiny_roberta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.roberta_embedder(tmp_path_factory.mktemp("tiny") / "roberta")


@pytest.fixture(scope="session")
def tiny_m3(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.m3(tmp_path_factory.mktemp("tiny") / "m3")


@pytest.fixture(scope="session")
def tiny_reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.xlmr_reranker(tmp_path_factory.mktemp("tiny") / "reranker")


@pytest.fixture(scope="session")
def tiny_bert_reranker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.bert_reranker(tmp_path_factory.mktemp("tiny") / "bert-reranker")


@pytest.fixture(scope="session")
def tiny_modernbert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.modernbert_embedder(tmp_path_factory.mktemp("tiny") / "modernbert")


@pytest.fixture(scope="session")
def shared_folder() -> Path:
    """The optional data folder beside the repository; tests that ask for it are skipped without it."""
    return shared.shared_path()


@pytest.fixture(scope="session")
def parity_models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Gives the folder of a tiny checkpoint of the parity kit by its hub base name, built on first use."""
    folder = tmp_path_factory.mktemp("parity")
    built: dict[str, Path] = {}

    def model(name: str) -> Path:
        if name not in built:
            built[name] = shared.build_parity_model(name, folder)
        return built[name]

    return model
