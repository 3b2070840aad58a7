"""Getting the files of a checkpoint from the model hub or its cache: the doorway to huggingface_hub."""

from __future__ import annotations

import json
from pathlib import Path
from typing import cast

from ..errors import CheckpointNotFoundError
from ..settings import HubSettings, hub_is_offline
from .lookup import find, suggestions

SMALL_FILES = (
    "config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "sentencepiece.bpe.model",
    "spiece.model",
    "tokenizer.model",
    "modules.json",
    "config_sentence_transformers.json",
    "sentence_*_config.json",
    "*_Pooling/config.json",
    "sparse_linear.safetensors",
    "sparse_linear.pt",
    "colbert_linear.safetensors",
    "colbert_linear.pt",
)
SAFE_WEIGHTS = ("model.safetensors", "model.safetensors.index.json", "model-*-of-*.safetensors")
OLD_WEIGHTS = ("pytorch_model.bin", "pytorch_model.bin.index.json", "pytorch_model-*-of-*.bin")
INSTEAD = (
    "Or copy the files to a folder and pass its path; model 'mini' is packaged and needs no download at all."
)


def fetch(name: str, revision: str | None, hub: HubSettings) -> Path:
    """Give the folder of a repository's snapshot, downloading what is missing.

    Only configuration, tokeniser, heads and weights are fetched, weights as safetensors where the
    repository has them; never code, and no formats of other runtimes.

    Args:
        name: Name of the repository, checked by the caller.
        revision: Commit, tag or branch; None for the main branch.
        hub: Cache folder, and whether the network may be asked.

    Raises:
        CheckpointNotFoundError: If the files cannot be had; the message says why and what to do.
    """
    from huggingface_hub.errors import (  # heavy: imported when the hub is needed
        HfHubHTTPError,
        LocalEntryNotFoundError,
    )

    # the root of the errors of whichever HTTP library this version of the hub uses
    transport_error = cast("type[Exception]", HfHubHTTPError.__bases__[0])
    try:
        folder = _download(name, revision, hub, SMALL_FILES + SAFE_WEIGHTS)
        if not has_weights(folder):
            folder = _download(name, revision, hub, OLD_WEIGHTS)
    except LocalEntryNotFoundError as error:
        left = _left_by_an_earlier_download(name, revision, hub)
        if left is None:
            raise CheckpointNotFoundError(_explained(name, revision, hub, error)) from error
        folder = left
    except (transport_error, OSError, ValueError, RuntimeError) as error:
        raise CheckpointNotFoundError(_explained(name, revision, hub, error)) from error
    if not has_weights(folder):
        raise CheckpointNotFoundError(_no_weights(name, hub, folder))
    return folder


def has_weights(folder: Path) -> bool:
    """Say whether a folder holds all weights: in one file, or every part that an index names."""
    for single in ("model.safetensors", "pytorch_model.bin"):
        if (folder / single).is_file():
            return True
        index = folder / f"{single}.index.json"
        if index.is_file() and all((folder / part).is_file() for part in _parts(index)):
            return True
    return False


def offline(hub: HubSettings) -> bool:
    """Say whether the network must not be asked, by these settings or by the environment."""
    return hub.local_files_only or hub_is_offline()


def _parts(index: Path) -> set[str]:
    try:
        return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return {"(unreadable index)"}


def _download(name: str, revision: str | None, hub: HubSettings, patterns: tuple[str, ...]) -> Path:
    from huggingface_hub import snapshot_download

    cache = None if hub.cache_folder is None else Path(hub.cache_folder).expanduser()
    folder: str = snapshot_download(
        name,
        revision=revision,
        cache_dir=cache,
        local_files_only=offline(hub),
        allow_patterns=list(patterns),
    )
    return Path(folder)


def _left_by_an_earlier_download(name: str, revision: str | None, hub: HubSettings) -> Path | None:
    """Give a cached snapshot that lacks some wanted file, but has configuration and weights."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    cached = HubSettings(cache_folder=hub.cache_folder, local_files_only=True)
    try:
        folder = _download(name, revision, cached, ("config.json",))
    except LocalEntryNotFoundError:
        return None
    return folder if has_weights(folder) else None


def _explained(name: str, revision: str | None, hub: HubSettings, error: BaseException) -> str:
    from huggingface_hub.errors import (
        GatedRepoError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    status = getattr(getattr(error, "response", None), "status_code", None)
    if isinstance(error, RevisionNotFoundError):
        return f"{name} is on the hub, but has no revision {revision!r}: give a commit, tag or branch of it."
    if isinstance(error, GatedRepoError) or (
        status in (401, 403) and not isinstance(error, RepositoryNotFoundError)
    ):
        return (
            f"The hub does not give {name} to everybody: accept its conditions on its page, then log in with "
            f"`hf auth login` or set HF_TOKEN. {INSTEAD}"
        )
    if isinstance(error, RepositoryNotFoundError):
        return (
            f"The hub has no checkpoint named {name!r}, or it is private{did_you_mean(name)}. For a private one, log "
            f"in with `hf auth login` or set HF_TOKEN. {INSTEAD}"
        )
    if offline(hub):
        return _offline_text(name, revision, hub)
    if isinstance(error, LocalEntryNotFoundError):
        return (
            f"The hub cannot be reached, and {_cache_name(hub)} has no {name}{did_you_mean(name)}. Cause: "
            f"{_first_line(error.__cause__ or error)}. Check the connection (HTTPS_PROXY, HF_ENDPOINT). {INSTEAD}"
        )
    return f"Getting {name} from the hub failed: {_first_line(error)}. {INSTEAD}"


def _offline_text(name: str, revision: str | None, hub: HubSettings) -> str:
    why = (
        "local_files_only is set"
        if hub.local_files_only
        else "HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) is set"
    )
    wanted = name if revision is None else f"{name} at revision {revision!r}"
    return (
        f"{wanted} is not in {_cache_name(hub)}, and the network may not be asked because {why}"
        f"{did_you_mean(name)}. Download it where there is a network (hf download {name}) into the same cache, "
        f"or allow the network. {INSTEAD}"
    )


def _no_weights(name: str, hub: HubSettings, folder: Path) -> str:
    what_to_do = (
        f"{_cache_name(hub)} holds a part of it: run `hf download {name}` where there is a network"
        if offline(hub)
        else "the repository may hold another format only (ONNX, GGUF, ...)"
    )
    return f"{name}: {folder} has neither model.safetensors nor pytorch_model.bin; {what_to_do}. {INSTEAD}"


def did_you_mean(name: str) -> str:
    """Give " (did you mean ...?)", or nothing where no name is near."""
    entry = find(name)
    near = [] if entry is not None and entry.name == name else suggestions(name)
    return f" (did you mean {' or '.join(repr(known) for known in near)}?)" if near else ""


def _cache_name(hub: HubSettings) -> str:
    return f"the cache folder {hub.cache_folder}" if hub.cache_folder else "the hub's cache (HF_HOME)"


def _first_line(error: BaseException) -> str:
    text = str(error).strip()
    return f"{type(error).__name__}: {text.splitlines()[0]}" if text else type(error).__name__
