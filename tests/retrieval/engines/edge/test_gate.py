import threading
import time

import pytest

pytest.importorskip("qdrant_edge")

from bge_components.errors import IndexClosedError
from bge_components.retrieval.engines.edge.gate import ShardGate


def test_the_old_one_is_given_back_when_the_calls_that_use_it_have_ended():
    gate, done = ShardGate("old"), []
    replacing = threading.Thread(target=lambda: done.append(gate.replace("new")))
    with gate.lent() as lent:
        replacing.start()
        while in_service(gate) == "old":
            time.sleep(0.001)
        assert (lent, in_service(gate), done) == ("old", "new", [])
    replacing.join(10)
    assert done == ["old"]


def in_service(gate):
    with gate.lent() as shard:
        return shard


def test_a_call_that_fails_has_ended_too():
    gate = ShardGate("old")
    with pytest.raises(ZeroDivisionError), gate.lent():
        raise ZeroDivisionError
    assert gate.replace("new") == "old"


def test_nothing_is_lent_when_none_is_in_service():
    gate = ShardGate("old")
    assert gate.replace(None) == "old"
    with pytest.raises(IndexClosedError, match="closed meanwhile"), gate.lent():
        pass
    with pytest.raises(IndexClosedError):
        gate.replace(None)
