import time

import numpy as np

from bge_components.contracts import Output, Priority, TokenSequence
from bge_components.pool.memo import OutputMemo, digest_of
from support.scripted import sequence

DENSE, SPARSE = frozenset({Output.DENSE}), frozenset({Output.SPARSE})


def array(n=4):
    return np.ones(n, dtype=np.float32)


def test_the_memo_gives_back_what_it_was_given_for_the_same_tokens_only():
    memo = OutputMemo(10, 10_000)
    memo.put(digest_of(sequence(1, 2, 3)), {Output.DENSE: array()})
    assert memo.get(digest_of(sequence(1, 2, 3)), DENSE) is not None
    assert memo.get(digest_of(sequence(1, 2)), DENSE) is None
    assert memo.get(digest_of(sequence(1, 2, 4)), DENSE) is None
    assert memo.hits == 1


def test_chunks_make_another_entry():
    whole, ids = sequence(1, 2, 3), sequence(1, 2, 3).ids
    chunks = [np.array(ranges, dtype=np.int32) for ranges in ([(0, 3)], [(0, 1), (1, 3)], [(0, 1)])]
    sequences = [whole, *(TokenSequence(ids, DENSE, chunks=one) for one in chunks)]
    sequences.append(TokenSequence(ids, DENSE, type_ids=np.zeros(3, dtype=np.int32)))
    assert len({digest_of(one) for one in sequences}) == 5
    assert digest_of(sequences[2]) == digest_of(TokenSequence(ids, SPARSE, chunks=chunks[1].copy()))


def test_the_memo_learns_which_outputs_go_together():
    memo = OutputMemo(10, 10_000)
    key = digest_of(sequence(1, 2, 3))
    assert memo.wider(DENSE) == DENSE
    memo.put(key, {Output.DENSE: array()})
    assert memo.get(key, SPARSE) is None
    assert memo.wider(DENSE) == memo.wider(SPARSE) == DENSE | SPARSE
    assert memo.wider(DENSE, Priority.QUERY) == DENSE
    memo.put(key, {Output.DENSE: array(), Output.SPARSE: array()})
    assert memo.get(key, DENSE | SPARSE) is not None


def test_the_memo_forgets_after_its_time_and_beyond_its_bytes():
    memo = OutputMemo(0.02, 10_000)
    memo.put(b"a", {Output.DENSE: array()})
    time.sleep(0.03)
    assert memo.get(b"a", DENSE) is None
    assert len(memo) == 0
    small = OutputMemo(10, 20_000)
    for name in (b"a", b"b", b"c"):
        small.put(name, {Output.DENSE: array(2000)})  # 8,000 bytes each
    assert small.get(b"a", DENSE) is None
    assert small.get(b"c", DENSE) is not None


def test_remembered_arrays_cannot_be_written_to():
    memo = OutputMemo(10, 10_000)
    memo.put(b"a", {Output.DENSE: array()})
    assert not memo.get(b"a", DENSE)[Output.DENSE].flags.writeable


def test_a_memo_of_zero_seconds_is_off():
    memo = OutputMemo(0, 10_000)
    memo.put(b"a", {Output.DENSE: array()})
    assert memo.get(b"a", DENSE) is None


def test_a_hit_teaches_the_memo_nothing():
    memo = OutputMemo(10, 10_000)
    memo.put(b"a", {Output.DENSE: array(), Output.SPARSE: array()})
    assert memo.get(b"a", DENSE) is not None
    assert memo.wider(DENSE) == DENSE
