from __future__ import annotations

import pytest

from bge_components.retrieval.contracts import Passage
from bge_components.retrieval.filters import Equals, Filter, Range
from bge_components.retrieval.matching import matches, predicate
from support.filter_cases import CASES, METADATA, NAMES


@pytest.mark.parametrize(("condition", "met"), CASES, ids=NAMES)
def test_a_condition_is_met_by_these_documents_and_no_others(condition: Filter, met: set[str]) -> None:
    found = {
        name
        for name, metadata in METADATA.items()
        if matches(Passage(document=name, text="", metadata=metadata), condition)
    }
    assert found == met


def test_a_predicate_serves_many_passages() -> None:
    even = predicate(Equals("even", True))
    passages = [Passage(document=str(i), text="", metadata={"even": i % 2 == 0}) for i in range(4)]
    assert [even(passage) for passage in passages] == [True, False, True, False]


def test_a_whole_number_of_any_length_can_be_compared() -> None:
    passage = Passage(document="d", text="", metadata={"x": 10**400})
    assert matches(passage, Range("x", gt=1.5))
    assert not matches(passage, Equals("x", 1))
