from __future__ import annotations

import hashlib
import subprocess
import sys
import threading

import numpy as np
import pytest

from bge_components.backends.fake import FakeFaults, FakeModel, FakeSource, FakeTokenizer, fake_checkpoint
from bge_components.contracts import Model, ModelSource, Output, TextTokenizer, TokenSequence
from bge_components.errors import DeviceOutOfMemoryError, PoolClosedError

EVERY = frozenset(Output)
TEXTS = ["The giant panda eats bamboo.", "大熊猫 eats", "", "panda"]


def model_with(faults: FakeFaults) -> FakeModel:
    return FakeModel(fake_checkpoint("fake"), faults=faults)


def encoded(model: FakeModel, *texts: str) -> list[TokenSequence]:
    return [TokenSequence(ids, EVERY) for ids in model.tokenizer.encode(texts, 64)[0]]


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_it_keeps_the_contracts() -> None:
    source: ModelSource = FakeSource()
    model = source.build(source.resolve(), "cuda:7")
    tokenizer: TextTokenizer = model.tokenizer

    assert isinstance(model, Model)
    assert (model.info.device, model.info.outputs, tokenizer.special_ids) == (
        "cuda:7",
        EVERY,
        {0, 1, 2, 3, 4},
    )
    for sequence, found in zip(encoded(model, *TEXTS), model.run(encoded(model, *TEXTS)), strict=True):
        shapes = {
            Output.DENSE: (32,),
            Output.SPARSE: (len(sequence),),
            Output.MULTI: (len(sequence) - 1, 32),
            Output.SCORE: (),
        }
        assert {output: array.shape for output, array in found.items()} == shapes
        assert all(array.dtype == np.float32 and array.flags.c_contiguous for array in found.values())
        assert all(np.isfinite(array).all() for array in found.values())


def test_only_what_was_asked_for_is_given() -> None:
    model = model_with(FakeFaults())
    (ids,), _ = model.tokenizer.encode(["a"], 9)
    (found,) = model.run([TokenSequence(ids, frozenset({Output.SPARSE}))])
    assert found.keys() == {Output.SPARSE}


def test_texts_that_share_words_are_near() -> None:
    model = model_with(FakeFaults())
    query, near, far = (
        one[Output.DENSE]
        for one in model.run(encoded(model, "panda eats bamboo", "the panda eats", "stocks fell sharply"))
    )
    assert cosine(query, near) > cosine(query, far) + 0.2


def test_scores_tell_how_many_words_of_the_first_text_the_second_has() -> None:
    model = model_with(FakeFaults())
    scores = []
    for passage in ("panda bamboo", "panda", "stocks"):
        (a, b), _ = model.tokenizer.encode_plain(["panda bamboo", passage], 50)
        ids, types = model.tokenizer.join_pair(a, b)
        assert len(ids) == len(a) + len(b) + model.tokenizer.pair_overhead()
        (found,) = model.run([TokenSequence(ids, EVERY, types)])
        scores.append(float(found[Output.SCORE]))
    assert scores == [4, 0, -4]


def test_lengths_are_kept_and_cuts_reported() -> None:
    tokenizer = FakeTokenizer()
    rows, cuts = tokenizer.encode(["one two three four", "one"], 4)
    assert [len(row) for row in rows] == [4, 3]
    assert [(cut.index, cut.kept, cut.dropped) for cut in cuts] == [(0, 4, 2)]
    assert tokenizer.tokens_of([0, 2, 99]) == ["<s>", "</s>", "#99"]
    assert len(tokenizer.encode_plain(["大熊猫"], 9)[0][0]) == 3


def digest() -> str:
    model = model_with(FakeFaults())
    hasher = hashlib.sha256()
    for found in model.run(encoded(model, *TEXTS)):
        for output in sorted(found):
            hasher.update(found[output].tobytes())
    return hasher.hexdigest()


def test_another_process_gives_the_same_numbers_without_torch() -> None:
    code = (
        "import sys, hashlib\n"
        "from bge_components.backends.fake import FakeSource\n"
        "from bge_components.contracts import Output, TokenSequence\n"
        "source = FakeSource()\n"
        "model = source.build(source.resolve(), 'cpu')\n"
        f"ids, _ = model.tokenizer.encode({TEXTS!r}, 64)\n"
        "hasher = hashlib.sha256()\n"
        "for found in model.run([TokenSequence(row, frozenset(Output)) for row in ids]):\n"
        "    for output in sorted(found):\n"
        "        hasher.update(found[output].tobytes())\n"
        "assert 'torch' not in sys.modules\n"
        "assert 'tokenizers' not in sys.modules\n"
        "print(hasher.hexdigest())\n"
    )
    for seed in ("0", "1"):
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=60,
            env={"PYTHONHASHSEED": seed},
            check=False,
        )
        assert done.stdout.strip() == digest(), done.stderr


def test_memory_runs_out_above_the_number_of_tokens() -> None:
    model = model_with(FakeFaults(out_of_memory_above=5))
    assert len(model.run(encoded(model, "a b c"))) == 1
    with pytest.raises(DeviceOutOfMemoryError, match="6 tokens"):
        model.run(encoded(model, "a b c d"))


def test_a_guilty_word_raises_whatever_was_asked_for() -> None:
    model = model_with(FakeFaults(errors=(("bad", lambda: ZeroDivisionError("x")), ("deadly", SystemExit))))
    model.run(encoded(model, "good"))
    with pytest.raises(ZeroDivisionError):
        model.run(encoded(model, "good", "a Bad one"))
    with pytest.raises(SystemExit):
        model.run(encoded(model, "deadly"))


def test_calls_can_fail_by_their_number() -> None:
    model = model_with(FakeFaults(failing_calls=frozenset({2})))
    model.run(encoded(model, "a"))
    with pytest.raises(RuntimeError, match="forward pass 2"):
        model.run(encoded(model, "a"))
    model.run(encoded(model, "a"))
    assert model.calls == 3


@pytest.mark.parametrize("stubborn", [False, True])
def test_nan_comes_out_of_guilty_texts_only(stubborn: bool) -> None:
    model = model_with(FakeFaults(nan=frozenset({"bad"}), nan_also_exact=stubborn))
    guilty, innocent = model.run(encoded(model, "bad", "good"))
    assert all(np.isnan(array).all() for array in guilty.values())
    assert all(np.isfinite(array).all() for array in innocent.values())
    (again,) = model.run(encoded(model, "bad"), exact=True)
    assert np.isnan(again[Output.DENSE]).all() == stubborn


def test_a_hanging_text_waits_for_its_gate() -> None:
    gate = threading.Event()
    model = model_with(FakeFaults(hang=frozenset({"slow"}), gate=gate))
    done = threading.Event()
    thread = threading.Thread(target=lambda: (model.run(encoded(model, "slow")), done.set()))
    thread.start()
    assert not done.wait(0.05)
    gate.set()
    thread.join(10)
    assert done.is_set()


def test_tokenising_and_loading_can_fail() -> None:
    faults = FakeFaults(
        untokenizable=frozenset({"bad"}), failing_loads=frozenset({1}), load_error=lambda: OSError("gone")
    )
    source = FakeSource(faults=faults)
    key = source.resolve()
    with pytest.raises(OSError, match="gone"):
        source.build(key, "cpu")
    model = source.build(key, "cpu")
    assert source.loads == ["cpu", "cpu"]
    assert source.models == [model]
    with pytest.raises(RuntimeError, match="text 1 cannot be tokenised"):
        model.tokenizer.encode(["good", "a bad one"], 9)


def test_a_closed_fake_refuses_work() -> None:
    model = model_with(FakeFaults())
    model.close()
    with pytest.raises(PoolClosedError):
        model.run(encoded(model, "a"))


def test_sources_of_one_name_are_one_model() -> None:
    assert FakeSource("a").resolve() == FakeSource("a", nbytes=5).resolve()
    assert FakeSource("a").resolve() != FakeSource("b").resolve()
    assert FakeSource("a").checkpoint().outputs == EVERY
