from __future__ import annotations

import contextlib
import os
import pickle
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bge_components import backends
from bge_components.backends import CheckpointSource
from bge_components.catalogue import Family, resolve
from bge_components.contracts import ModelSource, Output
from bge_components.errors import (
    BrokenCheckpointError,
    CheckpointError,
    CheckpointNotFoundError,
    InputError,
    MissingOutputError,
)
from support import tiny

from .sequences import DENSE, load, random_ids, sequences


def source_of(folder: Path | str, **settings: object) -> CheckpointSource:
    return CheckpointSource(model=str(folder), **{"dtype": "float32", **settings})


def test_it_is_a_source_that_is_compared_by_its_settings(tiny_bert: Path) -> None:
    source: ModelSource = source_of(tiny_bert)
    assert source.label == str(tiny_bert)
    assert source.device is None
    assert {source, source_of(tiny_bert)} == {source}
    assert source != source_of(tiny_bert, device="cpu")


def test_one_model_has_one_key_however_it_is_named(tiny_bert: Path, tmp_path: Path, monkeypatch) -> None:
    link = tmp_path / "link"
    link.symlink_to(tiny_bert)
    monkeypatch.chdir(tiny_bert.parent)
    key = source_of(tiny_bert).resolve()

    assert Path(key.folder).is_absolute()
    same = [link, f"{tiny_bert}/", f"./{tiny_bert.name}"]
    assert {source_of(name).resolve() for name in same} == {key}
    assert source_of(tiny_bert, pooling="cls").resolve() == key
    assert source_of(tiny_bert, family=Family.EMBEDDER).resolve() == key
    assert source_of(tiny_bert, trust_remote_code=True).resolve() == key
    assert source_of(tiny_bert, dtype="float16", device="cpu").resolve() == key


def test_what_changes_the_numbers_changes_the_key(tiny_m3: Path, monkeypatch) -> None:
    monkeypatch.setenv("BGE_DTYPE", "bfloat16")
    sources = [
        source_of(tiny_m3),
        source_of(tiny_m3, dtype="auto"),
        source_of(tiny_m3, pooling="mean"),
        source_of(tiny_m3, family=Family.EMBEDDER),
    ]
    keys = [source.resolve() for source in sources]
    assert len(set(keys)) == len(keys)
    assert keys[1].dtype == "bfloat16"


def test_the_checkpoint_is_looked_up_once_and_not_pickled(tiny_m3: Path, monkeypatch) -> None:
    source = source_of(tiny_m3)
    assert source.checkpoint().outputs == {Output.DENSE, Output.SPARSE, Output.MULTI}
    monkeypatch.setattr(
        "bge_components.backends.source.resolve", lambda *_, **__: pytest.fail("looked again")
    )
    assert source.checkpoint().family == Family.M3

    blob = pickle.dumps(source)
    restored = pickle.loads(blob)
    assert restored == source
    assert vars(restored).keys() == {field for field in vars(source) if field != "_resolved"}
    assert len(blob) < 1000


def test_a_failed_look_is_forgotten(tmp_path: Path) -> None:
    source = source_of(tmp_path / "later")
    with pytest.raises(CheckpointNotFoundError):
        source.resolve()
    tiny.bert_embedder(tmp_path / "later")
    assert source.checkpoint().dim == 64


@pytest.mark.parametrize(
    "settings",
    [
        {"backend": "onnx"},
        {"dtype": "int4"},
        {"pooling": "max"},
    ],
)
def test_unknown_choices_are_refused_with_the_choices(settings) -> None:
    (value,) = settings.values()
    with pytest.raises(InputError, match=rf"must be one of .*; got '{value}'"):
        CheckpointSource(model="mini", **settings)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", ["tiny_bert", "tiny_m3", "tiny_modernbert"])
def test_the_estimate_of_memory_is_near(name: str, dtype: str, request) -> None:
    folder = request.getfixturevalue(name)
    source = source_of(folder, dtype=dtype)
    estimate, real = source.estimate_nbytes(source.resolve()), load(folder, dtype).info.nbytes
    assert 0.9 * real < estimate < 1.3 * real  # heads are fp32; poolers are not loaded


def test_the_estimate_of_memory_in_int8_is_near_for_a_network_of_real_size() -> None:
    source = source_of("mini", dtype="int8", device="cpu")
    estimate, real = source.estimate_nbytes(source.resolve()), load("mini", "int8").info.nbytes
    assert 0.9 * real < estimate < 1.3 * real


def test_the_estimate_names_a_broken_file(tmp_path: Path) -> None:
    folder = tiny.bert_embedder(tmp_path)
    (folder / "model.safetensors").write_bytes(b"\xff" * 100)
    source = source_of(folder)
    with pytest.raises(BrokenCheckpointError, match="expected a safetensors file"):
        source.estimate_nbytes(source.resolve())


def test_a_family_can_be_forced(tiny_m3: Path) -> None:
    model = load(tiny_m3, family=Family.EMBEDDER)
    assert model.info.outputs == DENSE
    with pytest.raises(MissingOutputError):
        model.run(sequences(random_ids([5], 300), frozenset({Output.SPARSE})))


def test_the_fake_backend_needs_no_files() -> None:
    source = CheckpointSource(model="any name", backend="fake")
    key = source.resolve()
    model = source.build(key, "cpu")

    assert source.checkpoint().outputs == frozenset(Output)
    assert model.info.name == "any name"
    assert source.estimate_nbytes(key) == 0
    assert CheckpointSource(model="any name", backend="fake").resolve() == key
    assert CheckpointSource(model="other", backend="fake").resolve() != key


def test_the_same_files_elsewhere_are_another_model(tiny_bert: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_bert, tmp_path / "copy")
    assert source_of(tmp_path / "copy").resolve() != source_of(tiny_bert).resolve()


def test_importing_the_room_and_making_a_source_loads_no_torch() -> None:
    code = (
        "import sys\n"
        "from bge_components.backends import CheckpointSource, available_devices, resolve_dtype\n"
        "CheckpointSource(model='BAAI/bge-m3', hub=__import__('bge_components.settings').settings.HubSettings())\n"
        "CheckpointSource(model='x', backend='fake').checkpoint()\n"
        "assert not {'torch', 'transformers', 'tokenizers'} & sys.modules.keys()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_door_lists_its_names_and_refuses_others() -> None:
    assert dir(backends) == ["CheckpointSource", "available_devices", "device_memory_bytes", "resolve_dtype"]
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = backends.nonsense


def test_a_replaced_source_looks_for_itself(tiny_bert: Path, tiny_m3: Path) -> None:
    source = source_of(tiny_bert)
    source.checkpoint()
    assert replace(source, model=str(tiny_m3)).checkpoint().family == Family.M3
    assert os.path.basename(source.resolve().folder) == tiny_bert.name


def test_one_slow_look_up_does_not_hold_up_another(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looking, go_on = threading.Event(), threading.Event()

    def slow(name: str, **more: object) -> object:
        if name == "slow":
            looking.set()
            go_on.wait(10)
        return resolve(name, **more)

    monkeypatch.setattr("bge_components.backends.source.resolve", slow)
    thread = threading.Thread(target=lambda: _quietly(CheckpointSource(model="slow").checkpoint))
    thread.start()
    assert looking.wait(5)
    found = threading.Event()
    quick = threading.Thread(
        target=lambda: (CheckpointSource(model=str(tiny_bert)).checkpoint(), found.set())
    )
    quick.start()
    assert found.wait(5)
    go_on.set()
    thread.join(5)


def _quietly(call: Callable[[], object]) -> None:
    with contextlib.suppress(CheckpointError):
        call()


@pytest.mark.parametrize("device", ["toaster", "cuda:99"])
def test_a_device_that_is_not_there_is_refused_by_name(tiny_bert: Path, device: str) -> None:
    with pytest.raises(InputError, match=device):
        CheckpointSource(model=str(tiny_bert), device=device).resolve()
