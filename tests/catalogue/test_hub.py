"""The hub's cache on disk, read by the real huggingface_hub with the network forbidden, and its real errors."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from catalogue.folders import BERT, M3, write_checkpoint, write_json
from huggingface_hub import errors as hub_errors

from bge_components.catalogue import locate
from bge_components.catalogue.hub import OLD_WEIGHTS, SAFE_WEIGHTS, SMALL_FILES, has_weights
from bge_components.errors import CheckpointNotFoundError
from bge_components.settings import HubSettings

COMMIT, OTHER = "a" * 40, "b" * 40


def write_snapshot(
    cache: Path,
    name: str,
    commit: str = COMMIT,
    ref: str | None = "main",
    config: dict[str, Any] = BERT,
    weights: str | None = "model.safetensors",
) -> Path:
    repository = cache / ("models--" + name.replace("/", "--"))
    folder = write_checkpoint(repository / "snapshots" / commit, config)
    if weights:
        (folder / weights).write_bytes(b"weights")
    if ref:
        (repository / "refs" / ref).parent.mkdir(parents=True, exist_ok=True)
        (repository / "refs" / ref).write_text(commit)
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Give a cache folder; whoever opens a connection fails the test."""

    def connected(*arguments):
        raise AssertionError(f"the network was asked: {arguments}")

    monkeypatch.setattr(socket.socket, "connect", connected)
    monkeypatch.setattr(socket, "getaddrinfo", connected)
    return tmp_path / "hub"


@pytest.fixture
def online(monkeypatch):
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)


def settings(cache: Path, local: bool = True) -> HubSettings:
    return HubSettings(cache_folder=str(cache), local_files_only=local)


def test_a_cached_snapshot_is_found_without_the_network(cache, online):
    folder = write_snapshot(cache, "BAAI/bge-small-en-v1.5")
    assert locate("BAAI/bge-small-en-v1.5", hub=settings(cache)) == folder
    assert locate("bge-small-en-v1.5", hub=settings(cache)) == folder


@pytest.mark.parametrize("variable", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_the_environment_forbids_the_network_too(cache, online, monkeypatch, variable):
    folder = write_snapshot(cache, "some-org/some.model_1")
    monkeypatch.setenv(variable, "1")
    assert locate("some-org/some.model_1", hub=settings(cache, local=False)) == folder
    with pytest.raises(CheckpointNotFoundError, match=r"network may not be asked because HF_HUB_OFFLINE"):
        locate("some-org/other", hub=settings(cache, local=False))


def test_a_revision_chooses_the_snapshot(cache):
    name = "BAAI/bge-small-en-v1.5"
    main = write_snapshot(cache, name)
    tagged = write_snapshot(cache, name, commit=OTHER, ref="v2/rc-1")
    assert locate(name, hub=settings(cache)) == main
    assert locate(name, revision="v2/rc-1", hub=settings(cache)) == tagged
    assert locate(name, revision=OTHER, hub=settings(cache)) == tagged
    with pytest.raises(CheckpointNotFoundError, match=r"at revision 'v3' is not in the cache folder"):
        locate(name, revision="v3", hub=settings(cache))


def test_a_tilde_in_the_cache_folder_is_the_home(cache, monkeypatch):
    folder = write_snapshot(cache, "o/n")
    monkeypatch.setenv("HOME", str(cache.parent))
    assert locate("o/n", hub=HubSettings(cache_folder="~/hub", local_files_only=True)) == folder


@pytest.mark.parametrize("weights", ["model.safetensors", "pytorch_model.bin"])
def test_old_and_new_weights_count_as_weights(cache, weights):
    folder = write_snapshot(cache, "o/n", weights=weights)
    assert locate("o/n", hub=settings(cache)) == folder


def test_a_snapshot_without_weights_is_not_enough(cache):
    write_snapshot(cache, "o/n", weights="model.onnx")
    with pytest.raises(CheckpointNotFoundError, match=r"neither model\.safetensors nor pytorch_model\.bin"):
        locate("o/n", hub=settings(cache))


def test_weights_in_parts_need_every_part(tmp_path):
    parts = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
    write_json(tmp_path / "model.safetensors.index.json", parts)
    (tmp_path / "model-00001-of-00002.safetensors").touch()
    assert not has_weights(tmp_path)
    (tmp_path / "model-00002-of-00002.safetensors").touch()
    assert has_weights(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("{}")
    assert not has_weights(tmp_path)


def test_nothing_cached_says_what_was_tried_and_what_to_do(cache):
    with pytest.raises(CheckpointNotFoundError) as caught:
        locate("BAAI/bge-small-en-v1.6", hub=settings(cache))
    message = str(caught.value)
    for part in (
        f"not in the cache folder {cache}",
        "local_files_only is set",
        "did you mean 'BAAI/bge-small-en-v1.5'",
        "hf download BAAI/bge-small-en-v1.6",
        "copy the files to a folder and pass its path",
        "'mini'",
    ):
        assert part in message
    assert "\n" not in message
    assert isinstance(caught.value.__cause__, hub_errors.LocalEntryNotFoundError)


def response(status: int) -> Any:
    kind = hub_errors.Response  # of the HTTP library that this version of the hub uses
    request = __import__(kind.__module__.partition(".")[0]).Request("GET", "https://hub.example/x")
    return kind(status, request=request)


def raising(monkeypatch, error: BaseException) -> None:
    def download(*arguments: Any, **options: Any) -> str:
        raise error

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)


HTTP_ERROR = hub_errors.HfHubHTTPError
TRANSPORT_ERROR = HTTP_ERROR.__bases__[0]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            hub_errors.RepositoryNotFoundError("404 Client Error\nsoup", response=response(404)),
            r"no checkpoint named 'BAAI/bge-small-en-v1.6', or it is private \(did you mean 'BAAI/bge-small-en-v1.5'",
        ),
        (hub_errors.GatedRepoError("403", response=response(403)), "accept its conditions.*hf auth login"),
        (HTTP_ERROR("401", response=response(401)), "accept its conditions.*HF_TOKEN"),
        (
            HTTP_ERROR("503 Server Error\nsoup", response=response(503)),
            "failed: HfHubHTTPError: 503 Server Error",
        ),
        (hub_errors.RevisionNotFoundError("404", response=response(404)), "no revision 'v9': give a commit"),
        (hub_errors.LocalEntryNotFoundError("no connection"), "hub cannot be reached.*did you mean"),
        (TRANSPORT_ERROR("read timed out"), "failed: HTTPError: read timed out"),
        (hub_errors.HFValidationError("bad name"), "failed: HFValidationError: bad name"),
        (OSError(28, "No space left on device"), "No space left on device"),
        (RuntimeError("the transfer broke"), "failed: RuntimeError: the transfer broke"),
    ],
)
def test_every_failure_of_the_hub_is_one_readable_error(cache, online, monkeypatch, error, said):
    raising(monkeypatch, error)
    with pytest.raises(CheckpointNotFoundError, match=said) as caught:
        locate("BAAI/bge-small-en-v1.6", revision="v9", hub=settings(cache, local=False))
    assert caught.value.__cause__ is error
    assert "\n" not in str(caught.value)


def test_an_unforeseen_error_is_not_swallowed(cache, online, monkeypatch):
    raising(monkeypatch, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        locate("o/n", hub=settings(cache, local=False))


def test_without_a_connection_an_earlier_download_is_used(cache, online, monkeypatch):
    folder = write_snapshot(cache, "o/n", config=M3)
    real = huggingface_hub.snapshot_download

    def download(*arguments: Any, **options: Any) -> str:
        if not options["local_files_only"]:
            raise hub_errors.LocalEntryNotFoundError("some files of the snapshot are missing")
        return real(*arguments, **options)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert locate("o/n", hub=settings(cache, local=False)) == folder
    with pytest.raises(CheckpointNotFoundError, match="cannot be reached"):
        locate("o/other", hub=settings(cache, local=False))


def test_old_weights_are_fetched_only_where_there_are_no_new_ones(cache, online, monkeypatch):
    asked: list[tuple[str, ...]] = []

    def download(name: str, **options: Any) -> str:
        asked.append(tuple(options["allow_patterns"]))
        assert options["revision"] == "v1"
        assert not options["local_files_only"]
        return str(write_snapshot(cache, name, weights=names[len(asked) - 1]))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    names = ["model.safetensors"]
    locate("o/new", revision="v1", hub=settings(cache, local=False))
    assert asked == [SMALL_FILES + SAFE_WEIGHTS]
    asked.clear()
    names = [None, "pytorch_model.bin"]
    locate("o/old", revision="v1", hub=settings(cache, local=False))
    assert asked == [SMALL_FILES + SAFE_WEIGHTS, OLD_WEIGHTS]


def test_a_right_name_that_cannot_be_had_gets_no_hint_that_it_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFoundError) as told:
        locate("BAAI/bge-reranker-v2-m3", hub=HubSettings(cache_folder=str(tmp_path), local_files_only=True))
    assert "did you mean" not in str(told.value)
