from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from bge_components.retrieval.words import LANGUAGES, LONGEST_WORD, words_of


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Electricity", "electricities"),
        ("ＦＵＬＬ width", "full width"),
        ("ﬁne", "fine"),
        ("STRASSE", "straße"),
        ("İstanbul", "istanbul"),
        ("caf\u00e9", "cafe\u0301"),
        ("infor\u00admation", "information"),
        ("ﾃﾚﾋﾞ", "テレビ"),
        ("КНИГА", "книги"),
        ("ΚΌΣΜΟΣ", "κόσμος"),
        ("कहानी", "कहानियों"),
    ],
)
def test_forms_of_one_word_are_one_word(one: str, other: str) -> None:
    assert words_of(one) == words_of(other) != []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n\t…!?—🔥❤️\x00", []),
        ("The foxes' dens.", ["the", "fox", "den"]),
        ("wi-fi", ["wifi", "wi", "fi"]),
        ("read_file", ["readfil", "read", "file"]),
        ("readFile", ["readfil", "read", "file"]),
        ("HTTPServer", ["httpserver", "http", "server"]),
        ("-- a - b __init__", ["a", "b", "init"]),
        ("3.5 km", ["3", "5", "km"]),
        ("東京都", ["東", "京", "都", "東京", "京都"]),
        ("コーヒー・茶", ["コ", "ー", "ヒ", "ー", "コー", "ーヒ", "ヒー", "茶"]),
        ("한국어 책", ["한", "국", "어", "한국", "국어", "책"]),
        ("用iPhone15拍照", ["用", "iphone15", "i", "phone15", "拍", "照", "拍照"]),
        ("共308张", ["共", "308", "张"]),
        ("𠮷野", ["𠮷", "野", "𠮷野"]),
        ("สวัส", ["สวั", "วัส"]),
        ("ไป", ["ไป"]),
    ],
)
def test_a_text_gives_these_words(text: str, words: list[str]) -> None:
    assert words_of(text) == words


def test_a_compound_is_found_by_its_parts_and_in_any_spelling() -> None:
    meets = [set(words_of("wi-fi")) & set(words_of(query)) for query in ("wifi", "Wi Fi", "WI-FI", "wi_fi")]

    assert all(meets)


def test_signs_that_stand_above_or_below_letters_do_not_split_words() -> None:
    assert len(words_of("हिन्दी", "none")) == 1
    assert len(words_of("مُحَمَّد", "none")) == 1
    assert len(words_of("q\u0303uan", "none")) == 1


def test_the_script_of_a_word_chooses_its_stemmer() -> None:
    assert words_of("running дома κόσμος running") == ["run", "дом", "κοσμ", "run"]


def test_a_named_language_stems_every_word() -> None:
    assert words_of("Häusern", "german") == words_of("Haus", "german") == ["haus"]
    assert words_of("Häusern") != words_of("Haus")


def test_language_none_stems_nothing() -> None:
    assert words_of("Running FOXES", "none") == ["running", "foxes"]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_language_that_is_offered_works(language: str) -> None:
    assert len(words_of("Nationalities книгами 漢字", language)) == 5


def test_no_algorithm_of_snowball_is_missing() -> None:
    """Asked in a process of its own, where no other package can stand in for Snowball's own list."""
    code = "import sys; sys.modules['Stemmer'] = None; import snowballstemmer; print(*snowballstemmer.algorithms())"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert {*shown.stdout.split(), "auto", "none"} == set(LANGUAGES)


def test_what_is_too_long_to_be_a_word_is_cut() -> None:
    (word,) = words_of("x" * 100_000)

    assert len(word) == LONGEST_WORD


@pytest.mark.parametrize("piece", ["a-", "Ab", "a_", "क़ि", "漢", "ก", "a\u0301"])
def test_a_text_that_repeats_one_piece_without_end_is_read(piece: str) -> None:
    words = words_of(piece * 50_000)

    assert words
    assert max(map(len, words)) <= LONGEST_WORD


def test_threads_get_what_one_thread_gets() -> None:
    texts = [f"nationalities running{i} книгами{i} κόσμος{i} foxes{i}ing" for i in range(400)]
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(words_of, texts * 2))

    assert together == [words_of(text) for text in texts] * 2
    assert len({words[0] for words in together}) == 1


def test_the_package_loads_no_stemmer_before_a_word_is_stemmed() -> None:
    code = "import sys, bge_components.retrieval.words; sys.exit('snowballstemmer' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
