from __future__ import annotations

import json
from pathlib import Path

import pytest

from bge_components._extras import foreign_base, require
from bge_components.errors import MissingDependencyError


def test_an_installed_module_is_given() -> None:
    assert require("json", extra="langchain") is json


@pytest.mark.parametrize("module", ["nowhere_to_be_found", "nowhere_to_be_found.inner"])
def test_a_missing_module_is_named_with_the_pip_line(module: str) -> None:
    with pytest.raises(MissingDependencyError) as caught:
        require(module, extra="llama-index")

    assert module in str(caught.value)
    assert "pip install 'bge-components[llama-index]'" in str(caught.value)
    assert isinstance(caught.value, ImportError)
    assert isinstance(caught.value.__cause__, ModuleNotFoundError)


@pytest.mark.parametrize("missing", ["something_else", "half"])
def test_an_installed_module_whose_own_dependency_is_missing_says_so_itself(
    missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_installed.py").write_text(f"import {missing}\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(ModuleNotFoundError) as caught:
        require("half_installed", extra="langchain")

    assert caught.value.name == missing
    assert not isinstance(caught.value, MissingDependencyError)


class Standin:
    pass


def test_a_base_is_the_foreign_class_where_it_is_installed_and_the_standin_elsewhere() -> None:
    assert foreign_base("json", "JSONDecoder", otherwise=Standin) is json.JSONDecoder
    assert foreign_base("nowhere_to_be_found.inner", "Base", otherwise=Standin) is Standin


def test_a_base_whose_own_dependency_is_missing_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "half_a_base.py").write_text("import something_else\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    with pytest.raises(ModuleNotFoundError, match="something_else"):
        foreign_base("half_a_base", "Base", otherwise=Standin)
