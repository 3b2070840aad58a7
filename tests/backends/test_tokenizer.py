from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from bge_components.backends.prefixes import PrefixReader
from bge_components.backends.tokenizer import FastTokenizer
from bge_components.errors import BrokenCheckpointError, InputError
from support import shared, tiny

TEXTS = [
    "Hello World, this is a test of the giant panda!",
    "",
    " ",
    "  leading and   inner spaces  ",
    "模型用于检索相关文章。法国的首都",
    "café naïve résumé 😀 русский",
    "NUL \x00 inside, tab\tand\nnewline",
    "a [SEP] b </s> c <mask> d [MASK]",
    "supercalifragilisticexpialidocious " * 30,
    "x",
]
FOLDERS = ["tiny_bert", "tiny_m3", "tiny_roberta", "tiny_modernbert"]


@pytest.fixture(params=FOLDERS)
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def transformers_tokenizer(folder: Path):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)


@pytest.mark.parametrize("max_tokens", [2, 3, 8, 64, 500])
def test_ids_equal_those_of_transformers(folder: Path, max_tokens: int) -> None:
    rows, cuts = FastTokenizer.read(folder).encode(TEXTS, max_tokens)
    stock = transformers_tokenizer(folder)
    right = stock(TEXTS, truncation=True, max_length=max_tokens)["input_ids"]
    whole = stock(TEXTS)["input_ids"]

    assert [row.tolist() for row in rows] == right
    assert all(row.dtype == np.int32 for row in rows)
    dropped = {i: len(ids) - max_tokens for i, ids in enumerate(whole) if len(ids) > max_tokens}
    assert [cut.index for cut in cuts] == list(dropped)
    assert all(cut.kept == max_tokens and 0 < cut.dropped <= dropped[cut.index] for cut in cuts)


@pytest.mark.parametrize("room", [0, 1, 5, 300])
def test_plain_ids_equal_those_of_transformers(folder: Path, room: int) -> None:
    rows, _ = FastTokenizer.read(folder).encode_plain(TEXTS, room)
    right = transformers_tokenizer(folder)(TEXTS, add_special_tokens=False)["input_ids"]

    assert [row.tolist() for row in rows] == [ids[:room] for ids in right]


def test_pairs_equal_those_of_transformers(folder: Path) -> None:
    tokenizer = FastTokenizer.read(folder, uses_types=True)
    stock = transformers_tokenizer(folder)
    for first in TEXTS:
        for second in TEXTS[:8]:
            (a, b), _ = tokenizer.encode_plain([first, second], 10_000)
            ids, types = tokenizer.join_pair(a, b)
            right = stock([first], [second], return_token_type_ids=True)
            assert ids.tolist() == right["input_ids"][0]
            assert len(ids) == len(a) + len(b) + tokenizer.pair_overhead()
            if types is None:
                assert not any(right["token_type_ids"][0])
            else:
                assert types.tolist() == right["token_type_ids"][0]


def test_bert_pairs_have_segments_and_xlm_roberta_pairs_have_two_separators(
    tiny_bert: Path, tiny_m3: Path
) -> None:
    a, b = np.array([20, 21], np.int32), np.array([22], np.int32)

    ids, types = FastTokenizer.read(tiny_bert, uses_types=True).join_pair(a, b)
    assert (ids.tolist(), types.tolist()) == ([2, 20, 21, 3, 22, 3], [0, 0, 0, 0, 1, 1])
    assert FastTokenizer.read(tiny_bert, uses_types=False).join_pair(a, b)[1] is None

    ids, types = FastTokenizer.read(tiny_m3, uses_types=True).join_pair(a, b)
    assert (ids.tolist(), types) == ([0, 20, 21, 2, 2, 22, 2], None)


def test_an_empty_list_gives_nothing(folder: Path) -> None:
    assert FastTokenizer.read(folder).encode([], 8) == ([], [])


def test_too_little_room_for_special_tokens_is_refused(tiny_bert: Path) -> None:
    with pytest.raises(InputError, match="max_tokens=1 has no room for the 2 special tokens"):
        FastTokenizer.read(tiny_bert).encode(["a"], 1)


def test_special_ids_and_tokens_are_told(tiny_m3: Path) -> None:
    tokenizer = FastTokenizer.read(tiny_m3)
    mask = Tokenizer.from_file(str(tiny_m3 / "tokenizer.json")).token_to_id("<mask>")

    assert tokenizer.special_ids == {0, 1, 2, 3, mask}
    assert tokenizer.tokens_of([0, 2, mask]) == ["<s>", "</s>", "<mask>"]
    (ids,), _ = tokenizer.encode_plain(["What is BGE"], 50)
    assert "".join(tokenizer.tokens_of(ids.tolist())).replace("▁", " ").strip() == "What is BGE"
    for wrong in (-1, 10_000_000, 2**40):
        with pytest.raises(InputError, match="not in the vocabulary"):
            tokenizer.tokens_of([wrong])


def test_the_tokenizer_config_overrules_the_normalizer_as_in_transformers(tmp_path: Path) -> None:
    folder = tiny.bert_embedder(tmp_path)
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "do_lower_case": False}))

    (ids,), _ = FastTokenizer.read(folder).encode(["Hello WORLD"], 64)

    assert ids.tolist() == transformers_tokenizer(folder)("Hello WORLD")["input_ids"]


def test_without_tokenizer_json_transformers_reads_the_other_files(tmp_path: Path) -> None:
    folder = tiny.bert_embedder(tmp_path)
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    right = FastTokenizer.read(folder).encode(TEXTS, 40)[0]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.txt").write_text("\n".join(sorted(vocabulary, key=vocabulary.__getitem__)) + "\n")

    found = FastTokenizer.read(folder).encode(TEXTS, 40)[0]

    assert [row.tolist() for row in found] == [row.tolist() for row in right]


def test_a_broken_tokenizer_json_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{")
    with pytest.raises(BrokenCheckpointError, match=r"tokenizer\.json"):
        FastTokenizer.read(tmp_path)


def test_no_tokenizer_at_all_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(BrokenCheckpointError, match=r"expected tokenizer\.json"):
        FastTokenizer.read(tmp_path)


def test_truncation_and_padding_of_the_file_are_not_used(tmp_path: Path) -> None:
    folder = tiny.bert_embedder(tmp_path)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=20)
    tokenizer.save(str(folder / "tokenizer.json"))

    (row,), cuts = FastTokenizer.read(folder).encode(["a b c d e f g"], 64)

    assert (len(row), cuts) == (9, [])


class Counting:
    """A tokeniser that counts the characters it reads."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.tokenizer, self.characters = tokenizer, 0
        self.pre_tokenizer = tokenizer.pre_tokenizer

    def encode_batch_fast(self, texts: list[str], add_special_tokens: bool) -> list:
        self.characters += sum(map(len, texts))
        return self.tokenizer.encode_batch_fast(texts, add_special_tokens=add_special_tokens)


LONG = {
    "english": "The quick brown fox, retrieves relevant documents; isn't it? " * 600,
    "chinese with spaces": "为这个句子生成表示 以用于检索相关文章。 " * 800,
    "chinese": "为这个句子生成表示以用于检索相关文章。" * 800,
    "no space": "abcdefghij" * 4000,
    "spaces": " " * 40_000,
    "spaces first": " " * 20_000 + "some words at the very end",
    "lines": "one two\nthree\r\nfour\tfive " * 1500,
    "long words": ("pneumonoultramicroscopicsilicovolcanoconiosis" * 5 + " ") * 200,
    "special tokens": "a [SEP] b <mask> c </s> " * 1500,
    "accents": "é ü " * 8000,
    "marks after spaces": "a \u0301\u0301 b \u200d c " * 3000,
}


def real_tokenizers() -> Iterator[str]:
    yield from ("bert-base-uncased", "bert-base-chinese", "xlm-roberta")


@pytest.mark.parametrize("name", [*FOLDERS, *real_tokenizers()])
def test_the_beginning_of_a_long_text_gives_the_ids_of_the_whole(name: str, request) -> None:
    if name in FOLDERS:
        path = request.getfixturevalue(name) / "tokenizer.json"
    else:
        path = shared.shared_path("data", "tokenizers", name, "tokenizer.json")
    counting = Counting(Tokenizer.from_file(str(path)))
    reader = PrefixReader(counting)
    for kind, text in LONG.items():
        whole = counting.tokenizer.encode(text, add_special_tokens=False).ids
        for max_tokens in (1, 30, 510):
            (row,), cuts = reader.read([text], max_tokens)
            assert row.tolist() == whole[:max_tokens], (kind, max_tokens)
            assert bool(cuts) == (len(whole) > max_tokens), (kind, max_tokens)
            assert all(0 < cut.dropped <= len(whole) - max_tokens for cut in cuts)


def test_a_very_long_text_is_not_read_to_its_end(tiny_bert: Path) -> None:
    counting = Counting(Tokenizer.from_file(str(tiny_bert / "tokenizer.json")))

    PrefixReader(counting).read(["the panda eats bamboo. " * 50_000] * 3, 510)

    assert counting.characters < 3 * 10_000


def test_threads_that_cut_to_different_lengths_do_not_disturb_each_other(tiny_m3: Path) -> None:
    tokenizer = FastTokenizer.read(tiny_m3)
    text = " ".join(TEXTS[:6])
    whole = tokenizer.encode([text], 500)[0][0]
    wrong: list[str] = []

    def work(seed: int) -> None:
        for turn in range(150):
            room = 4 + (seed * 31 + turn * 7) % 40
            (row, again), _ = tokenizer.encode([text, text], room)
            right = [*whole[: room - 1].tolist(), 2]
            if row.tolist() != right or again.tolist() != right:
                wrong.append(f"{room}: {row.tolist()}")

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    finally:
        sys.setswitchinterval(before)
    assert not any(thread.is_alive() for thread in threads)
    assert wrong == []
