"""The shared data is optional: what is there is found, what is missing skips the test with a reason."""

from __future__ import annotations

import pytest

from support import shared


def test_a_missing_path_skips_and_names_it():
    with pytest.raises(pytest.skip.Exception, match=r"\.\./shared/no/such/thing"):
        shared.shared_path("no", "such", "thing")


def test_a_missing_folder_skips(monkeypatch, tmp_path):
    monkeypatch.setattr(shared, "SHARED", tmp_path / "shared")
    with pytest.raises(pytest.skip.Exception, match=r"\.\./shared"):
        shared.shared_path()


def test_a_model_of_the_parity_kit_is_built_once(parity_models):
    folder = parity_models("bge-m3")
    assert (folder / "sparse_linear.pt").is_file()
    assert (folder / "tokenizer.json").is_file()
    assert parity_models("bge-m3") is folder
