from __future__ import annotations

import json
import pickle
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pytest
from evaluate_retrieval import ndcg, read_set

from bge_components.errors import InputError, InputTypeError
from bge_components.retrieval.bm25 import Bm25, Bm25Settings, with_average_words, word_id
from bge_components.retrieval.contracts import Channel, ChannelKind, Passage, Point
from bge_components.retrieval.engines.memory import MemoryEngine
from support import shared

CORPUS = [
    "a cat sat on a mat and a cat slept",
    "the dog chased the cat",
    "birds sing in the morning",
    "a dog and a bird are friends of the dog",
    "cat cat cat cat",
]
GOLDEN = {  # (k1, b, query): scores of CORPUS by bm25s 0.3.16, method "lucene", times its left out factor k1 + 1
    (1.2, 0.75, "cat dog"): [0.654496, 1.586237, 0.0, 1.063069, 0.982142],
    (1.2, 0.75, "the cat and the bird"): [1.388633, 2.205919, 1.208904, 2.800603, 0.982142],
    (1.2, 0.75, "sing sing birds"): [0.0, 0.0, 4.663935, 0.0, 0.0],
    (0.9, 0.4, "cat dog"): [0.66729, 1.489153, 0.0, 1.08385, 0.862074],
    (0.9, 0.4, "the cat and the bird"): [1.471088, 2.027993, 1.134914, 3.066348, 0.862074],
    (0.9, 0.4, "sing sing birds"): [0.0, 0.0, 4.378485, 0.0, 0.0],
}
PLAIN = Bm25Settings(average_words=10.0)


def indexed(bm25: Bm25, texts: list[str]) -> tuple[MemoryEngine, list[Any]]:
    engine = MemoryEngine()
    engine.open([Channel(name="bm25", kind=ChannelKind.SPARSE, idf=True)])
    rows = bm25.documents(texts)
    ids = [engine.point_id(str(place)) for place in range(len(texts))]
    engine.upsert(
        [
            Point(id=id_, passage=Passage(document=str(i), text=texts[i]), vectors={"bm25": rows.row(i)})
            for i, id_ in enumerate(ids)
        ]
    )
    return engine, ids


class TestScores:
    @pytest.mark.parametrize(("k1", "b", "query"), GOLDEN)
    def test_they_are_those_of_bm25s(self, k1: float, b: float, query: str) -> None:
        average = sum(len(text.split()) for text in CORPUS) / len(CORPUS)
        bm25 = Bm25(Bm25Settings(k1=k1, b=b, average_words=average, language="none"))
        engine, ids = indexed(bm25, CORPUS)

        found = engine.search("bm25", bm25.queries([query]).row(0), len(CORPUS))

        scores = dict(zip(found.ids, found.scores.tolist()))
        np.testing.assert_allclose(
            [scores.get(id_, 0.0) for id_ in ids], GOLDEN[k1, b, query], rtol=1e-5, atol=1e-6
        )

    @pytest.mark.parametrize(("name", "least"), [("xquad/en", 0.95), ("xquad/zh", 0.95)])
    def test_real_questions_find_their_passages(self, name: str, least: float) -> None:
        data = read_set(shared.shared_path("data", "retrieval", *name.split("/")))
        texts, queries = list(data.passages.values()), list(data.queries.items())[::8]
        bm25 = Bm25(with_average_words(Bm25Settings(), texts[:64]))
        engine, ids = indexed(bm25, texts)
        names = dict(zip(ids, data.passages))

        rows = bm25.queries([text for _, text in queries])
        gains = []
        for place, (query, _) in enumerate(queries):
            found = engine.search("bm25", rows.row(place), 10)
            gains.append(ndcg([names[id_] for id_ in found.ids], data.judged[query]))

        assert np.mean(gains) > least


class TestDocuments:
    def test_weights_follow_the_published_formula(self) -> None:
        bm25 = Bm25(Bm25Settings(k1=1.5, b=0.6, average_words=8))

        (row,) = bm25.documents(["cat cat cat dog sat"]).todicts()

        norm = 1.5 * (1 - 0.6 + 0.6 * 5 / 8)
        assert row[word_id("cat")] == pytest.approx(3 * 2.5 / (3 + norm))
        assert row[word_id("dog")] == pytest.approx(1 * 2.5 / (1 + norm))
        assert len(row) == 3

    def test_ids_are_ascending_and_distinct_and_weights_above_zero(self) -> None:
        rows = Bm25(PLAIN).documents([*CORPUS, "漢字 kana かな " * 300, "x"])

        assert rows.indices.dtype == np.int32
        assert rows.weights.dtype == np.float32
        assert (rows.weights > 0).all()
        for place in range(len(rows)):
            assert (np.diff(rows.row(place)[0]) > 0).all()

    def test_texts_without_words_give_empty_rows_in_their_place(self) -> None:
        rows = Bm25(PLAIN).documents(["", "cat", " …🔥"])

        assert [len(row) for row in rows] == [0, 1, 0]
        assert len(Bm25(PLAIN).documents([])) == 0

    def test_k1_of_zero_counts_no_repetitions_and_b_of_zero_no_length(self) -> None:
        flat = Bm25(Bm25Settings(k1=0, average_words=5)).documents(["cat cat dog"])
        short, long = Bm25(Bm25Settings(b=0, average_words=5)).documents(["cat", "cat" + " dog" * 50])

        assert flat.weights.tolist() == [1.0, 1.0]
        assert short[word_id("cat")] == long[word_id("cat")]

    def test_without_a_length_of_documents_they_are_refused_and_queries_are_not(self) -> None:
        bm25 = Bm25()

        with pytest.raises(InputError, match="with_average_words"):
            bm25.documents(["cat"])
        assert bm25.queries(["cat"])[0] == {word_id("cat"): 1.0}

    def test_half_a_surrogate_pair_is_no_error(self) -> None:
        assert len(Bm25(PLAIN).documents(["cat \ud83d dog"]).row(0)[0]) == 2

    def test_one_string_or_no_string_is_refused(self) -> None:
        with pytest.raises(InputTypeError):
            Bm25(PLAIN).documents("cat")
        with pytest.raises(InputTypeError):
            Bm25(PLAIN).queries([None])  # type: ignore[list-item]


class TestQueries:
    def test_a_word_weighs_as_often_as_it_is_asked_for(self) -> None:
        (row,) = Bm25().queries(["cat cats dog"]).todicts()

        assert row == {word_id("cat"): 2.0, word_id("dog"): 1.0}

    def test_chinese_queries_share_ids_with_their_passages(self) -> None:
        bm25 = Bm25(PLAIN)
        passage, other = bm25.documents(["小明硕士毕业于中国科学院计算所", "今天天气很好"])
        (query,) = bm25.queries(["中国科学院在哪里？"])

        assert len(query.keys() & passage.keys()) >= 9
        assert not query.keys() & other.keys()


class TestIds:
    def test_they_are_the_same_in_every_release(self) -> None:
        assert [word_id(word) for word in ("cat", "漢", "漢字")] == [
            1_787_499_195,
            564_526_683,
            1_462_435_445,
        ]

    def test_they_fit_int32_and_are_spread_evenly(self) -> None:
        """Of 100,000 words 2.3 pairs are expected to share an id: n (n - 1) / 2 / 2 ** 31."""
        ids = [word_id(f"word{number}") for number in range(100_000)]

        assert 0 <= min(ids) < 10**6
        assert 2**31 - 10**6 < max(ids) < 2**31
        assert len(ids) - len(set(ids)) < 12

    def test_words_that_share_an_id_are_counted_as_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("bge_components.retrieval.bm25.word_id", len)

        (row,) = Bm25(PLAIN).queries(["cat dog bird horn"]).todicts()

        assert row == {3: 2.0, 4: 2.0}

    def test_they_can_be_turned_into_words_again(self) -> None:
        bm25 = Bm25(PLAIN)
        text = "Foxes read 漢字 in state-of-the-art libraries"

        words = bm25.words_of_ids(text)

        assert words.keys() == bm25.documents([text])[0].keys()
        assert Counter(words.values()) == Counter(set(bm25.words(text)))
        assert {"fox", "漢字", "librari"} <= set(words.values())


class TestSettings:
    def test_they_survive_json(self) -> None:
        settings = Bm25Settings(k1=0.9, b=0.4, average_words=123.5, language="german")

        assert Bm25Settings(**json.loads(json.dumps(asdict(settings)))) == settings

    @pytest.mark.parametrize(
        "wrong",
        [
            {"k1": -0.1},
            {"k1": float("nan")},
            {"k1": float("inf")},
            {"b": 1.01},
            {"b": float("nan")},
            {"average_words": 0},
            {"average_words": float("inf")},
            {"language": "klingon"},
        ],
    )
    def test_what_makes_no_sense_is_refused_by_name(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(InputError, match=next(iter(wrong))):
            Bm25Settings(**wrong)

    def test_words_of_another_analysis_are_refused_instead_of_not_found(self) -> None:
        with pytest.raises(InputError, match="index the documents again"):
            replace(Bm25Settings(), analysis=0)

    def test_bm25_is_an_envelope_of_settings(self) -> None:
        bm25 = Bm25(PLAIN)

        assert pickle.loads(pickle.dumps(bm25)) == bm25 == Bm25(replace(PLAIN))
        assert "average_words=10.0" in repr(bm25)

    def test_threads_get_what_one_thread_gets(self) -> None:
        bm25 = Bm25(PLAIN)
        batches = [[f"{text} number{i}" for text in CORPUS] for i in range(40)]
        with ThreadPoolExecutor(4) as threads:
            together = list(threads.map(bm25.documents, batches))

        assert [rows.todicts() for rows in together] == [bm25.documents(batch).todicts() for batch in batches]


class TestAverageWords:
    def test_it_nears_the_mean_of_what_was_seen(self) -> None:
        few = with_average_words(Bm25Settings(), ["cat dog"])
        many = with_average_words(Bm25Settings(), ["cat dog"] * 10_000)

        assert few.average_words == pytest.approx((2 + 10 * 200) / 11)
        assert many.average_words == pytest.approx(2, abs=0.2)

    def test_texts_without_words_say_nothing(self) -> None:
        assert with_average_words(Bm25Settings(), []).average_words == 200
        assert with_average_words(Bm25Settings(), ["", "🔥"]).average_words == 200

    def test_everything_else_stays(self) -> None:
        settings = Bm25Settings(k1=0.9, b=0.4, language="none")

        fitted = with_average_words(settings, ["foxes"])

        assert fitted == replace(settings, average_words=fitted.average_words)
        assert settings.average_words is None
