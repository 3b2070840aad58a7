from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import pytest
from langchain_core.load import dumps, loads
from langchain_core.load.serializable import Serializable
from pydantic import BaseModel, ValidationError

from bge_components import ModelPool, shared_pool
from bge_components.errors import InputError
from bge_components.langchain import BGECrossEncoder, BGEEmbeddings, BGEReranker
from house.sealed import run_fresh

COMPONENTS = (BGEEmbeddings, BGEReranker, BGECrossEncoder)
every_component = pytest.mark.parametrize("component", COMPONENTS, ids=lambda one: one.__name__)
SETTINGS = {"model": "mini", "dtype": "float32", "device": "cpu", "max_tokens": 100, "timeout_s": 60.0}


def test_the_defaults_are_the_checkpoints_that_most_people_want() -> None:
    assert BGEEmbeddings().model == "BAAI/bge-m3"
    assert BGEReranker().model == "BAAI/bge-reranker-v2-m3"
    assert BGECrossEncoder().model == "BAAI/bge-reranker-v2-m3"


@every_component
def test_making_a_component_loads_nothing(component: type[Serializable], fresh_pool: ModelPool) -> None:
    component(model="mini")
    component(model="no-such/checkpoint")

    assert fresh_pool.stats().loads == fresh_pool.stats().failed_loads == 0


@every_component
def test_the_checkpoint_may_be_called_model_or_model_name(component: type[Any]) -> None:
    assert (
        component(model_name="mini") == component(model="mini") == component(model="mini", model_name="mini")
    )
    assert component(model_name="mini").model_name == "mini"


@every_component
def test_two_names_that_differ_are_refused(component: type[Any]) -> None:
    with pytest.raises(InputError, match=r"'mini'.*'other'.*give one"):
        component(model="mini", model_name="other")


@every_component
def test_a_path_may_be_given_as_one(component: type[Any], tmp_path: Path) -> None:
    made = component(model=tmp_path, cache_folder=tmp_path)

    assert (made.model, made.cache_folder) == (str(tmp_path), str(tmp_path))


@every_component
@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"modle": "mini"}, "modle"),
        ({"model": None}, "model"),
        ({"dtype": "float8"}, "dtype"),
        ({"backend": "onnx"}, "backend"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"on_truncation": "crash"}, "on_truncation"),
        ({"timeout_s": -1}, "timeout_s"),
        ({"timeout_s": float("nan")}, "timeout_s"),
    ],
    ids=str,
)
def test_a_wrong_argument_is_refused_by_name(component: type[Any], wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=rf"{component.__name__}.*{named}"):
        component(**{"model": "mini", **wrong})


@every_component
def test_a_refusal_does_not_repeat_the_value(component: type[Any]) -> None:
    with pytest.raises(InputError) as refused:
        component(model="mini", token="hf_secret")

    assert "token" in str(refused.value)
    assert "hf_secret" not in str(refused.value) + str(refused.value.__cause__)


@every_component
def test_assigning_nonsense_is_refused(component: type[Any]) -> None:
    made = component(model="mini")

    with pytest.raises(ValidationError):
        made.max_tokens = 0


@every_component
def test_components_compare_by_their_settings(component: type[Any], pool: ModelPool) -> None:
    assert component(**SETTINGS) == component(**SETTINGS, pool=pool)
    assert component(**SETTINGS) != component(**{**SETTINGS, "max_tokens": 99})
    assert component(**SETTINGS) != "mini"


def test_a_reranker_is_no_cross_encoder_even_with_the_same_settings() -> None:
    assert BGEReranker(model="mini") != BGECrossEncoder(model="mini")


@every_component
def test_what_is_printed_is_what_was_set(component: type[Any], pool: ModelPool) -> None:
    shown = repr(component(**SETTINGS, pool=pool))

    assert shown.startswith(component.__name__)
    assert "model='mini'" in shown
    assert "max_tokens=100" in shown
    assert "pool" not in shown
    assert "revision" not in shown


@every_component
def test_a_pickle_holds_the_settings_and_no_pool(component: type[Any], pool: ModelPool) -> None:
    made = component(**SETTINGS, pool=pool)

    pickled = pickle.dumps(made)
    opened = pickle.loads(pickled)

    assert opened == made
    assert opened.pool is None
    assert len(pickled) < 4000


@every_component
@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, BaseModel.model_copy])
def test_a_copy_in_this_process_draws_on_the_same_pool(
    component: type[Any], copied: Any, pool: ModelPool
) -> None:
    made = component(**SETTINGS, pool=pool)

    twin = copied(made)

    assert twin is not made
    assert twin == made
    assert twin.pool is pool


def test_a_pickled_component_works_in_another_pool(fresh_pool: ModelPool) -> None:
    with ModelPool(fresh_pool.settings) as own:
        made = BGEEmbeddings(model="mini", pool=own)
        before = made.embed_query("water")

        after = pickle.loads(pickle.dumps(made)).embed_query("water")

    assert after == pytest.approx(before, abs=1e-6)
    assert own.stats().loads == shared_pool().stats().loads == 1


@every_component
@pytest.mark.filterwarnings("ignore:The function `loads` is in beta")
def test_langchain_writes_and_reads_it(component: type[Any], pool: ModelPool) -> None:
    made = component(**SETTINGS, pool=pool)

    written = dumps(made)
    read = loads(written, allowed_objects=[component], valid_namespaces=["bge_components"])

    assert read == made
    assert "pool" not in written


@every_component
def test_pydantic_writes_and_reads_it(component: type[Any], pool: ModelPool) -> None:
    made = component(**SETTINGS, pool=pool)

    assert component.model_validate_json(made.model_dump_json()) == made


def test_a_pool_of_ones_own_is_used(fresh_pool: ModelPool) -> None:
    with ModelPool(fresh_pool.settings) as own:
        BGEEmbeddings(model="mini", backend="fake", pool=own).embed_query("x")

        assert own.stats().loads == 1
    assert fresh_pool.stats().loads == 0


WITHOUT_LANGCHAIN = """
import sys
sys.modules["langchain_core"] = None
try:
    from bge_components.langchain import *
except ImportError as error:
    print(type(error).__name__, error)
"""


def test_without_langchain_the_error_holds_the_pip_line() -> None:
    done = run_fresh(WITHOUT_LANGCHAIN)

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("MissingDependencyError")
    assert "pip install 'bge-components[langchain]'" in done.stdout
