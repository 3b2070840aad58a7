from __future__ import annotations

import pytest
import torch

from bge_components.backends import attention
from bge_components.backends.attention import (
    AttentionKind,
    first_token_attention,
    grouped_attention,
    packed_attention,
    self_attention,
)
from bge_components.backends.batched_attention import ScoreRange
from bge_components.backends.packing import Plan

LENGTHS = (1, 3, 3, 9, 20, 20, 20)
KINDS = [
    AttentionKind(),
    AttentionKind(scale=0.3),
    AttentionKind(causal=True),
    AttentionKind(window=4),
    AttentionKind(window=1),
    AttentionKind(causal=True, window=5),
    AttentionKind(softcap=2.0),
    AttentionKind(softcap=1.5, causal=True, window=6, scale=0.7),
]


def rows(heads: int, key_heads: int, size: int, device: str = "cpu") -> list[torch.Tensor]:
    maker = torch.Generator().manual_seed(heads * size)
    tokens = sum(LENGTHS)
    shapes = [(tokens, heads, size), (tokens, key_heads, size), (tokens, key_heads, size)]
    return [torch.randn(shape, generator=maker).to(device) for shape in shapes]


def by_definition(query, key, value, plan: Plan, kind: AttentionKind) -> torch.Tensor:
    """Softmax attention token by token, written as in the papers."""
    out = torch.zeros_like(query)
    shared = query.shape[1] // key.shape[1]
    scale = query.shape[-1] ** -0.5 if kind.scale is None else kind.scale
    for start, stop in zip(plan.starts, plan.starts[1:]):
        for head in range(query.shape[1]):
            for i in range(start, stop):
                seen = [
                    j
                    for j in range(start, stop)
                    if (kind.window is None or abs(i - j) < kind.window) and (not kind.causal or j <= i)
                ]
                scores = key[seen, head // shared] @ query[i, head] * scale
                if kind.softcap is not None:
                    scores = torch.tanh(scores / kind.softcap) * kind.softcap
                out[i, head] = scores.softmax(0) @ value[seen, head // shared]
    return out


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(("heads", "key_heads"), [(3, 3), (4, 2), (4, 1)])
def test_every_token_sees_its_own_sequence_only(kind: AttentionKind, heads: int, key_heads: int) -> None:
    query, key, value = rows(heads, key_heads, 8)
    plan = Plan(LENGTHS, torch.device("cpu"))

    found = packed_attention(query, key, value, plan, kind)

    assert torch.allclose(found, by_definition(query, key, value, plan, kind), atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize(("heads", "key_heads", "size"), [(12, 12, 32), (12, 12, 64), (4, 2, 64), (2, 2, 7)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_cuda_gives_what_the_cpu_gives(kind, heads, key_heads, size, dtype) -> None:
    plan = Plan(LENGTHS, torch.device("cpu"))
    right = grouped_attention(*rows(heads, key_heads, size), plan, kind)

    on_card = [part.to("cuda", dtype) for part in rows(heads, key_heads, size)]
    found = packed_attention(*on_card, Plan(LENGTHS, torch.device("cuda")), kind)

    assert torch.allclose(found.float().cpu(), right, atol=1e-4 if dtype == torch.float32 else 0.05)


def test_a_plan_knows_starts_runs_and_positions() -> None:
    plan = Plan((2, 2, 5), torch.device("cpu"))

    assert plan.starts == (0, 2, 4, 9)
    assert [(run.start, run.count, run.length) for run in plan.runs] == [(0, 2, 2), (4, 1, 5)]
    assert plan.positions().tolist() == [0, 1, 0, 1, 0, 1, 2, 3, 4]
    assert plan.bounds.tolist() == [0, 2, 4, 9]
    assert plan.bounds.dtype == torch.int32
    assert plan.first_rows.tolist() == [0, 2, 4]
    equal = Plan((5, 5, 5), torch.device("cpu"))
    assert equal.bounds.tolist() == [0, 5, 10, 15]
    assert equal.bounds.dtype == torch.int32


def kernel_by_definition(
    query, key, value, asking, starts, most, longest, *, scale=None, window_size=(-1, -1), **extra
):
    """What the variable-length kernel of torch promises: a window of so many tokens to the left and right."""
    asking_lengths, lengths = asking.diff().tolist(), starts.diff().tolist()
    assert asking.dtype == starts.dtype == torch.int32
    assert (most, longest) == (max(asking_lengths), max(lengths))
    assert asking_lengths == lengths or window_size == (-1, -1)
    assert extra.get("enable_gqa", False) == (query.shape[1] != key.shape[1])
    left, right = window_size
    out, scale = torch.zeros_like(query), query.shape[-1] ** -0.5 if scale is None else scale
    for first, count, start, length in zip(asking.tolist(), asking_lengths, starts.tolist(), lengths):
        stop = start + length
        for place in range(count):
            i = start + place
            seen = slice(
                start if left < 0 else max(start, i - left), stop if right < 0 else min(stop, i + right + 1)
            )
            for head in range(query.shape[1]):
                shared = head * key.shape[1] // query.shape[1]
                weights = (key[seen, shared].float() @ query[first + place, head].float() * scale).softmax(0)
                out[first + place, head] = weights.to(value.dtype) @ value[seen, shared]
    return out


@pytest.mark.parametrize("kind", KINDS[:6], ids=str)
@pytest.mark.parametrize(("heads", "key_heads"), [(3, 3), (4, 2)])
def test_the_variable_length_kernel_is_asked_for_the_same_attention(
    kind, heads, key_heads, monkeypatch
) -> None:
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", kernel_by_definition)
    query, key, value = rows(heads, key_heads, 8)
    plan = Plan(LENGTHS, torch.device("cpu"))

    found = attention._varlen(query, key, value, plan, kind)

    assert torch.allclose(found, grouped_attention(query, key, value, plan, kind), atol=1e-5)


@pytest.mark.parametrize(("heads", "key_heads"), [(3, 3), (4, 2)])
def test_first_tokens_alone_attend_as_in_company(heads, key_heads, monkeypatch) -> None:
    query, key, value = rows(heads, key_heads, 8)
    plan = Plan(LENGTHS, torch.device("cpu"))
    right = grouped_attention(query, key, value, plan)[plan.first_rows]

    found = first_token_attention(query[plan.first_rows], key, value, plan)

    assert torch.allclose(found, right, atol=1e-5)
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", kernel_by_definition)
    firsts = Plan((1,) * len(LENGTHS), torch.device("cpu"))
    by_kernel = attention._varlen(query[plan.first_rows], key, value, plan, AttentionKind(), firsts)
    assert torch.allclose(by_kernel, right, atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_cuda_lets_first_tokens_attend_as_the_cpu_does(dtype) -> None:
    query, key, value = rows(12, 12, 64)
    plan, on_card = Plan(LENGTHS, torch.device("cpu")), Plan(LENGTHS, torch.device("cuda"))
    right = first_token_attention(query[plan.first_rows], key, value, plan)

    query, key, value = (part.to("cuda", dtype) for part in (query, key, value))
    found = first_token_attention(query[on_card.first_rows], key, value, on_card)

    assert torch.allclose(found.float().cpu(), right, atol=1e-4 if dtype == torch.float32 else 0.05)


def wrong_for_first_tokens(query, key, value, asking, starts, *rest, **options):
    found = kernel_by_definition(query, key, value, asking, starts, *rest, **options)
    return found if torch.equal(asking, starts) else found + 1


def refuse(*_: object, **__: object) -> None:
    raise RuntimeError("FlashAttention only supports head sizes that are a multiple of 8")


@pytest.mark.parametrize(
    ("kernel", "works", "works_for_first_tokens"),
    [
        (kernel_by_definition, True, True),
        (wrong_for_first_tokens, True, False),
        (lambda q, *rest, **kw: torch.zeros_like(q), False, False),
        (refuse, False, False),
    ],
    ids=["right", "wrong for first tokens", "wrong numbers", "refuses"],
)
def test_a_kernel_is_used_only_after_it_gave_right_numbers(
    kernel, works, works_for_first_tokens, monkeypatch
) -> None:
    monkeypatch.setattr("torch.nn.attention.varlen.varlen_attn", kernel)
    attention._varlen_works.cache_clear()
    shape = attention._Shape(torch.device("cpu"), torch.bfloat16, 2, 2, 16, AttentionKind())

    assert attention._varlen_works(shape) == works
    assert attention._varlen_works(shape, first_only=True) == works_for_first_tokens
    attention._varlen_works.cache_clear()


def test_a_row_is_cut_between_sequences() -> None:
    plan = Plan((3, 5, 5, 20, 2), torch.device("cpu"))

    parts = plan.parts(8)

    assert [part.lengths for _, part in parts] == [(3, 5), (5,), (20,), (2,)]
    assert [(rows.start, rows.stop) for rows, _ in parts] == [(0, 8), (8, 13), (13, 33), (33, 35)]
    assert plan.parts(35) == [(slice(0, 35), plan)]
    assert [part.lengths for _, part in plan.parts(34)] == [(3, 5, 5), (20, 2)]  # not 33 and 2


@pytest.mark.parametrize("lengths", [LENGTHS, (7,), (5, 5, 5)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_one_tensor_of_query_key_and_value_gives_what_three_give(lengths, dtype, monkeypatch) -> None:
    monkeypatch.setattr(attention, "batching_pays", lambda *asked: False)
    maker = torch.Generator().manual_seed(0)
    qkv = torch.randn((sum(lengths), 3, 4, 8), generator=maker).to(dtype)
    plan = Plan(lengths, torch.device("cpu"))

    found = self_attention(qkv, plan, ScoreRange())

    assert torch.equal(found, grouped_attention(*qkv.unbind(1), plan))
    assert found.is_contiguous()
