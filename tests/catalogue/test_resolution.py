from __future__ import annotations

import subprocess
import sys
from dataclasses import FrozenInstanceError, replace

import pytest
from catalogue.folders import BERT, CLS, M3, RERANKER, modules, write_checkpoint

from bge_components.catalogue import Family, find, resolve
from bge_components.contracts import Output
from bge_components.errors import BrokenCheckpointError, UnsupportedCheckpointError
from bge_components.settings import HubSettings

COMMIT = "d" * 40
HEADS = ("sparse_linear.pt", "colbert_linear.pt")


@pytest.fixture
def hub(tmp_path):
    return HubSettings(cache_folder=str(tmp_path / "hub"), local_files_only=True)


def cached(tmp_path, name, config, **files):
    repository = tmp_path / "hub" / ("models--" + name.replace("/", "--"))
    folder = write_checkpoint(repository / "snapshots" / COMMIT, config, **files)
    (folder / "model.safetensors").touch()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    return folder


def test_mini_is_resolved_with_its_heads():
    found = resolve("mini")
    assert found.checkpoint is find("mini")
    assert found.checkpoint.outputs == {Output.DENSE, Output.MULTI}
    assert found.revision is None
    with pytest.raises(FrozenInstanceError):
        found.revision = "x"


def test_the_files_of_mini_are_what_its_entry_says():
    entry = find("mini")
    found = resolve(str(resolve("mini").folder)).checkpoint
    assert entry is not None
    assert replace(found, name="mini") == entry


def test_a_catalogued_name_is_described_by_its_entry(tmp_path, hub):
    folder = cached(tmp_path, "BAAI/bge-m3", M3, heads=HEADS)
    for name in ("BAAI/bge-m3", "bge-m3"):
        found = resolve(name, hub=hub)
        assert found.checkpoint is find("BAAI/bge-m3")
        assert (found.folder, found.revision) == (folder, COMMIT)


@pytest.mark.parametrize("heads", [(), HEADS[:1], HEADS[1:]])
def test_a_declared_head_that_is_not_on_disk_is_an_error(tmp_path, hub, heads):
    cached(tmp_path, "BAAI/bge-m3", M3, heads=heads)
    with pytest.raises(BrokenCheckpointError) as caught:
        resolve("BAAI/bge-m3", hub=hub)
    for head in HEADS:
        assert (head.removesuffix(".pt") in str(caught.value)) == (head not in heads)
    assert "hf download BAAI/bge-m3" in str(caught.value)


def test_a_family_asked_for_narrows_an_entry_but_never_invents_a_head(tmp_path, hub):
    cached(tmp_path, "BAAI/bge-m3", M3)
    dense = resolve("BAAI/bge-m3", hub=hub, family=Family.EMBEDDER).checkpoint
    assert (dense.name, dense.family, dense.outputs) == ("BAAI/bge-m3", Family.EMBEDDER, {Output.DENSE})
    assert dense.languages == ("multilingual",)
    for family in (Family.M3, Family.CROSS_ENCODER):
        with pytest.raises(BrokenCheckpointError):
            resolve("BAAI/bge-m3", hub=hub, family=family)


def test_an_unknown_name_is_described_by_its_own_files(tmp_path, hub):
    folder = cached(tmp_path, "some/reranker", RERANKER)
    found = resolve("some/reranker", hub=hub)
    assert (found.checkpoint.family, found.checkpoint.name) == (Family.CROSS_ENCODER, "some/reranker")
    assert (found.folder, found.revision) == (folder, COMMIT)


def test_a_local_folder_is_described_by_its_own_files(tmp_path):
    folder = write_checkpoint(tmp_path / "mine", BERT, pooling=CLS)
    found = resolve(f"{folder}/")
    assert (found.checkpoint.name, found.folder, found.revision) == (str(folder), folder, None)
    assert found.checkpoint.query_instruction == ""


def test_a_copied_folder_that_keeps_its_name_keeps_its_instruction(tmp_path, monkeypatch):
    files = {"pooling": CLS, "modules": modules("Transformer", "Pooling", "Normalize")}
    folder = write_checkpoint(tmp_path / "bge-small-en-v1.5", BERT, **files)
    entry = find("BAAI/bge-small-en-v1.5")
    assert entry is not None
    assert resolve(str(folder)).checkpoint == replace(entry, name=str(folder))
    (tmp_path / "current").symlink_to(folder)
    assert resolve(str(tmp_path / "current")).checkpoint.query_instruction == entry.query_instruction
    monkeypatch.chdir(tmp_path)
    assert resolve("bge-small-en-v1.5").checkpoint.name == "bge-small-en-v1.5"


def test_a_folder_that_borrows_a_name_and_holds_something_else_is_read_as_it_is(tmp_path):
    folder = write_checkpoint(tmp_path / "bge-small-en-v1.5", BERT | {"hidden_size": 768})
    found = resolve(str(folder)).checkpoint
    assert (found.dim, found.query_instruction, found.licence) == (768, "", "unknown")


def test_the_path_of_a_cached_snapshot_is_known_by_its_repository(tmp_path):
    folder = cached(tmp_path, "BAAI/bge-small-en-v1.5", BERT, pooling=CLS)
    found = resolve(str(folder))
    assert found.checkpoint.query_instruction.startswith("Represent this sentence")
    assert found.revision == COMMIT


def test_a_local_folder_of_a_kind_that_is_not_run_is_refused_by_its_files(tmp_path):
    config = {"architectures": ["MistralModel"], "model_type": "mistral", "hidden_size": 4096}
    folder = write_checkpoint(tmp_path / "bge-en-icl", config)
    with pytest.raises(UnsupportedCheckpointError, match="LLM-based"):
        resolve(str(folder))


def test_the_archive_and_the_packaged_checkpoint_need_no_model_library():
    code = (
        "import sys; from bge_components.catalogue import all_checkpoints, resolve, suggestions\n"
        "resolve('mini'); all_checkpoints(); suggestions('bge')\n"
        "heavy = {'torch', 'transformers', 'huggingface_hub', 'tokenizers', 'safetensors'} & sys.modules.keys()\n"
        "assert not heavy, heavy"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
