from __future__ import annotations

import pytest
import torch

from bge_components.backends.grouping import Grouping, grouping

MIXED = (4, 5, 5, 9, 12, 12, 13, 14, 30, 31, 200, 201, 400)


def sizes(found: Grouping) -> list[tuple[int, int, int]]:
    return [(group.start, group.count, group.length) for group in found.groups]


def test_equal_lengths_of_a_usual_size_are_one_group_and_nothing_is_put_in() -> None:
    found = grouping((8, 8, 8), 1)

    assert sizes(found) == [(0, 3, 8)]
    assert found.groups[0].real is None
    assert found.wide is None
    assert found.narrow is None


def test_near_lengths_share_a_group_and_far_ones_do_not() -> None:
    found = grouping((10, 11, 320, 320), 1)

    assert sizes(found) == [(0, 2, 16), (32, 2, 320)]
    assert found.groups[0].real.int().tolist() == [[[1] * 10 + [0] * 6], [[1] * 11 + [0] * 5]]
    assert found.groups[1].real is None


def test_every_head_has_its_own_copy_of_what_is_real() -> None:
    once, thrice = (grouping((10, 11), heads).groups[0].real for heads in (1, 3))

    assert thrice.shape == (6, 1, 16)
    assert torch.equal(thrice, torch.cat([once] * 3))


def test_a_group_stops_growing_when_it_would_cost_more_than_another_one() -> None:
    few, many = tuple(range(8, 30)), tuple(sorted([*range(8, 30)] * 40))

    assert len(grouping(few, 1).groups) < 6
    assert len(grouping(many, 1).groups) > 10


def test_whatever_comes_few_sizes_of_products_are_asked_for() -> None:
    found = {
        (group.count, group.length)
        for length in range(1, 513)
        for count in (*range(1, 40), 77)
        for group in grouping((length,) * count, 1).groups
    }

    assert len({length for _, length in found}) == 28
    assert {count for count, _ in found} == {1, 2, 3, 4, 6, 8, 12, 16, 32, 64}


def test_sequences_are_put_in_where_they_are_short_and_another_group_is_formed_where_they_are_long() -> None:
    short, long = grouping((8,) * 11, 1), grouping((320,) * 11, 1)

    assert sizes(short) == [(0, 12, 8)]
    assert sizes(long) == [(0, 8, 320), (2560, 3, 320)]
    assert long.wide is None


@pytest.mark.parametrize(
    "lengths", [MIXED, MIXED[::-1], (1,), (1, 2), (3, 100, 2, 50), (20,) * 5, (33,) * 11], ids=str
)
def test_the_widened_row_holds_every_token_at_its_place_and_copies_elsewhere(
    lengths: tuple[int, ...],
) -> None:
    found = grouping(lengths, 1)

    tokens = torch.arange(sum(lengths))
    wide = tokens if found.wide is None else tokens[found.wide]
    narrow = wide if found.narrow is None else wide[found.narrow]
    assert narrow.tolist() == tokens.tolist()
    starts = [sum(lengths[:place]) for place in range(len(lengths))]
    texts = list(zip(starts, lengths))
    seen = 0
    for group in found.groups:
        for place, row in enumerate(wide[group.tokens].view(group.count, group.length).tolist()):
            known = [start for start, _ in texts]
            start, length = texts[known.index(row[0])]
            seen += start == known[min(seen, len(known) - 1)]
            assert row == [*range(start, start + length), *[start] * (group.length - length)]
            real = torch.ones(group.length) if group.real is None else group.real[place, 0]
            assert real.int().tolist() == [1] * length + [0] * (group.length - length)
    assert seen >= len(texts)
