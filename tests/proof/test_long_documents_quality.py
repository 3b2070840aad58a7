"""What windows and late chunks are worth on real long documents: transcripts of meetings, 13,000 tokens each."""

import sys

import numpy as np

from bge_components import EncoderSettings, make_encoder
from bge_components.retrieval import Document, HybridIndex, IndexSettings, QueryPlan
from support.patience import encodes_a_whole_set
from support.shared import REPOSITORY, shared_path

sys.path.insert(0, str(REPOSITORY / "tools"))
from evaluate_retrieval import ndcg, read_set

pytestmark = encodes_a_whole_set

MEETINGS = 8
DENSE = QueryPlan(channels=("dense",))


def searched(data, meetings, settings):
    with HybridIndex(
        make_encoder("mini", EncoderSettings(on_truncation="ignore")), settings=settings
    ) as index:
        index.add(Document(id=name, text=data.passages[name]) for name in meetings)
        queries = {
            name: text for name, text in data.queries.items() if set(data.judged[name]) & set(meetings)
        }
        hits = index.search_batch(list(queries.values()), plan=DENSE)
        for found in hits:
            assert len({hit.id for hit in found}) == len(found)
            assert all(hit.text == data.passages[hit.id] and hit.passage in hit.text for hit in found)
        gains = [ndcg([hit.id for hit in found], data.judged[name]) for name, found in zip(queries, hits)]
        return float(np.mean(gains))


def test_a_meeting_is_found_by_what_was_said_after_its_first_minute():
    data = read_set(shared_path("data", "retrieval", "qmsum-val"))
    meetings = sorted(data.passages)[:MEETINGS]
    cut = searched(data, meetings, IndexSettings(channels=("dense",), long_documents="cut"))
    windows = searched(data, meetings, IndexSettings(channels=("dense",)))
    late = IndexSettings(channels=("dense",), long_documents="late-chunking", window_tokens=64)
    chunks = searched(data, meetings, late)
    assert windows >= cut + 0.1
    assert chunks >= cut + 0.1
