from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import numpy as np
import pytest
import torch

from bge_components.backends import attention, batched_attention
from bge_components.backends.attention import grouped_attention, self_attention
from bge_components.backends.batched_attention import ScoreRange, batched_self_attention, batching_pays
from bge_components.backends.packing import Plan

from .sequences import load, random_ids, sequences

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


@pytest.mark.parametrize("length", [250, 320, 544, 1088])
def test_blocks_of_one_group_are_of_one_size_and_fit_because_products_of_every_size_are_kept(
    length: int, monkeypatch
) -> None:
    sizes, bmm = set(), torch.bmm
    monkeypatch.setattr(
        torch, "bmm", lambda scores, *rest, **out: sizes.add(scores.shape) or bmm(scores, *rest, **out)
    )
    lengths = (length, length, length)

    assert batched_self_attention(stacked(lengths), Plan(lengths, CPU)) is not None

    ((heads, rows, keys),) = sizes
    assert heads * rows * keys <= batched_attention.SCORES_AT_ONCE


def test_scores_out_of_range_are_left_to_the_fused_kernel(always) -> None:
    lengths = (30, 40)
    qkv, plan = stacked(lengths), Plan(lengths, CPU)
    qkv[35, 0], qkv[30:50, 1], qkv[50:, 1] = (
        20,
        20,
        -20,
    )  # one token's scores: 20 * 20 * 8 / sqrt(8), or minus that

    assert batched_self_attention(qkv, plan) is None

    found = self_attention(qkv, plan, ScoreRange())
    assert torch.allclose(found.float(), exact(qkv, plan), atol=0.03)


def test_a_layer_whose_scores_are_mostly_too_large_is_left_to_the_fused_kernel_while_that_is_so(
    monkeypatch, always
) -> None:
    lengths, asked = (40, 40), []
    plan, usual, large = Plan(lengths, CPU), stacked(lengths), stacked(lengths, spread=30)

    def counted(qkv, plan):
        asked.append(1)
        return batched_self_attention(qkv, plan)

    def attempts(scores: ScoreRange, rows: list[torch.Tensor]) -> int:
        asked.clear()
        for qkv in rows:
            found = self_attention(qkv, plan, scores)
            assert torch.allclose(found.float(), exact(qkv, plan), atol=0.5)
        return len(asked)

    monkeypatch.setattr(attention, "batched_self_attention", counted)
    rarely, mostly = ScoreRange(), ScoreRange()
    assert attempts(rarely, [large, usual, usual] * 40) == 120
    assert attempts(mostly, [large] * 40) == 8
    assert deepcopy(mostly).worth_an_attempt()  # another network
    assert attempts(mostly, [usual] * 1000) > 400


@pytest.mark.parametrize("spread", [1, 2, 3])
def test_no_row_is_without_a_weight(spread: int) -> None:
    lengths = (3, 9, 12, 64, 70)
    qkv, plan = stacked(lengths, spread=spread), Plan(lengths, CPU)
    qkv[:, 1] -= 20  # all scores of a row are far below zero, or far above

    found = batched_self_attention(qkv, plan)

    assert found is not None
    assert found.isfinite().all()


def test_what_is_not_a_number_stays_with_its_own_text(always) -> None:
    lengths = (40, 41)
    qkv, plan = stacked(lengths), Plan(lengths, CPU)
    qkv[3] = float("nan")

    assert batched_self_attention(qkv, plan) is None

    found = self_attention(qkv, plan, ScoreRange())
    assert found[:40].isnan().all()
    assert torch.allclose(found[40:].float(), exact(qkv, plan)[40:], atol=0.03)


def test_a_long_row_is_batched_and_a_short_one_is_not(monkeypatch, always) -> None:
    asked = []
    monkeypatch.setattr(attention, "batched_self_attention", lambda qkv, plan: asked.append(len(qkv)))
    for lengths in ((12,), (40, 40)):
        plan = Plan(lengths, CPU)
        qkv = stacked(lengths)
        assert torch.allclose(self_attention(qkv, plan, ScoreRange()).float(), exact(qkv, plan), atol=0.03)
    assert asked == [80]


@pytest.mark.parametrize("offset", [10, 30, 50])
def test_what_all_keys_of_a_text_have_in_common_costs_no_precision(offset: int) -> None:
    lengths = (40, 41, 64)
    plan, maker = Plan(lengths, CPU), torch.Generator().manual_seed(1)
    qkv = torch.randn(sum(lengths), 3, 2, 32, generator=maker)
    along = torch.nn.functional.normalize(torch.randn(2, 32, generator=maker), dim=-1)
    qkv[:, :2] += (offset * 32**0.5) ** 0.5 * along  # every score is larger by the offset, about
    qkv = qkv.bfloat16()

    found = batched_self_attention(qkv, plan)

    assert found is not None
    cosines = torch.nn.functional.cosine_similarity(found.float(), exact(qkv, plan), dim=-1)
    assert cosines.mean() > 0.9999
    assert cosines.min() > 0.999


def test_only_bf16_is_tried(monkeypatch) -> None:
    monkeypatch.setattr(batched_attention, "_is_faster", lambda qkv, plan: True)
    batching_pays.cache_clear()
    assert batching_pays(torch.bfloat16, 5, 8)
    assert not batching_pays(torch.float32, 5, 8)
    assert not batching_pays(torch.float16, 5, 8)


def test_wrong_numbers_and_refusals_mean_the_fused_kernel(monkeypatch, caplog) -> None:
    monkeypatch.setattr(batched_attention, "_is_faster", lambda qkv, plan: True)
    with monkeypatch.context() as wrong:
        wrong.setattr(batched_attention, "fused_self_attention", lambda qkv, plan: torch.zeros(1))
        batching_pays.cache_clear()
        assert not batching_pays(torch.bfloat16, 5, 8)
    assert "wrong numbers" in caplog.text

    def refuse(qkv, plan):
        raise RuntimeError("no such product")

    monkeypatch.setattr(batched_attention, "batched_self_attention", refuse)
    batching_pays.cache_clear()
    assert not batching_pays(torch.bfloat16, 5, 8)


def test_a_full_memory_is_no_refusal(monkeypatch) -> None:
    def full(qkv, plan):
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(batched_attention, "batched_self_attention", full)
    batching_pays.cache_clear()
    with pytest.raises(torch.OutOfMemoryError):
        batching_pays(torch.bfloat16, 5, 8)


@pytest.mark.parametrize(
    ("batched_s", "fused_s", "rounds", "pays"),
    [(1.0, 2.0, 3, True), (2.0, 1.0, 20, False)],
)
def test_the_quicker_way_is_taken_after_more_rounds_where_it_seems_not_to_be(
    batched_s: float, fused_s: float, rounds: int, pays: bool, monkeypatch
) -> None:
    asked = []
    took = {batched_self_attention: batched_s, batched_attention.fused_self_attention: fused_s}
    monkeypatch.setattr(batched_attention, "_seconds", lambda way, qkv, plan: asked.append(way) or took[way])
    batching_pays.cache_clear()

    assert batching_pays(torch.bfloat16, 4, 32) is pays
    assert len(asked) == 2 * rounds


@pytest.mark.parametrize("count", [1, 2])
def test_a_whole_network_gives_the_same_either_way(count: int, tiny_m3, monkeypatch, always) -> None:
    with torch.inference_mode(False):
        model = load(tiny_m3, "bfloat16")
        model._network.rows_at_once = 100
        batch = sequences(random_ids((3, 9, 9, 30, 63, 63, 90, 120), model._vocabulary), model.info.outputs)
        monkeypatch.setattr(torch, "get_num_threads", lambda: count)
        with ThreadPoolExecutor(3) as callers:
            found = list(callers.map(lambda _: model.run(batch), range(6)))
        monkeypatch.setattr(attention, "batching_pays", lambda *asked: False)
        right = model.run(batch)

    for answers in found:
        for one, other in zip(answers, right, strict=True):
            for output, array in other.items():
                a, b = one[output].ravel(), array.ravel()
                assert np.abs(a - b).max() <= 0.04 * max(1, np.abs(b).max()), output
                assert a @ b >= 0.9995 * np.linalg.norm(a) * np.linalg.norm(b), output
