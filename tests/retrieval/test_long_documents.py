"""Documents longer than the checkpoint reads: found by any part of them, given once, whole and of one version."""

import pytest

from bge_components.backends import CheckpointSource
from bge_components.encoders import Encoder, EncoderSettings
from bge_components.errors import EngineError
from bge_components.retrieval import Document, HybridIndex, IndexSettings, MemoryEngine, QueryPlan
from support.corpus import english

FILLER = "the committee talked about money and time and found no answer that pleased all "
LONG = FILLER * 30 + "then a purple submarine surfaced in the harbour " + FILLER * 30
WINDOWS = IndexSettings(window_tokens=64, overlap_tokens=8)


@pytest.fixture(params=["windows", "late-chunking"])
def index(request, encoder):
    settings = IndexSettings(long_documents=request.param, window_tokens=64, overlap_tokens=8)
    with HybridIndex(encoder, settings=settings) as index:
        index.add([Document(id="long", text=LONG, metadata={"kind": "minutes"})])
        index.add([Document(id=f"short {n}", text=f"a short note on money {n}") for n in range(5)])
        yield index


def test_a_document_is_found_by_its_middle_and_given_whole(index):
    hit = index.search("purple submarine")[0]
    assert hit.id == "long"
    assert hit.text == LONG
    assert "purple submarine" in hit.passage
    assert LONG[hit.window.start : hit.window.stop] == hit.passage
    assert 0 < hit.window.number < hit.window.count
    assert hit.metadata == {"kind": "minutes"}


def test_it_counts_and_comes_back_as_one_document(index):
    assert index.count() == 6
    assert index.count({"kind": "minutes"}) == 1
    assert index.get(["long"]) == [Document(id="long", text=LONG, metadata={"kind": "minutes"})]
    hits = index.search("committee money", top_k=10)
    assert len({hit.id for hit in hits}) == len(hits) == 6


def test_counting_reads_no_document(index, monkeypatch):
    monkeypatch.setattr(index.engine, "scan", None)
    assert index.count() == 6
    assert index.count({"kind": {"$ne": "minutes"}}) == 5


def test_all_documents_are_given_by_reading_their_heads(index):
    assert len({one.id for one in index.documents()}) == len(index.documents()) == 6
    assert index.documents({"kind": "minutes"}) == [
        Document(id="long", text=LONG, metadata={"kind": "minutes"})
    ]


def test_filters_reach_every_window(index):
    hits = index.search("purple submarine", filter={"kind": "minutes"})
    assert [hit.id for hit in hits] == ["long"]
    assert "purple" in hits[0].passage


def test_deleting_leaves_no_window(index):
    index.delete(["long"])
    assert index.count() == 5
    assert index.engine.count() == 5
    assert "long" not in {hit.id for hit in index.search("purple submarine")}


def test_a_new_version_leaves_no_window_of_the_old_one(index):
    index.upsert([Document(id="long", text=FILLER * 20 + "a green tractor")])
    assert "purple" not in index.search("purple submarine", top_k=6)[0].passage
    assert "green tractor" in index.search("green tractor")[0].passage
    windows = index.search("green tractor")[0].window.count
    assert index.engine.count() == 5 + windows
    index.upsert([Document(id="long", text="short now")])
    assert index.engine.count() == 6
    assert index.search("short now")[0].window is None


class Failing(MemoryEngine):
    """Fails at the nth upsert."""

    left = 10**9

    def upsert(self, points):
        if self.left <= 0:
            raise EngineError("no more")
        self.left -= 1
        super().upsert(points)


def test_a_version_that_was_not_written_to_its_end_is_never_seen(encoder):
    """Cut off between its windows, as by a crash."""
    engine = Failing()
    with HybridIndex(encoder, engine, WINDOWS) as index:
        old = Document(id="long", text=FILLER * 60 + "an old lighthouse")
        index.add([old])
        new = Document(id="long", text=FILLER * 800 + "a new lighthouse")
        engine.left = 1
        with pytest.raises(EngineError):
            index.upsert([new])
        assert index.get(["long"]) == [old]
        assert index.count() == 1
        hits = index.search("lighthouse")
        assert [hit.text for hit in hits] == [old.text]
        assert "an old lighthouse" in hits[0].passage
        engine.left = 10**9
        assert index.upsert([new]).stored == 1
        assert "a new lighthouse" in index.search("lighthouse")[0].passage
        windows = index.search("lighthouse")[0].window.count
        assert engine.count() == windows


def test_long_documents_can_be_cut_instead(pool, encoder):
    cutting = Encoder(encoder.source, EncoderSettings(on_truncation="ignore", max_tokens=32), pool)
    with HybridIndex(cutting, settings=IndexSettings(long_documents="cut")) as index:
        report = index.add([LONG, "short"])
        assert (report.stored, report.passages, report.cut) == (2, 2, 1)


def test_real_texts_and_a_real_tokenizer_lose_nothing(pool):
    mini = Encoder(CheckpointSource(model="mini"), EncoderSettings(on_truncation="error"), pool)
    text = " ".join(english(40))
    with HybridIndex(mini, settings=IndexSettings(channels=("dense", "bm25"))) as index:
        report = index.add([Document(id="book", text=text)])
        assert report.passages > 5
        assert report.cut == 0
        words = text.split()
        plan = QueryPlan(channels=("bm25",))
        for place in (10, len(words) // 2, len(words) - 20):
            query = " ".join(words[place : place + 12])
            assert query.split()[3] in index.search(query, plan=plan)[0].passage
