"""The index's scores against FlagEmbedding's own, for the same pairs on the same tiny checkpoint."""

import pytest

from bge_components.backends import CheckpointSource
from bge_components.encoders import Encoder, EncoderSettings
from bge_components.retrieval import (
    M3_SUM,
    Document,
    HybridIndex,
    IndexSettings,
    QueryPlan,
    TokenSettings,
    WeightedSum,
)
from support.golden import PAIRS, TOLERANCE, golden

KEPT = IndexSettings(channels=("dense", "sparse", "multi"), multi=TokenSettings(storage="float32"))
WITHOUT_TOKENS = {"dense": 0.4, "sparse": 0.2}


@pytest.fixture(scope="module")
def index(pool, parity_models):
    settings = EncoderSettings(max_tokens=512, on_truncation="ignore")
    source = CheckpointSource(model=str(parity_models("bge-m3")), dtype="float32")
    with HybridIndex(Encoder(source, settings, pool), settings=KEPT) as index:
        index.add(Document(id=str(place), text=text) for place, (_, text) in enumerate(PAIRS))
        yield index


@pytest.mark.parametrize("place", range(len(PAIRS)))
def test_the_five_scores_of_m3_equal_flagembedding(index, place):
    expected = {name: scores[place] for name, scores in golden("5.23.0", "bge-m3_full")["score"].items()}

    def found(plan):
        hits = index.search(PAIRS[place][0], plan=plan)
        return next(hit for hit in hits if hit.id == str(place))

    everything = found(QueryPlan(fusion=M3_SUM))
    parts = {name: part.score for name, part in everything.parts.items()}
    assert parts["dense"] == pytest.approx(expected["dense"], abs=TOLERANCE)
    assert parts["sparse"] == pytest.approx(expected["sparse"], abs=TOLERANCE)
    assert parts["multi"] == pytest.approx(expected["colbert"], abs=TOLERANCE)
    assert everything.fused == pytest.approx(expected["colbert+sparse+dense"], abs=TOLERANCE)
    sums = WeightedSum(weights=WITHOUT_TOKENS, normalization="none")
    assert found(QueryPlan(fusion=sums, late_interaction=0)).fused == pytest.approx(
        expected["sparse+dense"], abs=TOLERANCE
    )
