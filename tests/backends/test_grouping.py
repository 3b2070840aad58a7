from __future__ import annotations

import pytest
import torch

from bge_components.backends.grouping import grouping

MIXED = (4, 5, 5, 9, 12, 12, 13, 14, 30, 31, 200, 201, 400)


def test_equal_lengths_are_one_group_and_nothing_is_put_in() -> None:
    found = grouping((7, 7, 7), 1)

    assert [(group.start, group.count, group.length, group.real) for group in found.groups] == [
        (0, 3, 7, None)
    ]
    assert found.wide is None
    assert found.narrow is None


def test_near_lengths_share_a_group_and_far_ones_do_not() -> None:
    found = grouping((10, 11, 300, 300), 1)

    assert [(group.start, group.count, group.length) for group in found.groups] == [(0, 2, 11), (22, 2, 300)]
    assert found.groups[0].real.int().tolist() == [[[1] * 10 + [0]], [[1] * 11]]
    assert found.groups[1].real is None


def test_every_head_has_its_own_copy_of_what_is_real() -> None:
    once, thrice = (grouping((10, 11), heads).groups[0].real for heads in (1, 3))

    assert thrice.shape == (6, 1, 11)
    assert torch.equal(thrice, torch.cat([once] * 3))


def test_a_group_stops_growing_when_it_would_cost_more_than_another_one() -> None:
    lengths = tuple(sorted([8] * 40 + [9] * 40 + [10] * 40 + [11] * 40))

    found = grouping(lengths, 1)

    assert len(found.groups) > 1
    for group in found.groups:
        own = lengths[: group.count]
        lengths = lengths[group.count :]
        assert sum(group.length**2 - length**2 for length in own) <= 1024 * len(set(own))


@pytest.mark.parametrize("lengths", [MIXED, MIXED[::-1], (1,), (1, 2), (3, 100, 2, 50)], ids=str)
def test_the_widened_row_holds_every_token_at_its_place_and_copies_of_first_ones_elsewhere(lengths) -> None:
    found = grouping(lengths, 1)

    tokens = torch.arange(sum(lengths))
    wide = tokens if found.wide is None else tokens[found.wide]
    narrow = wide if found.narrow is None else wide[found.narrow]
    assert narrow.tolist() == tokens.tolist()
    starts = [sum(lengths[:place]) for place in range(len(lengths))]
    texts = iter(zip(starts, lengths))
    for group in found.groups:
        for place, row in enumerate(wide[group.tokens].view(group.count, group.length).tolist()):
            start, length = next(texts)
            assert row == [*range(start, start + length), *[start] * (group.length - length)]
            real = torch.ones(group.length) if group.real is None else group.real[place, 0]
            assert real.int().tolist() == [1] * length + [0] * (group.length - length)
    assert next(texts, None) is None
