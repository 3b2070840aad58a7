"""The index as its users see it: what goes in comes out, what is asked for wrongly is told."""

import asyncio
import copy
import pickle
from dataclasses import replace

import numpy as np
import pytest

from bge_components.backends.fake import FakeSource
from bge_components.contracts import CallOptions
from bge_components.encoders import Encoder, EncoderSettings
from bge_components.errors import (
    FilterError,
    IndexClosedError,
    IndexMismatchError,
    InputError,
    InputTypeError,
    MissingChannelError,
)
from bge_components.retrieval import (
    Diversity,
    Document,
    HybridIndex,
    IndexSettings,
    MemoryEngine,
    Query,
    QueryPlan,
    ReciprocalRank,
    TokenSettings,
    WeightedSum,
)

ANIMALS = [
    Document(id="cat", text="a cat sleeps on the warm roof", metadata={"legs": 4, "home": True}),
    Document(id="dog", text="a dog runs through the wet grass", metadata={"legs": 4, "home": True}),
    Document(id="hen", text="the hen lays one egg a day", metadata={"legs": 2, "home": True}),
    Document(id="eel", text="an eel swims up the cold river", metadata={"legs": 0, "home": False}),
]


@pytest.fixture
def animals(index):
    index.add(ANIMALS)
    return index


def ids(hits):
    return [hit.id for hit in hits]


def test_the_first_hit_is_the_document_that_shares_the_words(animals):
    hits = animals.search("cold river eel")
    assert hits[0].id == "eel"
    assert hits[0].text == ANIMALS[3].text
    assert hits[0].metadata == ANIMALS[3].metadata
    assert hits[0].passage == hits[0].text
    assert hits[0].window is None
    assert set(hits[0].parts) == {"dense", "sparse", "multi"}
    assert hits[0].parts["dense"].rank == 1
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)


def test_async_and_blocking_searches_give_the_same(animals):
    blocking = animals.search("warm grass")
    awaited = asyncio.run(animals.asearch("warm grass"))
    assert [(hit.id, hit.score) for hit in blocking] == [(hit.id, hit.score) for hit in awaited]


def test_a_batch_of_queries_gives_what_each_gives_alone(animals):
    queries = ["egg", "river", "roof"]
    together = animals.search_batch(queries)
    assert [ids(hits) for hits in together] == [ids(animals.search(query)) for query in queries]


def test_documents_come_back_as_they_went_in(animals):
    assert animals.get(["hen", "ox", "cat"]) == [ANIMALS[2], None, ANIMALS[0]]
    assert animals.count() == 4


def test_what_is_there_already_is_passed_over_and_not_encoded_again(animals, encoder):
    (model,) = encoder.source.models
    calls = model.calls
    animals.add(ANIMALS)
    assert model.calls == calls
    report = animals.add([*ANIMALS, Document(id="ox", text="an ox pulls the plough")])
    assert (report.stored, report.unchanged) == (1, 4)
    assert animals.count() == 5


def test_adding_an_id_with_other_contents_is_refused_and_changes_nothing(animals):
    with pytest.raises(InputError, match=r"'cat'.*upsert"):
        animals.add([Document(id="new", text="new"), Document(id="cat", text="another cat")])
    assert animals.get(["cat", "new"]) == [ANIMALS[0], None]


def test_upserting_replaces_text_vectors_and_metadata(animals):
    animals.upsert([Document(id="cat", text="submarine periscope", metadata={"legs": 0})])
    assert animals.count() == 4
    assert animals.search("submarine")[0].id == "cat"
    assert animals.count({"legs": 4}) == 1


def test_the_last_of_equal_ids_wins_in_upsert_and_is_refused_in_add(index):
    twins = [Document(id="x", text="first"), Document(id="x", text="second")]
    with pytest.raises(InputError, match="same id"):
        index.add(twins)
    assert index.count() == 0
    index.upsert(twins)
    assert index.get(["x"])[0].text == "second"
    index.add([Document(id="y", text="same"), Document(id="y", text="same")])
    assert index.count() == 2


def test_what_was_deleted_is_not_found(animals):
    animals.delete(["eel", "no such id"])
    assert "eel" not in ids(animals.search("cold river eel"))
    animals.delete(filter={"legs": 4})
    assert ids(animals.search("cat dog hen")) == ["hen"]


def test_an_empty_filter_meets_everything_also_when_deleting(animals):
    assert animals.count({}) == 4
    animals.delete(filter={})
    assert animals.count() == 0


@pytest.mark.parametrize("given", [{}, {"ids": ["cat"], "filter": {"legs": 4}}])
def test_deleting_wants_ids_or_a_filter(animals, given):
    with pytest.raises(InputError, match="one of them"):
        animals.delete(**given)
    assert animals.count() == 4


def test_filters_limit_what_is_found(animals):
    assert set(ids(animals.search("cat", filter={"legs": {"$lt": 4}}))) == {"hen", "eel"}
    assert animals.search("cat", filter={"no such field": 1}) == []
    with pytest.raises(FilterError, match=r"\$gt"):
        animals.search("cat", filter={"legs": {"$bigger": 3}})


def test_an_empty_index_finds_nothing(index):
    assert index.search("anything") == []
    assert index.count() == 0
    assert index.get(["x"]) == [None]
    index.delete(["x"])
    assert index.add([]).stored == 0


@pytest.mark.parametrize(("top_k", "expected"), [(0, 0), (1, 1), (4, 4), (1000, 4)])
def test_top_k_may_be_anything_from_zero(animals, top_k, expected):
    assert len(animals.search("cat", top_k=top_k)) == expected


@pytest.mark.parametrize(
    ("top_k", "error"), [(-1, InputError), (1.5, InputTypeError), (True, InputTypeError)]
)
def test_top_k_that_makes_no_sense_is_refused(animals, top_k, error):
    with pytest.raises(error, match="top_k"):
        animals.search("cat", top_k=top_k)


def test_a_channel_that_is_not_kept_is_an_error_that_says_so(animals):
    for plan in (QueryPlan(channels=("bm25",)), QueryPlan(fusion=WeightedSum(weights={"bm25": 1}))):
        with pytest.raises(MissingChannelError, match=r"'bm25'.*keeps dense, sparse, multi"):
            animals.search("cat", plan=plan)
    with pytest.raises(InputError, match="rescore"):
        animals.search("cat", plan=QueryPlan(channels=("multi",)))


def test_one_channel_may_weigh_nothing_and_not_all_of_them(animals):
    without = animals.search("hen", plan=QueryPlan(fusion=WeightedSum(weights={"sparse": 0})))
    assert len(without) > 1
    nothing = QueryPlan(fusion=WeightedSum(weights={"dense": 0, "sparse": 0, "multi": 0}))
    with pytest.raises(InputError, match="weighs 0"):
        animals.search("hen", plan=nothing)


def test_one_channel_alone_gives_its_own_scores(animals, encoder):
    plan = QueryPlan(channels=("dense",), late_interaction=0)
    hit = animals.search("wet grass", plan=plan)[0]
    query = encoder.encode(["wet grass"], "query").dense.values[0]
    text = encoder.encode([hit.text]).dense.values[0]
    assert hit.score == pytest.approx(float(query @ text), abs=1e-5)
    assert set(hit.parts) == {"dense"}


def test_a_threshold_cuts_on_the_scale_of_the_last_stage(animals):
    plan = QueryPlan(channels=("dense",), late_interaction=0)
    scores = [hit.score for hit in animals.search("wet grass", plan=plan)]
    above = animals.search(
        "wet grass", plan=QueryPlan(channels=("dense",), late_interaction=0, threshold=scores[1])
    )
    assert len(above) == 2


def test_vectors_can_be_searched_without_a_text(animals, encoder):
    vector = encoder.encode(["cold river eel"], "query").dense.values[0]
    assert animals.search(Query(vectors={"dense": vector}))[0].id == "eel"
    with pytest.raises(InputError, match="without text"):
        animals.search(Query(vectors={"multi": vector[None, :]}))
    with pytest.raises(MissingChannelError, match=r"vectors asks for 'sparce'"):
        animals.search(Query(text="eel", vectors={"sparce": vector}))
    with pytest.raises(InputError, match="a text or a vector"):
        Query()


def test_a_vector_of_the_wrong_size_is_refused_with_both_sizes(animals):
    with pytest.raises(InputError, match=r"32.*3|3.*32"):
        animals.search(Query(vectors={"dense": np.ones(3, np.float32)}))


def test_equal_documents_keep_one_order_however_they_came(encoder):
    texts = [Document(id=f"twin {n}", text="the very same text") for n in range(30)]
    orders = []
    for documents in (texts, texts[::-1]):
        with HybridIndex(encoder) as index:
            index.add(documents)
            orders.append(ids(index.search("same text", plan=QueryPlan(top_k=7, fetch_k=7))))
    assert orders[0] == orders[1]


def test_words_are_explained_where_words_are_counted(encoder):
    with HybridIndex(encoder, settings=IndexSettings(channels=("bm25",))) as index:
        index.add(ANIMALS)
        hit = index.search("rivers", explain=True)[0]
    assert hit.id == "eel"
    assert len(hit.explanation.matched["bm25"]) == 1
    assert hit.explanation.alignment is None


def test_diversity_passes_over_what_is_like_the_first(encoder):
    documents = [
        Document(id="a", text="red apple pie"),
        Document(id="b", text="red apple pie"),
        Document(id="c", text="red car"),
    ]
    plan = QueryPlan(top_k=2, diversity=Diversity(lambda_mult=0.3), channels=("dense",), late_interaction=0)
    with HybridIndex(encoder) as index:
        index.add(documents)
        assert "c" in ids(index.search("red apple", plan=plan))


@pytest.mark.parametrize("fusion", [ReciprocalRank(), WeightedSum(), WeightedSum(normalization="z-score")])
def test_every_fusion_puts_the_match_first(animals, fusion):
    assert animals.search("cold river eel", plan=QueryPlan(fusion=fusion))[0].id == "eel"


def test_another_encoder_is_refused_with_both_fingerprints(encoder, pool):
    engine = MemoryEngine()
    HybridIndex(encoder, engine).add(ANIMALS)
    other = Encoder(FakeSource("fake"), EncoderSettings(query_instruction="find: "), pool)
    with pytest.raises(IndexMismatchError, match=r"query_instruction: index '', encoder 'find: '"):
        HybridIndex(other, engine).search("cat")


def test_other_settings_are_refused_and_none_are_taken_from_the_index(encoder):
    engine = MemoryEngine()
    HybridIndex(encoder, engine, IndexSettings(channels=("dense",))).add(ANIMALS)
    assert HybridIndex(encoder, engine).stats()["channels"] == ["dense"]
    with pytest.raises(IndexMismatchError, match="other settings"):
        HybridIndex(encoder, engine, IndexSettings(channels=("sparse",))).search("cat")


def test_a_projection_is_fitted_once_and_shortens_every_vector(encoder):
    settings = IndexSettings(multi=TokenSettings(dim=4, storage="float32"))
    with HybridIndex(encoder, settings=settings) as index:
        with pytest.raises(InputError, match="calibrate"):
            index.add(ANIMALS[:1])
        index.calibrate([document.text for document in ANIMALS])
        index.add(ANIMALS)
        point = index.engine.get([index.engine.point_id("cat")], ["multi"])[0]
        assert point.vectors["multi"].shape[1] == 4
        assert index.search("cold river eel")[0].id == "eel"


def test_progress_counts_documents(index):
    seen = []
    index.add(
        [f"text {n}" for n in range(600)], CallOptions(progress=lambda at: seen.append((at.done, at.total)))
    )
    assert seen[-1] == (600, 600)
    assert len(seen) > 1


async def test_async_iterables_are_taken_as_they_come(encoder):
    async def arriving():
        for number in range(300):
            yield Document(id=str(number), text=f"text {number}")
            await asyncio.sleep(0)

    async with HybridIndex(encoder) as index:
        report = await index.aadd(arriving())
        assert report.stored == 300
        assert await index.acount() == 300
        await index.adelete(["7"])
        assert await index.aget(["7"]) == [None]


def test_documents_are_taken_as_they_are_needed(index):
    taken = []

    def endless():
        for number in range(10_000):
            taken.append(number)
            if number == 700:
                raise RuntimeError("the source broke")
            yield Document(id=str(number), text=f"text {number}")

    with pytest.raises(RuntimeError, match="the source broke"):
        index.add(endless())
    assert len(taken) == 701
    assert 256 <= index.count() < 701


def test_a_closed_index_says_so(encoder):
    index = HybridIndex(encoder)
    index.add(ANIMALS)
    index.close()
    index.close()
    with pytest.raises(IndexClosedError):
        index.search("cat")


async def test_documents_are_listed_by_filter_and_a_long_one_once(encoder):
    long = Document(id="long", text="river " * 60, metadata={"legs": 9})
    with HybridIndex(encoder, settings=IndexSettings(window_tokens=32, overlap_tokens=4)) as index:
        index.add([*ANIMALS, long])
        assert sorted(one.id for one in index.documents()) == ["cat", "dog", "eel", "hen", "long"]
        assert index.documents({"legs": 9}) == [long] == await index.adocuments({"legs": 9})
        assert {one.id for one in index.documents({"legs": {"$lt": 4}})} == {"hen", "eel"}


async def test_an_index_names_its_channels(encoder, index):
    assert index.channels() == ("dense", "sparse", "multi") == await index.achannels()
    with HybridIndex(encoder, settings=IndexSettings(channels=("bm25", "dense"))) as other:
        assert set(other.channels()) == {"dense", "bm25"}


def test_an_open_index_is_not_pickled_and_its_copy_is_the_same_index(index):
    with pytest.raises(InputTypeError, match=r"HybridIndex.*open in this process"):
        pickle.dumps(index)
    assert copy.deepcopy({"index": index})["index"] is index


class Approximate(MemoryEngine):
    """Counts how often it was asked to make itself faster."""

    capabilities = replace(MemoryEngine().capabilities, approximate=True)
    calls = 0

    def optimize(self):
        self.calls += 1


@pytest.mark.parametrize(("count", "optimized"), [(9_999, 0), (10_000, 1)])
def test_a_bulk_ends_with_building_what_makes_search_faster(encoder, count, optimized):
    with HybridIndex(encoder, Approximate(), IndexSettings(channels=("dense",))) as index:
        index.add([f"text {number}" for number in range(100)])
        assert index.engine.calls == 0
        index.add(f"text {number}" for number in range(count))
        assert index.engine.calls == optimized


async def test_a_bulk_that_comes_bit_by_bit_is_one_job(encoder):
    async def arriving():
        for number in range(10_000):
            yield f"text {number}"

    seen = []
    options = CallOptions(progress=lambda at: seen.append(at.done))
    async with HybridIndex(encoder, Approximate(), IndexSettings(channels=("dense",))) as index:
        await index.aadd(arriving(), options)
        assert index.engine.calls == 1
    assert seen == sorted(seen)
    assert seen[-1] == 10_000


@pytest.mark.parametrize("encoder", ["mini", None, 3])
def test_what_is_no_encoder_is_refused_with_the_way_to_make_one(encoder):
    with pytest.raises(InputTypeError, match="make_encoder"):
        HybridIndex(encoder)


@pytest.mark.parametrize("wrong", [{"fusion": "rrf"}, {"rerank": "bge-reranker"}, {"rerank": ("x",)}])
def test_a_plan_of_wrong_parts_says_what_they_must_be(wrong):
    with pytest.raises(InputTypeError, match="must be"):
        QueryPlan(**wrong)


async def test_errors_of_async_iterables_count_from_the_first_document(index):
    async def arriving():
        for number in range(400):
            yield f"text {number}" if number != 290 else 7

    with pytest.raises(InputTypeError, match=r"documents\[290\]"):
        await index.aadd(arriving())
