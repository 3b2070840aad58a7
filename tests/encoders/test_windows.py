import random
from itertools import pairwise

import pytest

from bge_components.backends import CheckpointSource
from bge_components.backends.fake import FakeFaults, FakeSource
from bge_components.backends.tokenizer import FastTokenizer
from bge_components.encoders import Encoder, EncoderSettings
from bge_components.encoders.windows import WindowCutter
from bge_components.errors import InputError, InputTypeError
from bge_components.pool import ModelPool
from bge_components.settings import PoolSettings
from support import shared
from support.corpus import CHINESE, mixed

SENTENCES = {
    "english": "The quick brown fox, as it were, retrieves relevant documents; isn't it? ",
    "chinese": "为这个句子生成表示以用于检索相关文章。",
    "japanese": "検索システムはまず百件の文書を集めて、もう一度並べ替えます。",
    "thai": "การค้นหาเอกสารภาษาไทยไม่มีช่องว่างระหว่างคำ",
    "hindi": "हिन्दी में यह वाक्य खोज के लिए है। ",
    "arabic": "اللغة العربية تُكتب من اليمين إلى اليسار، ",
    "russian": "Поисковая система ранжирует документы по смыслу. ",
    "korean": "검색 시스템은 문서를 의미에 따라 정렬합니다. ",
    "german": "Donaudampfschifffahrtsgesellschaftskapitänsmütze und mehr. ",
    "emoji": "👩‍👩‍👧‍👦😀🏽🇫🇷🏳️‍🌈",
    "marks": "e\u0301 a\u0308\u0304 o\u0323\u0302n\u0303 ",
    "no spaces": "abcdefghij",
    "expanding": "ﷺ½㌔ﬁ",
    "addresses": "https://example.org/a/very/long/path?with=query&and=more#fragment ",
    "code": "def add(a, b):\n    return a + b\n\n\n",
    "spaces": "one     two\t\t\n\n  ",
    "controls": "a\0b\u200bc\u00add ",
    "special": "a [SEP] b </s><mask> ",
}
REAL = ["bert-base-uncased", "bert-base-chinese", "xlm-roberta"]
TINY = ["tiny_bert", "tiny_roberta", "tiny_modernbert", "tiny_m3"]


@pytest.fixture(scope="module", params=[*REAL, *TINY])
def tokenizer(request):
    if request.param in TINY:
        return FastTokenizer.read(request.getfixturevalue(request.param))
    return shared.real_tokenizer(request.param)


@pytest.fixture(scope="module")
def pool():
    with ModelPool(PoolSettings(devices=("cpu",))) as pool:
        yield pool


def fake(pool, **settings):
    return Encoder(CheckpointSource(model="fake", backend="fake"), EncoderSettings(**settings), pool)


def cutter(tokenizer, max_tokens, overlap=0, prompt=""):
    return WindowCutter(tokenizer, lambda text: prompt + text, max_tokens, overlap)


def assert_right(text, windows, tokenizer, max_tokens, prompt=""):
    assert windows == [(0, 0)] or all(start < stop for start, stop in windows)
    assert windows == sorted(set(windows))
    assert [stop for _, stop in windows] == sorted({stop for _, stop in windows})
    assert (windows[0][0], windows[-1][1]) == (0, len(text))
    for (_, stop), (start, _) in pairwise(windows):
        assert not text[stop:start].strip()
    _, cuts = tokenizer.encode([prompt + text[start:stop] for start, stop in windows], max_tokens)
    assert cuts == []


@pytest.mark.parametrize("kind", SENTENCES)
def test_every_window_fits_when_it_is_encoded_alone(tokenizer, kind):
    text = SENTENCES[kind] * 60
    for max_tokens, overlap, prompt in ((40, 0, ""), (64, 16, "passage: "), (97, 40, "")):
        (windows,) = cutter(tokenizer, max_tokens, overlap, prompt).windows([text])
        assert_right(text, windows, tokenizer, max_tokens, prompt)


def test_mixed_texts_are_cut_right_at_any_length(tokenizer):
    maker = random.Random(0)
    for _ in range(12):
        parts = maker.choices([*SENTENCES.values(), *CHINESE, *mixed(40)], k=40)
        text = maker.choice(["", " ", "\n"]).join(parts)[:6000]
        max_tokens = maker.randint(33, 200)
        overlap = maker.randint(0, max_tokens // 4)
        (windows,) = cutter(tokenizer, max_tokens, overlap).windows([text])
        assert_right(text, windows, tokenizer, max_tokens)


@pytest.mark.parametrize("kind", ["thai", "emoji"])
def test_a_part_that_gives_more_tokens_than_it_gave_within_the_whole_is_made_shorter(kind):
    tokenizer = shared.real_tokenizer("xlm-roberta")
    text = SENTENCES[kind] * 60
    ((ids, spans),) = tokenizer.encode_spans([text])
    room = 38
    by_count = [int(start) for start in spans[1 : len(ids) - 1 : room, 0]]
    naive = [text[start:stop] for start, stop in zip(by_count, [*by_count[1:], len(text)])]
    assert tokenizer.encode(naive, room + 2)[1], "cutting by the tokens of the whole would not do"

    (windows,) = cutter(tokenizer, room + 2).windows([text])

    assert_right(text, windows, tokenizer, room + 2)
    assert len(windows) <= len(naive) * 1.2


def test_windows_are_nearly_full_and_overlap_by_about_what_was_asked(tokenizer):
    text = " ".join(one for one in mixed(80) if one.isascii())
    (windows,) = cutter(tokenizer, 128, 32).windows([text])
    rows, _ = tokenizer.encode([text[start:stop] for start, stop in windows], 128)
    lengths = [len(row) for row in rows[:-1]]
    assert sum(lengths) / len(lengths) > 100

    twice = [text[start:stop] for (_, stop), (start, _) in pairwise(windows)]
    rows, _ = tokenizer.encode_plain(twice, 128)
    lengths = [len(row) for row in rows]
    assert max(lengths) <= 34
    assert sum(lengths) / len(lengths) > 24


def test_windows_begin_and_end_with_whole_words(tokenizer):
    text = "the panda eats bamboo  and returns\nto its document " * 60
    (windows,) = cutter(tokenizer, 50, 10).windows([text])
    assert len(windows) > 5
    for start, stop in windows:
        assert start == 0 or (text[start - 1].isspace() and not text[start].isspace())
        assert stop == len(text) or (text[stop].isspace() and not text[stop - 1].isspace())


def test_chinese_is_cut_behind_punctuation():
    tokenizer = shared.real_tokenizer("bert-base-chinese")
    text = SENTENCES["chinese"] * 30
    (windows,) = cutter(tokenizer, 60).windows([text])
    assert len(windows) > 5
    assert all(text[stop - 1] == "。" for _, stop in windows)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("bert-base-uncased", "english"),
        ("bert-base-uncased", "no spaces"),
        ("xlm-roberta", "chinese"),
        ("xlm-roberta", "no spaces"),
        ("xlm-roberta", "spaces only"),
    ],
)
def test_a_text_of_a_megabyte_is_cut_in_one_go(name, kind):
    tokenizer = shared.real_tokenizer(name)
    sentence = " " if kind == "spaces only" else SENTENCES[kind]
    text = (sentence * (1_000_000 // len(sentence.encode()) + 1))[:1_000_000]
    read = 0

    class Counting(FastTokenizer):
        def encode(self, texts, max_tokens):
            nonlocal read
            read += sum(map(len, texts))
            return super().encode(texts, max_tokens)

    counting = Counting(tokenizer._tokenizer)
    (windows,) = cutter(counting, 512).windows([text])
    assert read < 4 * len(text), "each window is read a few times at most"
    assert_right(text, windows, tokenizer, 512)


def test_a_character_of_more_tokens_than_fit_is_a_window_all_the_same(tokenizer):
    text = "ﷺ" * 3 + " x"
    (windows,) = cutter(tokenizer, 3).windows([text])
    assert [stop for _, stop in windows] == sorted({stop for _, stop in windows})
    assert (windows[0][0], windows[-1][1]) == (0, len(text))


def test_short_texts_are_one_window_and_the_order_is_kept(pool):
    assert fake(pool).windows([]) == []
    texts = ["", "short", " ", "word " * 1200, "two words"]
    found = fake(pool).windows(texts)
    assert [len(one) for one in found] == [1, 1, 1, 3, 1]
    assert [one[0] for one in found if len(one) == 1] == [(0, 0), (0, 5), (0, 1), (0, 9)]
    assert all(type(place) is int for one in found for span in one for place in span)


def test_windows_are_encoded_without_a_cut(pool):
    text = " ".join(mixed(100))
    ours = fake(pool, document_instruction="passage: ", max_tokens=100, on_truncation="error")
    (windows,) = ours.windows([text], overlap_tokens=20)
    encoding = ours.encode([text[start:stop] for start, stop in windows])
    assert encoding.cut == ()
    assert encoding.tokens.max() <= 100
    (smaller,) = ours.windows([text], max_tokens=40, overlap_tokens=5)
    assert ours.encode([text[start:stop] for start, stop in smaller]).tokens.max() <= 40


async def test_awaited_windows_are_the_same(pool):
    texts = [" ".join(mixed(60)), "short"]
    assert await fake(pool).awindows(texts, max_tokens=64, overlap_tokens=8) == fake(pool).windows(
        texts, max_tokens=64, overlap_tokens=8
    )


def test_lengths_that_make_no_sense_are_refused(pool):
    ours = fake(pool)
    with pytest.raises(InputError, match=r"max_tokens=513 .* cuts texts at 512"):
        ours.windows(["a"], max_tokens=513)
    with pytest.raises(InputError, match="room for 0 tokens"):
        ours.windows(["a"], max_tokens=2, overlap_tokens=0)
    with pytest.raises(InputError, match=r"room for 98 tokens .* overlap_tokens=50"):
        ours.windows(["a"], max_tokens=100, overlap_tokens=50)
    with pytest.raises(InputError, match="overlap_tokens=-1"):
        ours.windows(["a"], overlap_tokens=-1)
    with pytest.raises(InputTypeError, match="wrap it in a list"):
        ours.windows("one string")


def test_a_tokenizer_that_fails_is_heard_and_the_lease_given_back(pool):
    source = FakeSource("untokenizable", faults=FakeFaults(untokenizable=frozenset({"bad"})))
    with pytest.raises(RuntimeError, match="cannot be tokenised"):
        Encoder(source, pool=pool).windows(["bad"])
    assert all(model.leases == 0 for model in pool.stats().models)
