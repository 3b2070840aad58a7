from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from langchain_core.embeddings import Embeddings

from bge_components import (
    Encoder,
    EncoderSettings,
    ModelArguments,
    ModelPool,
    PoolSettings,
    catalogue,
    make_encoder,
)
from bge_components.errors import DeadlineError, InputError, InputTypeError, TextTooLongError
from bge_components.langchain import BGEEmbeddings
from bge_components.truncation import TextCutWarning

MEGABYTE = "water boils. " * 80_000
LONG = [f"{n} " + "water boils " * 80 for n in range(500)]
TEXTS = ["Water boils at 100 °C.", "Paris is the capital of France.", "一百摄氏度"]


@pytest.fixture
def mini() -> BGEEmbeddings:
    return BGEEmbeddings(model="mini", dtype="float32")


def encoder(**settings: Any) -> Encoder:
    return make_encoder(ModelArguments(model="mini", dtype="float32"), EncoderSettings(**settings))


def test_it_is_what_langchain_calls_embeddings(mini: BGEEmbeddings) -> None:
    assert isinstance(mini, Embeddings)


def test_documents_are_what_the_encoder_gives_in_plain_floats(mini: BGEEmbeddings) -> None:
    vectors = mini.embed_documents(TEXTS)

    expected = encoder().encode(TEXTS).need_dense().values
    assert np.allclose(vectors, expected, atol=1e-6)
    assert {type(vectors), *map(type, vectors)} == {list}
    assert {type(value) for vector in vectors for value in vector} == {float}


def test_a_query_is_what_the_encoder_gives_in_plain_floats(mini: BGEEmbeddings) -> None:
    vector = mini.embed_query(TEXTS[0])

    expected = encoder().encode(TEXTS[:1], role="query").need_dense().values[0]
    assert np.allclose(vector, expected, atol=1e-6)
    assert {type(value) for value in vector} == {float}


async def test_async_gives_the_same(mini: BGEEmbeddings) -> None:
    assert np.allclose(await mini.aembed_documents(TEXTS), mini.embed_documents(TEXTS), atol=1e-6)
    assert np.allclose(await mini.aembed_query(TEXTS[0]), mini.embed_query(TEXTS[0]), atol=1e-6)


def test_instructions_go_before_the_text_they_are_for() -> None:
    prompted = BGEEmbeddings(
        model="mini", dtype="float32", query_instruction="query: ", document_instruction="passage: "
    )
    plain = BGEEmbeddings(model="mini", dtype="float32", query_instruction="", document_instruction="")

    assert np.allclose(prompted.embed_query("water"), plain.embed_query("query: water"), atol=1e-6)
    assert np.allclose(
        prompted.embed_documents(["water"]), plain.embed_documents(["passage: water"]), atol=1e-6
    )
    assert not np.allclose(prompted.embed_query("water"), plain.embed_query("water"), atol=1e-3)


async def test_instructions_keep_their_sides_when_awaited() -> None:
    prompted = BGEEmbeddings(model="mini", query_instruction="query: ", document_instruction="passage: ")

    assert await prompted.aembed_query("water") == pytest.approx(prompted.embed_query("water"), abs=1e-6)
    assert np.allclose(
        await prompted.aembed_documents(["water"]), prompted.embed_documents(["water"]), atol=1e-6
    )


def test_a_checkpoint_set_later_is_used(tiny_bert: Path) -> None:
    embeddings = BGEEmbeddings(model=tiny_bert)
    before = len(embeddings.embed_query("water"))

    embeddings.model = "mini"

    assert len(embeddings.embed_query("water")) == 384 != before


def test_equal_components_look_for_their_files_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []

    def resolve(model: str, **more: Any) -> Any:
        looked.append(model)
        return catalogue.resolve(model, **more)

    monkeypatch.setattr("bge_components.backends.source.resolve", resolve)
    with ModelPool(PoolSettings(devices=("cpu",))) as pool:
        for _ in range(3):
            embeddings = BGEEmbeddings(model="mini", pool=pool)
            embeddings.embed_query("water")
            embeddings.embed_documents(TEXTS)

    assert looked == ["mini"]


def test_an_instruction_set_later_counts(mini: BGEEmbeddings) -> None:
    before = mini.embed_query("water")

    mini.query_instruction = "find the capital of: "

    assert not np.allclose(mini.embed_query("water"), before, atol=1e-3)


def test_no_task_is_known_to_mini(mini: BGEEmbeddings) -> None:
    mini.task = "qa"

    with pytest.raises(InputError, match="no task 'qa'"):
        mini.embed_query("water")


def test_vectors_have_unit_length_unless_told_otherwise() -> None:
    unit = BGEEmbeddings(model="mini").embed_documents(TEXTS)
    raw = BGEEmbeddings(model="mini", normalize=False).embed_documents(TEXTS)

    assert np.allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-5)
    assert np.abs(np.linalg.norm(raw, axis=1) - 1).min() > 1e-2


def test_fewer_dimensions_are_the_leading_ones_at_unit_length(mini: BGEEmbeddings) -> None:
    few = BGEEmbeddings(model="mini", dtype="float32", dimensions=64).embed_query("water")

    full = np.array(mini.embed_query("water"))[:64]
    assert np.allclose(few, full / np.linalg.norm(full), atol=1e-6)


def test_texts_are_left_alone(mini: BGEEmbeddings) -> None:
    texts = ["line one\nline two", "  spaces  ", "tab\there"]
    before = list(texts)

    mini.embed_documents(texts)

    assert texts == before


def test_line_breaks_reach_the_tokeniser(tiny_roberta: Path) -> None:
    byte_level = BGEEmbeddings(model=tiny_roberta, dtype="float32")

    broken, spaced = byte_level.embed_documents(["line one\nline two", "line one line two"])

    assert not np.allclose(broken, spaced, atol=1e-4)


def test_no_texts_give_no_vectors(mini: BGEEmbeddings) -> None:
    assert mini.embed_documents([]) == []


@pytest.mark.parametrize(
    "text",
    ["", " \n\t ", "\x00", "a\x00b", "half \ud800 pair", "😀👩‍👩‍👧‍👦", "\u200b", "[CLS] [SEP]", "a" * 5000],
    ids=ascii,
)
def test_an_odd_text_has_a_finite_unit_vector_alone_and_in_company(mini: BGEEmbeddings, text: str) -> None:
    mini.on_truncation = "ignore"

    alone, (_, among, _) = mini.embed_documents([text])[0], mini.embed_documents(["water", text, "fire"])

    assert all(map(math.isfinite, alone))
    assert np.linalg.norm(alone) == pytest.approx(1, abs=1e-5)
    assert np.allclose(alone, among, atol=1e-5)
    assert len(mini.embed_query(text)) == len(alone)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("water", "one str"),
        (None, "NoneType"),
        (3, "int"),
        ([None], r"texts\[0\].*NoneType"),
        (["water", 3], r"texts\[1\].*int"),
        (["water", b"bytes"], r"texts\[1\].*bytes"),
        ([["nested"]], r"texts\[0\].*list"),
        ([float("nan")], r"texts\[0\].*float"),
    ],
    ids=str,
)
async def test_what_is_no_list_of_strings_is_refused(mini: BGEEmbeddings, wrong: Any, said: str) -> None:
    with pytest.raises(InputTypeError, match=said):
        mini.embed_documents(wrong)
    with pytest.raises(InputTypeError, match=said):
        await mini.aembed_documents(wrong)


@pytest.mark.parametrize("wrong", [None, 3, b"bytes", ["water"]], ids=str)
async def test_a_query_that_is_no_string_is_refused(mini: BGEEmbeddings, wrong: Any) -> None:
    with pytest.raises(InputTypeError, match=type(wrong).__name__):
        mini.embed_query(wrong)
    with pytest.raises(InputTypeError, match=type(wrong).__name__):
        await mini.aembed_query(wrong)


def test_duplicates_get_equal_vectors_in_place(mini: BGEEmbeddings) -> None:
    first, other, second = mini.embed_documents(["water", "fire", "water"])

    assert first == second != other


def test_thousands_of_texts_keep_their_order() -> None:
    fake = BGEEmbeddings(model="mini", backend="fake")
    texts = [f"text number {n}" for n in range(3000)]

    vectors = fake.embed_documents(texts)

    assert len(vectors) == 3000
    for n in (0, 1023, 1024, 2999):
        assert vectors[n] == fake.embed_documents([texts[n]])[0]


def test_a_megabyte_is_cut_with_a_warning(mini: BGEEmbeddings) -> None:
    with pytest.warns(TextCutWarning, match="1 of 2 texts"):
        vectors = mini.embed_documents([MEGABYTE, "short"])

    assert np.isfinite(vectors).all()


def test_cuts_can_be_refused_or_accepted() -> None:
    with pytest.raises(TextTooLongError):
        BGEEmbeddings(model="mini", on_truncation="error").embed_query(MEGABYTE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        BGEEmbeddings(model="mini", on_truncation="ignore").embed_query(MEGABYTE)


def test_max_tokens_cuts_earlier() -> None:
    with pytest.warns(TextCutWarning, match="more than 6 tokens"):
        cut = BGEEmbeddings(model="mini", dtype="float32", max_tokens=6).embed_query(
            "one two three four five six"
        )

    whole = BGEEmbeddings(model="mini", dtype="float32").embed_query("one two three four")
    assert np.allclose(cut, whole, atol=1e-6)


def test_a_deadline_that_has_passed_is_an_error() -> None:
    with pytest.raises(DeadlineError):
        BGEEmbeddings(model="mini", timeout_s=0.01).embed_documents(LONG)


def test_progress_is_shown_when_asked_for(capfd: pytest.CaptureFixture[str]) -> None:
    BGEEmbeddings(model="mini", backend="fake", show_progress=True).embed_documents(["a", "b", "c"])

    assert "Embedding" in capfd.readouterr().err


def test_nothing_is_shown_otherwise(mini: BGEEmbeddings, capfd: pytest.CaptureFixture[str]) -> None:
    mini.embed_documents(TEXTS)

    shown = capfd.readouterr()
    assert shown.err + shown.out == ""


def test_many_components_share_one_copy(fresh_pool: ModelPool) -> None:
    for _ in range(3):
        BGEEmbeddings(model="mini").embed_query("water")

    assert fresh_pool.stats().loads == len(fresh_pool.stats().models) == 1
