from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from bge_components.backends.heads import Heads
from bge_components.backends.memory import is_out_of_memory
from bge_components.backends.native import NativeEncoder
from bge_components.contracts import Model, Output, TokenSequence
from bge_components.errors import (
    DeviceOutOfMemoryError,
    InputError,
    MissingOutputError,
    PoolClosedError,
    PoolError,
)

from .sequences import DENSE, SCORE, largest_difference, load, outputs_of, random_ids, sequences

EVERY = frozenset({Output.DENSE, Output.SPARSE, Output.MULTI})


def test_it_is_a_model_that_says_what_it_is(tiny_m3: Path) -> None:
    model = load(tiny_m3)
    info = model.info

    assert isinstance(model, Model)
    assert (info.backend, info.engine, info.device) == ("torch", "native packed", "cpu")
    assert (info.dtype, info.dtype_reason) == ("float32", "asked for")
    assert (info.width, info.multi_width, info.max_tokens) == (64, 64, 1024)
    assert info.outputs == EVERY
    held = [*model._network.in_fp32().parameters(), *model._readout.parameters()]
    assert info.nbytes == sum(tensor.nbytes for tensor in held)


def test_every_sequence_gets_just_what_it_asked_for_in_the_order_given(tiny_m3: Path) -> None:
    model = load(tiny_m3)
    rows = random_ids([9, 3, 9, 1, 30, 3], model._vocabulary)
    wishes = [
        EVERY,
        frozenset({Output.SPARSE}),
        DENSE,
        EVERY,
        frozenset({Output.MULTI, Output.DENSE}),
        frozenset[Output](),
    ]

    found = model.run([TokenSequence(row, wish) for row, wish in zip(rows, wishes)])
    alone = [model.run([TokenSequence(row, wish)])[0] for row, wish in zip(rows, wishes)]

    assert [one.keys() for one in found] == wishes
    assert largest_difference(found, alone) < 1e-5
    for row, one in zip(rows, found):
        shapes = {Output.DENSE: (64,), Output.SPARSE: (len(row),), Output.MULTI: (len(row) - 1, 64)}
        for output, array in one.items():
            assert array.shape == shapes[output]
            assert array.dtype == np.float32
            assert array.flags.c_contiguous
            assert array.base is None or array.base.nbytes == array.nbytes


def test_m3_heads_equal_their_definition_on_the_stock_hidden_states(tiny_m3: Path) -> None:
    from transformers import AutoModel

    model = load(tiny_m3)
    rows = random_ids([4, 25, 12], model._vocabulary)
    network = AutoModel.from_pretrained(tiny_m3, attn_implementation="eager").eval()
    sparse = torch.load(tiny_m3 / "sparse_linear.pt", weights_only=True)
    multi = torch.load(tiny_m3 / "colbert_linear.pt", weights_only=True)
    for row, found in zip(rows, model.run(sequences(rows, EVERY)), strict=True):
        with torch.no_grad():
            hidden = network(torch.tensor(row[None]).long()).last_hidden_state[0]
        weights = torch.relu(hidden @ sparse["weight"].float().T + sparse["bias"].float())[:, 0]
        vectors = hidden[1:] @ multi["weight"].float().T + multi["bias"].float()
        assert np.abs(found[Output.DENSE] - hidden[0].numpy()).max() < 2e-5
        assert np.abs(found[Output.SPARSE] - weights.numpy()).max() < 2e-5
        assert np.abs(found[Output.MULTI] - vectors.numpy()).max() < 5e-5


def test_only_rows_that_ask_pay_for_a_head(tiny_m3: Path, monkeypatch) -> None:
    model = load(tiny_m3)
    seen: list[int] = []
    multi = model._readout.multi
    monkeypatch.setattr(multi, "forward", lambda rows, run=multi.forward: seen.append(len(rows)) or run(rows))
    rows = random_ids([50, 7, 60], model._vocabulary)

    model.run([TokenSequence(row, wish) for row, wish in zip(rows, [DENSE, EVERY, DENSE])])
    model.run(sequences(rows))

    assert seen == [6]


@pytest.mark.parametrize(
    ("checkpoint", "outputs", "chunks", "enough"),
    [
        ("tiny_bert", {Output.DENSE}, None, True),
        ("tiny_m3", {Output.DENSE}, None, True),
        ("tiny_m3", {Output.DENSE, Output.SPARSE}, None, False),
        ("tiny_m3", {Output.MULTI}, None, False),
        ("tiny_m3", {Output.DENSE}, [[0, 2]], False),
        ("tiny_bert_mean", {Output.DENSE}, None, False),
        ("tiny_reranker", {Output.SCORE}, None, True),
        ("tiny_modernbert", {Output.DENSE}, None, True),
    ],
)
def test_only_first_tokens_go_to_the_end_where_nothing_else_is_read(
    checkpoint, outputs, chunks, enough, request, monkeypatch
) -> None:
    model = load(request.getfixturevalue(checkpoint))
    (row,) = random_ids([40], model._vocabulary)
    ranges = None if chunks is None else np.array(chunks, dtype=np.int32)
    asked = TokenSequence(row, frozenset(outputs), chunks=ranges)
    seen = []
    run = model._network.forward
    monkeypatch.setattr(
        model._network, "forward", lambda packed: seen.append(packed.first_only) or run(packed)
    )

    (alone,) = model.run([asked])
    model.run([asked, TokenSequence(row, model.info.outputs)])

    assert seen == [enough, enough and len(model.info.outputs) == 1]
    assert alone.keys() == outputs


def test_of_few_tokens_all_go_to_the_end_and_give_the_same(tiny_bert: Path, monkeypatch) -> None:
    model, seen = load(tiny_bert), []
    run = model._network.forward
    monkeypatch.setattr(
        model._network, "forward", lambda packed: seen.append(packed.first_only) or run(packed)
    )
    short, long = sequences(random_ids([32, 33], model._vocabulary))

    (alone,), _, (together, _) = model.run([short]), model.run([long]), model.run([short, long])

    assert seen == [False, True, True]
    assert np.allclose(alone[Output.DENSE], together[Output.DENSE], atol=1e-6)


def test_mean_pooling_is_the_mean_over_all_tokens(tiny_bert_mean: Path) -> None:
    from transformers import AutoModel

    model = load(tiny_bert_mean)
    rows = random_ids([4, 25, 4], model._vocabulary)
    network = AutoModel.from_pretrained(tiny_bert_mean, attn_implementation="eager").eval()
    for row, found in zip(rows, outputs_of(model, sequences(rows), Output.DENSE), strict=True):
        with torch.no_grad():
            right = network(torch.tensor(row[None]).long()).last_hidden_state[0].mean(0).numpy()
        assert np.abs(found - right).max() < 2e-5


def test_pooling_can_be_overruled(tiny_bert: Path, tiny_bert_mean: Path) -> None:
    overruled, mean = load(tiny_bert, pooling="mean"), load(tiny_bert_mean)
    batch = sequences(random_ids([4, 25], mean._vocabulary))

    assert largest_difference(overruled.run(batch), mean.run(batch)) == 0
    assert largest_difference(load(tiny_bert).run(batch), mean.run(batch)) > 0.01


def test_an_empty_batch_gives_nothing(tiny_bert: Path) -> None:
    assert load(tiny_bert).run([]) == []


@pytest.mark.parametrize(
    ("ids", "outputs", "error", "said"),
    [
        ([], DENSE, InputError, "takes 1 to 512 tokens, got 0"),
        ([5, 999_999], DENSE, InputError, "got 5 to 999999"),
        ([-1], DENSE, InputError, "got -1 to 5"),
        ([5], SCORE, MissingOutputError, "gives dense, but was asked for score"),
    ],
)
def test_what_the_network_cannot_run_is_refused_before_it_runs(tiny_bert, ids, outputs, error, said) -> None:
    good = TokenSequence(np.array([5], np.int32), DENSE)
    with pytest.raises(error, match=said):
        load(tiny_bert).run([good, TokenSequence(np.array(ids, np.int32), outputs)])


def test_exact_recomputes_in_fp32_and_leaves_the_model_as_it_was(tiny_m3: Path) -> None:
    coarse = load(tiny_m3, "bfloat16")
    batch = sequences(random_ids([6, 40], coarse._vocabulary), EVERY)
    before = coarse.run(batch)

    exact = coarse.run(batch, exact=True)

    upcast = load(tiny_m3)
    upcast._network = coarse._network.in_fp32()
    assert largest_difference(exact, upcast.run(batch)) < 1e-5
    assert largest_difference(exact, before) > 1e-4
    assert largest_difference(coarse.run(batch), before) == 0
    assert all(parameter.dtype == torch.bfloat16 for parameter in coarse._network.parameters())


def test_exact_on_fp32_runs_the_model_itself(tiny_bert: Path, monkeypatch) -> None:
    model = load(tiny_bert)
    monkeypatch.setattr(NativeEncoder, "in_fp32", lambda _: pytest.fail("a copy was made"))
    batch = sequences(random_ids([6], model._vocabulary))

    assert largest_difference(model.run(batch, exact=True), model.run(batch)) == 0


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    MemoryError(),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory: you tried ..."
    ),
    RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_running_out_of_memory_becomes_one_error(tiny_bert: Path, monkeypatch, error: Exception) -> None:
    model = load(tiny_bert)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Heads, "forward", fail)
    with pytest.raises(DeviceOutOfMemoryError, match=r"2 texts \(9 tokens\)") as caught:
        model.run(sequences(random_ids([4, 5], model._vocabulary)))
    assert caught.value.__cause__ is error


def test_a_real_refusal_of_the_allocator_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    "error", [RuntimeError("shapes cannot be multiplied"), ZeroDivisionError(), KeyError(1)]
)
def test_other_errors_pass_as_they_are(tiny_bert: Path, monkeypatch, error: Exception) -> None:
    model = load(tiny_bert)

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Heads, "forward", fail)
    with pytest.raises(type(error)) as caught:
        model.run(sequences(random_ids([4], model._vocabulary)))
    assert caught.value is error


@pytest.mark.parametrize("checkpoint", ["tiny_bert", "tiny_m3", "tiny_reranker", "tiny_modernbert"])
def test_a_closed_model_drops_its_weights_at_once_and_refuses_work(checkpoint: str, request) -> None:
    import gc
    import weakref

    model = load(request.getfixturevalue(checkpoint))
    model.run([TokenSequence(ids, model.info.outputs) for ids in random_ids([9, 40], model._vocabulary)])
    weights = [weakref.ref(one) for one in model._network.parameters()]
    model.free_memory()
    gc.disable()
    try:
        model.close()
        model.close()
        assert [one() for one in weights] == [None] * len(weights)
    finally:
        gc.enable()
    assert model.info.nbytes > 0
    with pytest.raises(PoolClosedError, match="was closed"):
        model.run([TokenSequence(np.array([5], np.int32), model.info.outputs)])


def test_cuda_in_a_child_of_a_process_that_used_it_is_refused(tiny_bert: Path, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "_is_in_bad_fork", lambda: True)
    with pytest.raises(PoolError, match="spawn"):
        load(tiny_bert, device="cuda:0")


def test_tokenising_while_the_model_runs_disturbs_neither(tiny_m3: Path, monkeypatch) -> None:
    model = load(tiny_m3)
    texts = ["the panda eats bamboo", "模型用于检索", "one two three four five six"]
    batch = sequences(model.tokenizer.encode(texts, 20)[0])
    monkeypatch.setattr(
        torch, "get_num_threads", lambda: 1
    )  # one way to run a pass: rounding is the same every time
    right = model.run(batch)

    def tokenise(room: int) -> bool:
        return all(len(row) <= room for _ in range(100) for row in model.tokenizer.encode(texts, room)[0])

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as executor:
            results = executor.map(tokenise, range(4, 12))
            for _ in range(30):
                assert largest_difference(model.run(batch), right) == 0
            assert all(results)
    finally:
        sys.setswitchinterval(before)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("name", ["tiny_m3", "tiny_modernbert"])
def test_a_gpu_gives_what_the_cpu_gives(name: str, dtype: str, request) -> None:
    folder = request.getfixturevalue(name)
    right, model = load(folder), load(folder, dtype, device="cuda:0")
    batch = sequences(random_ids([3, 30, 30, 100], right._vocabulary), right.info.outputs)
    for one, other in zip(model.run(batch), right.run(batch), strict=True):
        cosine = one[Output.DENSE] @ other[Output.DENSE]
        cosine /= np.linalg.norm(one[Output.DENSE]) * np.linalg.norm(other[Output.DENSE])
        assert cosine > 0.999


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_two_threads_in_one_model_do_not_meet_in_its_buffers(tiny_m3: Path, dtype: str) -> None:
    """A thread that was given up as stuck may still be in the model when its replacement begins."""
    model = load(tiny_m3, dtype)
    batches = [
        sequences(random_ids(lengths, model._vocabulary)) for lengths in ((70, 3, 9), (12, 12, 50, 200))
    ]
    alone = [model.run(batch) for batch in batches]

    def often(number: int) -> float:
        return max(largest_difference(model.run(batches[number]), alone[number]) for _ in range(15))

    with ThreadPoolExecutor(4) as threads:
        assert max(threads.map(often, (0, 1, 0, 1))) < 1e-5


def test_it_says_whether_two_threads_may_run_it(tiny_m3: Path, tiny_modernbert: Path) -> None:
    assert load(tiny_m3).info.shareable
    assert not load(tiny_modernbert).info.shareable
