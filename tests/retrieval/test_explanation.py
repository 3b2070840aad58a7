"""Why a hit was found, told in the tokens of real tokenizers."""

import numpy as np
import pytest

from bge_components.backends import CheckpointSource
from bge_components.encoders import Encoder
from bge_components.retrieval import HybridIndex, IndexSettings, QueryPlan, TokenSettings
from bge_components.similarity import late_interaction
from bge_components.vectors import TokenVectors

TEXTS = ["The eel swims up the cold river.", "A hen lays one egg a day.", "The roof is warm in summer."]
EXACT = IndexSettings(multi=TokenSettings(storage="float32"))


@pytest.fixture(scope="module")
def mini(pool):
    with HybridIndex(Encoder(CheckpointSource(model="mini"), None, pool), settings=EXACT) as index:
        index.add(TEXTS)
        yield index


def test_words_that_query_and_passage_share_are_named_by_their_stems(mini):
    hit = mini.search("cold rivers and eels", explain=True)[0]
    assert {match.token for match in hit.explanation.matched["bm25"]} == {"cold", "river", "eel"}


def test_the_words_of_bm25_add_up_to_its_score_with_rare_ones_first(mini):
    hit = mini.search("The cold river", explain=True, plan=QueryPlan(channels=("bm25",)))[0]
    matched = hit.explanation.matched["bm25"]
    products = [match.query_weight * match.passage_weight for match in matched]
    assert sum(products) == pytest.approx(hit.parts["bm25"].score, rel=1e-4)
    assert {match.token for match in matched[:2]} == {"cold", "river"}
    assert matched[2].token == "the"


def test_late_interaction_tells_which_token_met_which(mini):
    hit = mini.search("cold rivers", explain=True)[0]
    assert hit.explanation.alignment.query_tokens == ("cold", "rivers", "[SEP]")
    assert hit.explanation.alignment.passage_tokens[:3] == ("the", "eel", "swim")
    nearest = {mine: its for mine, its, _ in hit.explanation.alignment.pairs()}
    assert nearest["cold"] == "cold"
    assert nearest["rivers"] == "river"


def test_the_alignment_adds_up_to_the_score(mini):
    hit = mini.search("cold rivers", explain=True)[0]
    best = hit.explanation.alignment.cosines.max(axis=1).mean()
    assert best == pytest.approx(hit.parts["multi"].score, abs=1e-5)
    encoder = mini.encoder
    query = encoder.encode(["cold rivers"], "query", ["multi"]).multi
    passage = encoder.encode([hit.text], outputs=["multi"]).multi
    expected = late_interaction(query[0], TokenVectors.from_rows([passage[0]], passage.dim))
    assert hit.parts["multi"].score == pytest.approx(float(expected[0]), abs=2e-3)


def test_tokens_of_the_sparse_head_are_named_as_the_vocabulary_spells_them(pool, tiny_m3):
    encoder = Encoder(CheckpointSource(model=str(tiny_m3), dtype="float32"), None, pool)
    with HybridIndex(encoder, settings=EXACT) as index:
        index.add(TEXTS)
        for hit in index.search(TEXTS[0], explain=True):
            matched = hit.explanation.matched.get("sparse", ())
            products = [match.query_weight * match.passage_weight for match in matched]
            assert products == sorted(products, reverse=True)
            assert np.sum(products) == pytest.approx(hit.parts["sparse"].score or 0, abs=1e-5)
            vocabulary = set(encoder.tokens_of(encoder.encode([hit.text], outputs=["sparse"]).sparse.indices))
            assert {match.token for match in matched} <= vocabulary
