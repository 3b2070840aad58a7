import numpy as np

from bge_components.encoders.borders import Borders


def borders(text, *tokens):
    """Borders of a text whose tokens are the given strings, found one after the other."""
    spans, place = [(-1, -1)], 0
    for token in tokens:
        start = text.index(token, place)
        place = start + len(token)
        spans.append((start, place))
    return Borders(text, np.array([*spans, (len(text), len(text))], dtype=np.int32))


def test_the_last_word_that_fits_is_where_the_next_window_may_begin():
    one = borders("aa bb cc dd ee", "aa", "bb", "cc", "dd", "ee")
    assert one.furthest(0, 3) == 9
    assert one.last_good(0, 9) == 9
    assert one.last_good(0, 8) == 6
    assert one.without_space(0, 9) == 8
    assert one.furthest(9, 3) == 14
    assert one.last_good(9, 14) == 14


def test_white_space_in_the_second_half_goes_before_punctuation_and_that_before_letters():
    text = "ab,cdef gh,ijk"
    one = borders(text, "ab", ",", "cd", "ef", "gh", ",", "i", "jk")
    assert one.last_good(0, 13) == 8
    assert one.last_good(8, 12) == 11
    assert one.last_good(0, 5) == 3
    assert one.last_good(3, 6) == 5


def test_a_mark_is_not_torn_from_its_letter():
    text = "xye\u0301z\u200dw"
    one = borders(text, "x", "y", "e", "\u0301", "z", "\u200d", "w")
    assert one.last_good(0, 3) == 2
    assert one.last_good(0, 6) == 4
    assert one.last_good(2, 3) == 3, "where there is nothing else, between any two tokens"


def test_tokens_of_one_character_are_not_parted():
    text = "ab"
    one = Borders(text, np.array([(-1, -1), (0, 1), (0, 1), (0, 1), (1, 2), (2, 2)], dtype=np.int32))
    assert one.furthest(0, 2) == 0
    assert one.last_good(0, 0) == 1


def test_overlap_begins_with_a_word():
    one = borders("aa b bbb cc dd", "aa", "b", "bb", "b", "cc", "dd")
    assert one.before(0, 2, 9) == 5
    assert one.first_good(5, 9) == 5
    assert one.before(0, 1, 9) == 7
    assert one.first_good(6, 9) == 7
    assert one.first_good(8, 9) == 9
    assert one.before(0, 0, 9) == 9
    assert one.before(0, 99, 9) == 1


def test_only_white_space_stays_where_it_is():
    one = borders("a   ", "a")
    assert one.without_space(1, 3) == 3
    assert one.without_space(0, 3) == 1
    assert one.without_space(0, 4) == 4
    assert Borders("", np.array([(-1, -1), (0, 0)], dtype=np.int32)).last_good(0, 0) == 0
