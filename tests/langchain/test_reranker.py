from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from langchain_core.documents import BaseDocumentCompressor, Document

from bge_components import ModelArguments, ModelPool, RerankerSettings, make_reranker
from bge_components.errors import InputError, InputTypeError, MissingOutputError, TextTooLongError
from bge_components.langchain import BGEEmbeddings, BGEReranker
from bge_components.truncation import TextCutWarning

QUERY = "What is the capital of France?"
TEXTS = [
    "Water boils at 100 degrees Celsius at sea level.",
    "Paris is the capital and largest city of France.",
    "Berlin is the capital of Germany.",
    "The Eiffel Tower is in Paris, France.",
    "A cat sleeps most of the day.",
]
MEGABYTE = "water boils. " * 80_000


def documents(texts: list[str] = TEXTS) -> list[Document]:
    return [
        Document(page_content=text, id=f"id-{n}", metadata={"place": n, "tags": ["a"]})
        for n, text in enumerate(texts)
    ]


@pytest.fixture
def mini() -> BGEReranker:
    return BGEReranker(model="mini", dtype="float32")


def test_it_is_what_langchain_calls_a_compressor(mini: BGEReranker) -> None:
    assert isinstance(mini, BaseDocumentCompressor)


def test_the_best_come_first_and_three_are_kept(mini: BGEReranker) -> None:
    kept = mini.compress_documents(documents(), QUERY)

    assert [document.metadata["place"] for document in kept] == [1, 2, 3]


async def test_async_gives_the_same(mini: BGEReranker) -> None:
    assert await mini.acompress_documents(documents(), QUERY) == mini.compress_documents(documents(), QUERY)


def test_a_cross_encoder_checkpoint_ranks_as_its_scores_say(tiny_reranker: Any) -> None:
    reranker = BGEReranker(model=tiny_reranker, dtype="float32", scores="raw", top_n=None, add_scores=True)

    kept = reranker.compress_documents(documents(), QUERY)

    scorer = make_reranker(
        ModelArguments(model=str(tiny_reranker), dtype="float32"), RerankerSettings(scores="raw")
    )
    expected = scorer.score([(QUERY, text) for text in TEXTS])
    assert [one.metadata["place"] for one in kept] == np.argsort(-expected, kind="stable").tolist()
    assert [one.metadata["relevance_score"] for one in kept] == pytest.approx(
        sorted(expected.tolist(), reverse=True), abs=1e-5
    )


def test_ids_contents_and_metadata_stay(mini: BGEReranker) -> None:
    given = documents()

    for kept in mini.compress_documents(given, QUERY):
        assert kept == given[kept.metadata["place"]]
        assert kept.id == f"id-{kept.metadata['place']}"


@pytest.mark.parametrize("add_scores", [False, True])
def test_the_documents_given_are_not_touched(mini: BGEReranker, add_scores: bool) -> None:
    mini.add_scores = add_scores
    given = documents()
    before = copy.deepcopy(given)

    kept = mini.compress_documents(given, QUERY)
    for document in kept:
        document.metadata["mine"] = True

    assert given == before
    assert not {id(document) for document in kept} & {id(document) for document in given}


def test_a_documents_own_class_stays(mini: BGEReranker) -> None:
    class Page(Document):
        number: int = 0

    kept = mini.compress_documents([Page(page_content="Paris", number=7)], QUERY)

    assert type(kept[0]) is Page
    assert kept[0].number == 7


def test_scores_are_written_when_asked_for(mini: BGEReranker) -> None:
    mini.add_scores, mini.top_n = True, None

    scores = [one.metadata["relevance_score"] for one in mini.compress_documents(documents(), QUERY)]

    assert {type(score) for score in scores} == {float}
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score < 1 for score in scores)


def test_scores_are_not_written_otherwise(mini: BGEReranker) -> None:
    assert all("relevance_score" not in one.metadata for one in mini.compress_documents(documents(), QUERY))


def test_raw_scores_order_alike(mini: BGEReranker) -> None:
    mini.add_scores, mini.top_n = True, None
    squashed = mini.compress_documents(documents(), QUERY)
    mini.scores = "raw"

    raw = mini.compress_documents(documents(), QUERY)

    assert [one.id for one in raw] == [one.id for one in squashed]
    for one, other in zip(raw, squashed):
        score = one.metadata["relevance_score"]
        assert other.metadata["relevance_score"] == pytest.approx(1 / (1 + np.exp(-score)), abs=1e-5)


def test_the_threshold_is_on_the_scale_of_the_scores(mini: BGEReranker) -> None:
    mini.add_scores, mini.top_n = True, None
    scores = [one.metadata["relevance_score"] for one in mini.compress_documents(documents(), QUERY)]
    mini.score_threshold = scores[1]

    kept = mini.compress_documents(documents(), QUERY)

    assert [one.metadata["relevance_score"] for one in kept] == pytest.approx(scores[:2])
    mini.score_threshold = 1.0
    assert mini.compress_documents(documents(), QUERY) == []


@pytest.mark.parametrize(("top_n", "count"), [(0, 0), (1, 1), (5, 5), (6, 5), (10_000, 5), (None, 5)])
async def test_top_n_may_be_anything_from_nothing_to_all(
    mini: BGEReranker, top_n: int | None, count: int
) -> None:
    mini.top_n = top_n

    assert len(mini.compress_documents(documents(), QUERY)) == count
    assert len(await mini.acompress_documents(documents(), QUERY)) == count


@pytest.mark.parametrize(
    "wrong",
    [
        {"top_n": -1},
        {"top_n": 2.5},
        {"top_n": True},
        {"top_n": "3"},
        {"score_threshold": float("nan")},
        {"scores": "percent"},
        {"long_passages": "last"},
        {"window_overlap": -1},
        {"query_max_tokens": 0},
    ],
    ids=str,
)
def test_settings_that_make_no_sense_are_refused_at_once(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        BGEReranker(model="mini", **wrong)


async def test_no_documents_give_none_and_load_nothing(fresh_pool: ModelPool) -> None:
    reranker = BGEReranker(model="mini")

    assert reranker.compress_documents([], QUERY) == []
    assert await reranker.acompress_documents([], QUERY) == []
    assert fresh_pool.stats().loads == 0


def test_equal_documents_keep_their_order(mini: BGEReranker) -> None:
    mini.top_n = None

    kept = mini.compress_documents(documents(["Paris", "water", "Paris", "Paris"]), "capital of France")

    assert [one.metadata["place"] for one in kept] == [0, 2, 3, 1]


@pytest.mark.parametrize("text", ["", " \n ", "\x00", "half \ud800 pair", "😀", "[SEP]"], ids=ascii)
def test_an_odd_document_or_query_is_ranked_like_any_other(mini: BGEReranker, text: str) -> None:
    mini.top_n = None

    kept = mini.compress_documents(documents([text, *TEXTS]), QUERY)

    assert kept[0].page_content == TEXTS[1]
    assert sorted(one.metadata["place"] for one in kept) == list(range(6))
    assert len(mini.compress_documents(documents(), text)) == 5


@pytest.mark.parametrize(
    ("given", "query", "said"),
    [
        ("text", QUERY, "list of Documents.*str"),
        (None, QUERY, "list of Documents.*NoneType"),
        (Document(page_content="x"), QUERY, "list of Documents.*Document"),
        (["text"], QUERY, r"documents\[0\].*str"),
        ([Document(page_content="x"), None], QUERY, r"documents\[1\].*NoneType"),
        ([Document.model_construct(page_content=3)], QUERY, r"texts\[0\].*int"),
        ([Document(page_content="x")], None, "query.*NoneType"),
        ([Document(page_content="x")], 3, "query.*int"),
        ([], None, "query.*NoneType"),
    ],
    ids=repr,
)
async def test_what_is_no_document_or_query_is_refused(
    mini: BGEReranker, given: Any, query: Any, said: str
) -> None:
    with pytest.raises(InputTypeError, match=said):
        mini.compress_documents(given, query)
    with pytest.raises(InputTypeError, match=said):
        await mini.acompress_documents(given, query)


def test_a_megabyte_is_cut_with_a_warning_or_refused(mini: BGEReranker) -> None:
    with pytest.warns(TextCutWarning):
        kept = mini.compress_documents(documents([MEGABYTE, *TEXTS]), QUERY)

    assert kept[0].page_content == TEXTS[1]
    mini.on_truncation = "error"
    with pytest.raises(TextTooLongError):
        mini.compress_documents(documents([MEGABYTE]), QUERY)


def test_long_passages_can_be_read_to_their_end(tiny_reranker: Any) -> None:
    filler = "water boils and boils . " * 40
    pages = [Document(page_content=filler + TEXTS[1]), Document(page_content=filler)]
    read = {
        how: BGEReranker(
            model=tiny_reranker, dtype="float32", long_passages=how, window_overlap=8, max_tokens=64,
            top_n=None, scores="raw", add_scores=True, on_truncation="ignore",
        ).compress_documents(pages, QUERY)
        for how in ("first", "max", "mean")
    }  # fmt: skip

    scores = {how: {one.metadata["relevance_score"] for one in kept} for how, kept in read.items()}

    assert len(scores["first"]) == 1  # both begin alike, and no more is read
    assert len(scores["max"] | scores["mean"]) > 2


@pytest.mark.parametrize(
    "settings",
    [
        {"query_instruction": "ask: "},
        {"query_max_tokens": 3},
        {"max_tokens": 64},
        {"max_tokens": 64, "long_passages": "max", "window_overlap": 1},
        {"max_tokens": 64, "long_passages": "mean", "window_overlap": 7},
    ],
    ids=str,
)
def test_every_setting_reaches_the_reranker(tiny_reranker: Any, settings: dict[str, Any]) -> None:
    shared = {"scores": "raw", "on_truncation": "ignore", **settings}
    component = BGEReranker(model=tiny_reranker, dtype="float32", top_n=None, add_scores=True, **shared)
    arguments = ModelArguments(model=str(tiny_reranker), dtype="float32")
    plain = RerankerSettings(scores="raw", on_truncation="ignore")
    texts = [f"{text} {TEXTS[n - 1]} {TEXTS[n - 2]}" for n, text in enumerate(TEXTS)]
    pairs = [(QUERY, text) for text in texts]

    kept = component.compress_documents(documents(texts), QUERY)

    scores = {one.metadata["place"]: one.metadata["relevance_score"] for one in kept}
    expected = make_reranker(arguments, RerankerSettings(**shared)).score(pairs)
    assert [scores[n] for n in range(len(texts))] == pytest.approx(expected.tolist(), abs=1e-5)
    assert not np.allclose(make_reranker(arguments, plain).score(pairs), expected, atol=1e-5)


def test_a_checkpoint_that_cannot_rerank_says_so(tiny_bert: Any) -> None:
    with pytest.raises(MissingOutputError, match="cannot rerank"):
        BGEReranker(model=tiny_bert).compress_documents(documents(), QUERY)


def test_embeddings_and_reranker_of_one_checkpoint_share_its_weights(fresh_pool: ModelPool) -> None:
    BGEEmbeddings(model="mini").embed_documents(TEXTS)
    BGEReranker(model="mini").compress_documents(documents(), QUERY)
    BGEReranker(model_name="mini", top_n=1).compress_documents(documents(), QUERY)

    stats = fresh_pool.stats()

    assert stats.loads == len(stats.models) == 1
    assert stats.nbytes == stats.models[0].info.nbytes


def test_progress_is_shown_when_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    BGEReranker(model="mini", show_progress=True).compress_documents(documents(), QUERY)

    assert "Reranking" in capfd.readouterr().err
