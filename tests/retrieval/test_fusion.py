"""Fusion against hand computation, and against what Qdrant's client computes for the same lists."""

import math

import numpy as np
import pytest

from bge_components.catalogue import find
from bge_components.catalogue.examples import PairScoresExample
from bge_components.errors import InputError
from bge_components.retrieval.fusion import M3_SUM, ReciprocalRank, WeightedSum, ranks_of

NAN = math.nan


def table(*rows):
    return np.array(rows, dtype=np.float32)


def test_reciprocal_rank_is_the_formula_of_the_paper():
    ranks = table((1, 3), (2, NAN), (NAN, 1))
    fused = ReciprocalRank().fuse(("dense", "sparse"), ranks, ranks)
    assert fused == pytest.approx([1 / 61 + 1 / 63, 1 / 62, 1 / 61])


def test_weights_of_reciprocal_rank_count_and_unnamed_ones_are_one():
    fused = ReciprocalRank(weights={"sparse": 3}, k=0).fuse(("dense", "sparse"), table((1, 2)), table((1, 2)))
    assert fused == pytest.approx([1 + 3 / 2])


def test_min_max_maps_each_channel_to_zero_and_one():
    scores = table((10, 0.2), (20, 0.1), (15, 0.3))
    fused = WeightedSum(normalization="min-max").fuse(("bm25", "dense"), scores, scores)
    assert fused == pytest.approx([(0 + 0.5) / 2, (1 + 0) / 2, (0.5 + 1) / 2])


def test_z_score_subtracts_the_mean_and_divides_by_the_deviation():
    scores = table((1,), (2,), (3,))
    fused = WeightedSum(normalization="z-score").fuse(("dense",), scores, scores)
    assert fused == pytest.approx([-math.sqrt(1.5), 0, math.sqrt(1.5)])


def test_distribution_maps_three_deviations_to_zero_and_one():
    scores = table((1,), (2,), (3,))
    fused = WeightedSum(normalization="distribution").fuse(("dense",), scores, scores)
    deviation = math.sqrt(2 / 3)
    assert fused == pytest.approx([0.5 - 1 / (6 * deviation), 0.5, 0.5 + 1 / (6 * deviation)])


def test_a_missing_score_counts_as_the_lowest():
    scores = table((1.0, 0.5), (3.0, NAN), (2.0, 0.7))
    fused = WeightedSum(normalization="min-max").fuse(("dense", "sparse"), scores, scores)
    assert fused == pytest.approx([0.0, 0.5, 0.75])


@pytest.mark.parametrize("normalization", ["min-max", "z-score", "distribution"])
def test_equal_scores_of_a_channel_do_not_decide_anything(normalization):
    scores = table((0.1, 0.7), (0.1, 0.9), (0.1, 0.8))
    fused = WeightedSum(normalization=normalization).fuse(("dense", "sparse"), scores, scores)
    assert np.isfinite(fused).all()
    assert np.argsort(-fused).tolist() == [1, 2, 0]


def test_a_channel_that_knows_nobody_changes_nothing():
    scores = table((0.3, NAN), (0.2, NAN))
    fused = WeightedSum(normalization="none").fuse(("dense", "sparse"), scores, scores)
    assert fused == pytest.approx([0.15, 0.1])


def test_the_sums_of_m3_are_what_its_authors_published():
    examples = find("BAAI/bge-m3").examples
    published = next(one for one in examples if isinstance(one, PairScoresExample))
    parts = np.column_stack((published.dense, published.sparse, published.multi)).astype(np.float32)
    fused = M3_SUM.fuse(("dense", "sparse", "multi"), parts, parts)
    assert fused == pytest.approx(published.all, abs=2e-4)
    assert M3_SUM.fuse(("dense", "sparse"), parts[:, :2], parts) == pytest.approx(
        published.sparse_dense, abs=2e-4
    )


def test_ranks_are_stable_and_leave_out_what_has_no_score():
    assert ranks_of(table(0.5, NAN, 0.9, 0.5)).tolist() == pytest.approx([2, NAN, 1, 3], nan_ok=True)


@pytest.mark.parametrize("weights", [{"dense": -1}, {"dense": NAN}, {"dense": "1"}, {"dense": True}])
def test_weights_that_make_no_sense_are_refused(weights):
    for kind in (ReciprocalRank, WeightedSum):
        with pytest.raises(InputError):
            kind(weights=weights)


def test_an_unknown_normalization_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="min-max"):
        WeightedSum(normalization="softmax")


def test_no_candidate_gives_no_score():
    empty = np.zeros((0, 2), dtype=np.float32)
    for fusion in (ReciprocalRank(), WeightedSum()):
        assert fusion.fuse(("dense", "sparse"), empty, empty).shape == (0,)


def test_channels_that_all_weigh_nothing_still_recall_for_a_later_stage():
    scores = table((0.9, 0.1), (0.5, 0.9), (0.8, 0.8))
    for kind in (WeightedSum, ReciprocalRank):
        fused = kind(weights={"dense": 0, "sparse": 0, "multi": 1}).fuse(
            ("dense", "sparse"), scores, 1 / scores
        )
        assert len(set(fused.tolist())) > 1
