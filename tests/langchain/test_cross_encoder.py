from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from langchain_core.cross_encoders import BaseCrossEncoder

from bge_components import ModelArguments, RerankerSettings, make_reranker
from bge_components.errors import InputTypeError
from bge_components.langchain import BGECrossEncoder
from house.sealed import run_fresh

PAIRS = [("capital of France", "Paris is the capital of France."), ("capital of France", "Water boils.")]


@pytest.mark.parametrize("scores", ["sigmoid", "raw"])
def test_scores_are_the_rerankers_in_plain_floats_and_in_order(tiny_reranker: Any, scores: Any) -> None:
    model = BGECrossEncoder(model=tiny_reranker, dtype="float32", scores=scores)

    given = model.score(PAIRS)

    scorer = make_reranker(
        ModelArguments(model=str(tiny_reranker), dtype="float32"), RerankerSettings(scores=scores)
    )
    assert np.allclose(given, scorer.score(PAIRS), atol=1e-6)
    assert type(given) is list
    assert {type(score) for score in given} == {float}


async def test_async_gives_the_same() -> None:
    model = BGECrossEncoder(model="mini")

    assert await model.ascore(PAIRS) == pytest.approx(model.score(PAIRS))


def test_it_is_what_langchain_calls_a_cross_encoder() -> None:
    assert isinstance(BGECrossEncoder(model="mini"), BaseCrossEncoder)


def test_no_pairs_have_no_scores() -> None:
    assert BGECrossEncoder(model="no-such/checkpoint").score([]) == []


@pytest.mark.parametrize(
    "wrong", ["pairs", None, ["pair"], [("one",)], [("q", None)], [("q", "p", "x")]], ids=str
)
def test_what_is_no_pair_of_strings_is_refused(wrong: Any) -> None:
    with pytest.raises(InputTypeError, match="pairs"):
        BGECrossEncoder(model="mini").score(wrong)


OLDER_LANGCHAIN = """
import sys, types
sys.modules["langchain_core.cross_encoders"] = None
if sys.argv[1] == "classic":
    home = "langchain_classic.retrievers.document_compressors.cross_encoder"
    parts = home.split(".")
    for depth in range(1, len(parts)):
        parent = ".".join(parts[:depth])
        sys.modules[parent] = types.ModuleType(parent)
    sys.modules[home] = types.ModuleType(home)
    class BaseCrossEncoder:
        pass
    sys.modules[home].BaseCrossEncoder = BaseCrossEncoder
else:
    sys.modules["langchain_classic"] = None
from bge_components.langchain import BGECrossEncoder
print([base.__module__.split(".")[0] for base in BGECrossEncoder.__mro__ if base.__name__.endswith("CrossEncoder")])
print(len(BGECrossEncoder(model="mini", backend="fake").score([("a", "b")])))
"""


@pytest.mark.parametrize(("installed", "home"), [("classic", "__main__"), ("neither", "bge_components")])
def test_older_versions_of_langchain_have_the_interface_elsewhere_or_not_at_all(
    installed: str, home: str
) -> None:
    done = run_fresh(OLDER_LANGCHAIN, installed)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [str(["bge_components", home]), "1"]
