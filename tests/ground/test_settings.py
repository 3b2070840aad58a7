from __future__ import annotations

import dataclasses
import os
import re

import pytest

from bge_components.errors import InputError
from bge_components.settings import (
    BatchSettings,
    PoolSettings,
    chosen_dtype,
    hub_is_offline,
    known_variables,
)


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("BGE_") or name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
            monkeypatch.delenv(name)


def test_a_bare_environment_gives_the_defaults() -> None:
    assert PoolSettings.from_env() == PoolSettings()


def test_every_setting_can_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = {
        "BUDGET_BYTES": 1000,
        "IDLE_S": 1.5,
        "REPLICAS": 2,
        "LOAD_WAIT_S": 3.5,
        "MEMO_S": 0.0,
        "MEMO_BYTES": 4096,
        "PREPARE_THREADS": 5,
    }
    batch = {
        "MAX_TOKENS": 6,
        "MAX_ITEMS": 7,
        "WINDOW": 8,
        "MAX_QUEUED": 9,
        "BULK_PATIENCE_S": 0.25,
        "STUCK_AFTER_S": 11.0,
    }
    for name, value in {**numbers, **batch, "DEVICES": "cuda:0, cpu"}.items():
        monkeypatch.setenv(f"BGE_{name}", str(value))

    settings = PoolSettings.from_env()

    assert settings.devices == ("cuda:0", "cpu")
    assert {name: getattr(settings, name.lower()) for name in numbers} == numbers
    assert {name: getattr(settings.batch, name.lower()) for name in batch} == batch


def test_the_docstring_names_every_variable() -> None:
    names = {item.name for kind in (PoolSettings, BatchSettings) for item in dataclasses.fields(kind)} - {
        "batch"
    }

    assert [
        name for name in names if f"BGE_{name.upper()}" not in (PoolSettings.from_env.__doc__ or "")
    ] == []


def test_numbers_from_the_environment_have_their_own_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BGE_MAX_TOKENS", "100")
    monkeypatch.setenv("BGE_IDLE_S", "100")

    settings = PoolSettings.from_env()

    assert type(settings.batch.max_tokens) is int
    assert type(settings.idle_s) is float


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BGE_MAX_TOKENS", "many"),
        ("BGE_MAX_TOKENS", "2.5"),
        ("BGE_MAX_TOKENS", ""),
        ("BGE_MAX_TOKENS", "0"),
        ("BGE_MAX_ITEMS", "-1"),
        ("BGE_REPLICAS", "0"),
        ("BGE_BUDGET_BYTES", "-5"),
        ("BGE_STUCK_AFTER_S", "0"),
        ("BGE_STUCK_AFTER_S", "nan"),
        ("BGE_IDLE_S", "-1"),
        ("BGE_LOAD_WAIT_S", "nan"),
        ("BGE_MEMO_S", "-0.1"),
        ("BGE_MEMO_BYTES", "-1"),
        ("BGE_BULK_PATIENCE_S", "soon"),
        ("BGE_BULK_PATIENCE_S", "-2"),
        ("BGE_DEVICES", " , "),
    ],
)
def test_a_bad_value_is_refused_by_name(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(InputError, match=name.removeprefix("BGE_").lower() + "|" + name):
        PoolSettings.from_env()


def test_devices_given_as_a_string_are_refused_with_an_example() -> None:
    with pytest.raises(InputError, match="'cuda:0'"):
        PoolSettings(devices="cuda:0")  # type: ignore[arg-type]


def test_an_unknown_setting_is_an_error() -> None:
    with pytest.raises(TypeError, match="budget_gb"):
        PoolSettings(budget_gb=3)  # type: ignore[call-arg]


def test_settings_cannot_be_changed_and_compare_by_value() -> None:
    settings = PoolSettings(replicas=2)

    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.replicas = 3  # type: ignore[misc]
    assert settings == PoolSettings(replicas=2)
    assert hash(settings) == hash(PoolSettings(replicas=2))


@pytest.mark.parametrize(
    ("value", "offline"),
    [("1", True), ("true", True), (" ON ", True), ("0", False), ("", False), ("no", False)],
)
@pytest.mark.parametrize("name", ["HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"])
def test_the_hub_is_offline_when_either_variable_says_so(
    name: str, value: str, offline: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)

    assert hub_is_offline() is offline


def test_the_hub_is_online_by_default() -> None:
    assert hub_is_offline() is False


@pytest.mark.parametrize("value", ["auto", "float32", "bfloat16", "float16", "int8"])
def test_the_number_format_comes_from_the_environment_when_asked(
    value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert chosen_dtype() == "auto"
    monkeypatch.setenv("BGE_DTYPE", value)

    assert chosen_dtype() == value


def test_an_unknown_number_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BGE_DTYPE", "fp16")

    with pytest.raises(InputError, match="got 'fp16'"):
        chosen_dtype()


def test_every_variable_that_is_documented_is_known_and_no_other():
    documented = re.findall(r"BGE_[A-Z_]+[A-Z]", PoolSettings.from_env.__doc__)
    assert sorted([*documented, "BGE_DTYPE"]) == sorted(known_variables())


def test_a_batch_is_as_large_as_its_device_likes_unless_told() -> None:
    assert BatchSettings().tokens_on("cpu") == BatchSettings().tokens_on("mps") == 2048
    assert BatchSettings().tokens_on("cuda:1") > 10_000
    assert BatchSettings(max_tokens=7).tokens_on("cuda:1") == 7
