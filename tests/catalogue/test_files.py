from __future__ import annotations

import os
import re

import pytest
from catalogue.folders import BERT, write_checkpoint

from bge_components.catalogue import files, locate
from bge_components.errors import (
    CheckpointNotFoundError,
    InputError,
    InputTypeError,
    UnsupportedCheckpointError,
)


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch):
    def asked(*arguments, **options):
        raise AssertionError(f"the hub was asked: {arguments}")

    monkeypatch.setattr("huggingface_hub.snapshot_download", asked)


def test_mini_is_the_packaged_folder_whatever_lies_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mini").mkdir()
    folder = locate("mini")
    assert (folder.parent.name, folder.name) == ("checkpoints", "mini")
    assert (folder / "config.json").is_file()
    assert locate("./mini") == tmp_path / "mini"


def test_a_package_without_its_checkpoint_says_so(tmp_path, monkeypatch):
    monkeypatch.setitem(files.PACKAGED, "mini", tmp_path / "gone")
    with pytest.raises(CheckpointNotFoundError, match="install this package again"):
        locate("mini")


def test_a_folder_is_itself_however_it_is_spelled(tmp_path, monkeypatch):
    folder = write_checkpoint(tmp_path / "models" / "mine", BERT)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    spellings = [
        str(folder),
        f"{folder}/",
        "models/mine",
        "./models/mine/",
        "~/models/mine",
        "models/../models/mine",
    ]
    assert {locate(spelling) for spelling in spellings} == {folder}
    assert folder.is_absolute()


def test_a_link_to_a_folder_is_the_folder_so_that_both_share_one_model(tmp_path):
    folder = write_checkpoint(tmp_path / "real", BERT)
    (tmp_path / "link").symlink_to(folder)
    assert locate(str(tmp_path / "link")) == folder


def test_a_folder_goes_before_the_hub(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = write_checkpoint(tmp_path / "BAAI" / "bge-m3", BERT)
    assert locate("BAAI/bge-m3") == folder


@pytest.mark.parametrize(
    "path",
    [
        "./bge-m3",
        "../bge-m3",
        "/no/such/bge-m3",
        "~/no/such/bge-m3",
        "a/b/bge-m3",
        "models/bge-m3/",
        "C:/bge-m3",
    ],
)
def test_what_looks_like_a_path_is_never_asked_of_the_hub(path):
    with pytest.raises(CheckpointNotFoundError, match=r"no folder.*did you mean 'BAAI/bge-m3'") as caught:
        locate(path)
    assert os.getcwd() in str(caught.value)
    assert isinstance(caught.value, FileNotFoundError)


def test_a_path_with_backslashes_is_no_name_on_the_hub():
    with pytest.raises(CheckpointNotFoundError, match="no folder"):
        locate("models\\bge-m3")


def test_a_file_is_answered_with_the_folder_that_is_wanted(tmp_path):
    folder = write_checkpoint(tmp_path, BERT)
    with pytest.raises(CheckpointNotFoundError, match=r"is a file: pass the folder"):
        locate(str(folder / "config.json"))


@pytest.mark.parametrize("name", ["", " ", "\n", "BAAI/bge-m3\0", "\0"])
def test_an_empty_name_or_nul_is_refused(name):
    with pytest.raises(InputError, match="must not be empty or hold NUL"):
        locate(name)


@pytest.mark.parametrize("name", [None, 3, b"BAAI/bge-m3", ["BAAI/bge-m3"]])
def test_a_name_that_is_no_string_is_refused(name):
    with pytest.raises(InputTypeError, match="must be a string"):
        locate(name)


@pytest.mark.parametrize(
    "name",
    [
        "BAAI/..",
        "BAAI/bge..m3",
        "BAAI--x/bge-m3",
        "BAAI/-bge",
        "BAAI/bge m3",
        "BAAI/bge-m3?x=1",
        "BAAI/bge-m3@main",
        "https:bge-m3",
        "BAAI/bge-m3%2f..",
        "bge-m３",
        "x" * 97,
        "x" * 10_000,
        "~nobody-of-that-name",
    ],
)
def test_what_is_no_name_on_the_hub_is_not_asked_of_it(name):
    with pytest.raises(CheckpointNotFoundError, match=re.escape("'BAAI/bge-m3'")) as caught:
        locate(name)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "revision", ["../../etc", "/etc/passwd", "a/../b", "main\0", "", "a b", "refs//x", "x?y"]
)
def test_a_revision_that_could_leave_the_cache_is_refused(revision):
    with pytest.raises(InputError, match="revision"):
        locate("BAAI/bge-m3", revision=revision)


def test_a_folder_has_no_revisions(tmp_path):
    for name in (str(tmp_path), "mini"):
        with pytest.raises(InputError, match="has no revisions"):
            locate(name, revision="main")


@pytest.mark.parametrize("name", ["BAAI/bge-en-icl", "bge-reranker-v2-gemma", "Qwen/Qwen3-Embedding-8B"])
def test_names_that_are_not_run_fail_before_anything_is_downloaded(name):
    with pytest.raises(UnsupportedCheckpointError, match=r"LLM-based.*BAAI/bge-m3"):
        locate(name)
