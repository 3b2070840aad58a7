from __future__ import annotations

import pytest
import torch

from bge_components.backends import attention, batched_attention
from bge_components.backends.attention import grouped_attention, self_attention
from bge_components.backends.batched_attention import batched_self_attention, batching_pays
from bge_components.backends.packing import Plan

CPU = torch.device("cpu")
LENGTHS = (1, 3, 3, 9, 11, 20, 20, 20, 70, 300)


@pytest.fixture(autouse=True)
def as_in_a_pass():
    with torch.inference_mode():
        yield
    batching_pays.cache_clear()


@pytest.fixture
def always(monkeypatch) -> None:
    monkeypatch.setattr(attention, "batching_pays", lambda dtype, heads, size: True)


def stacked(lengths: tuple[int, ...], heads: int = 3, size: int = 8, spread: float = 1.0) -> torch.Tensor:
    maker = torch.Generator().manual_seed(heads * size)
    return (torch.randn(sum(lengths), 3, heads, size, generator=maker) * spread).bfloat16()


def exact(qkv: torch.Tensor, plan: Plan) -> torch.Tensor:
    return grouped_attention(*qkv.float().unbind(1), plan)


@pytest.mark.parametrize("lengths", [LENGTHS, LENGTHS[::-1], (64,), (16,) * 8], ids=str)
@pytest.mark.parametrize(("heads", "size"), [(3, 8), (12, 32), (2, 64)])
def test_batched_products_give_what_attention_is(lengths, heads: int, size: int) -> None:
    qkv, plan = stacked(lengths, heads, size), Plan(lengths, CPU)

    found = batched_self_attention(qkv, plan)

    assert found is not None
    assert found.dtype == torch.bfloat16
    assert torch.allclose(found.float(), exact(qkv, plan), atol=0.03)


@pytest.mark.parametrize("at_once", [1, 50, 1000])
def test_scores_that_do_not_fit_are_computed_block_by_block(at_once: int, monkeypatch) -> None:
    qkv, plan = stacked(LENGTHS), Plan(LENGTHS, CPU)
    whole = batched_self_attention(qkv, plan)
    assert whole is not None
    whole = whole.clone()
    monkeypatch.setattr(batched_attention, "SCORES_AT_ONCE", at_once)

    found = batched_self_attention(qkv, plan)

    assert found is not None
    assert torch.allclose(found.float(), whole.float(), atol=0.02)


@pytest.mark.parametrize("sign", [1, -1], ids=["too large", "too small"])
def test_scores_out_of_range_are_left_to_the_fused_kernel(sign: int, always) -> None:
    lengths = (30, 40)
    qkv, plan = stacked(lengths), Plan(lengths, CPU)
    qkv[35, 0], qkv[30:, 1] = 20 * sign, 20  # one token's scores are all 20 * 20 * 8 / sqrt(8), or minus that

    assert batched_self_attention(qkv, plan) is None

    found = self_attention(qkv, plan)
    assert torch.allclose(found.float(), exact(qkv, plan), atol=0.03)


def test_what_is_not_a_number_stays_with_its_own_text(always) -> None:
    lengths = (40, 41)
    qkv, plan = stacked(lengths), Plan(lengths, CPU)
    qkv[3] = float("nan")

    assert batched_self_attention(qkv, plan) is None

    found = self_attention(qkv, plan)
    assert found[:40].isnan().all()
    assert torch.allclose(found[40:].float(), exact(qkv, plan)[40:], atol=0.03)


def test_a_long_row_is_batched_and_a_short_one_is_not(monkeypatch, always) -> None:
    asked = []
    monkeypatch.setattr(attention, "batched_self_attention", lambda qkv, plan: asked.append(len(qkv)))
    for lengths in ((12,), (40, 40)):
        plan = Plan(lengths, CPU)
        qkv = stacked(lengths)
        assert torch.allclose(self_attention(qkv, plan).float(), exact(qkv, plan), atol=0.03)
    assert asked == [80]


def test_only_bf16_is_tried(monkeypatch) -> None:
    monkeypatch.setattr(batched_attention, "_is_faster", lambda stacks: True)
    batching_pays.cache_clear()
    assert batching_pays(torch.bfloat16, 5, 8)
    assert not batching_pays(torch.float32, 5, 8)
    assert not batching_pays(torch.float16, 5, 8)


def test_the_slower_way_is_not_taken(monkeypatch) -> None:
    monkeypatch.setattr(batched_attention, "_is_faster", lambda stacks: False)
    batching_pays.cache_clear()
    assert not batching_pays(torch.bfloat16, 5, 8)


def test_wrong_numbers_and_refusals_mean_the_fused_kernel(monkeypatch, caplog) -> None:
    monkeypatch.setattr(batched_attention, "_is_faster", lambda stacks: True)
    monkeypatch.setattr(batched_attention, "_fused", lambda stack: torch.zeros(1))
    batching_pays.cache_clear()
    assert not batching_pays(torch.bfloat16, 5, 8)
    assert "wrong numbers" in caplog.text

    def refuse(stack):
        raise RuntimeError("no such product")

    monkeypatch.setattr(batched_attention, "_fused", refuse)
    batching_pays.cache_clear()
    assert not batching_pays(torch.bfloat16, 5, 8)


def test_the_trial_times_both_ways() -> None:
    batching_pays.cache_clear()
    assert batching_pays(torch.bfloat16, 4, 32) in (True, False)
