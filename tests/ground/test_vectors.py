from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from bge_components.errors import InputError, MissingOutputError
from bge_components.vectors import (
    DenseVectors,
    Encoding,
    Ranking,
    SparseVectors,
    TokenVectors,
    normalized,
    sigmoid,
)

Float32 = NDArray[np.float32]


def random_rows(n: int, dim: int, seed: int = 0) -> Float32:
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


class TestNormalisation:
    def test_rows_get_unit_length_and_keep_their_direction(self) -> None:
        rows = random_rows(50, 33) * 1000

        unit = normalized(rows)

        np.testing.assert_allclose(np.linalg.norm(unit, axis=1), 1, atol=1e-6)
        np.testing.assert_allclose(unit * np.linalg.norm(rows, axis=1, keepdims=True), rows, rtol=1e-5)

    def test_a_row_of_zeros_stays_zero(self) -> None:
        unit = normalized(np.array([[0, 0], [3, 4]], np.float32))

        np.testing.assert_allclose(unit, [[0, 0], [0.6, 0.8]], atol=1e-7)

    def test_the_result_is_float32_and_the_input_untouched(self) -> None:
        rows = np.array([[3.0, 4.0]])

        assert normalized(rows).dtype == np.float32  # type: ignore[arg-type]
        assert rows.tolist() == [[3.0, 4.0]]

    def test_no_rows_give_no_rows(self) -> None:
        assert normalized(np.zeros((0, 4), np.float32)).shape == (0, 4)


class TestSigmoid:
    def test_it_is_the_logistic_function(self) -> None:
        x = np.linspace(-12, 12, 101).astype(np.float32)

        np.testing.assert_allclose(sigmoid(x), 1 / (1 + np.exp(-x.astype(np.float64))), rtol=1e-5)

    def test_far_out_it_neither_overflows_nor_leaves_its_range(self) -> None:
        with np.errstate(over="raise", invalid="raise"):
            values = sigmoid(np.array([-1e4, -100, 0, 100, 1e4], np.float32))

        assert values.dtype == np.float32
        assert values[[0, 2, 4]].tolist() == [0.0, 0.5, 1.0]
        assert (np.diff(values) >= 0).all()


class TestDenseVectors:
    def test_truncation_keeps_the_first_dimensions_at_unit_length(self) -> None:
        vectors = DenseVectors(normalized(random_rows(20, 64)))

        short = vectors.truncated(16)

        assert short.dim == 16
        np.testing.assert_allclose(np.linalg.norm(short.values, axis=1), 1, atol=1e-6)
        head = vectors.values[:, :16]
        np.testing.assert_allclose(
            short.values, head / np.linalg.norm(head, axis=1, keepdims=True), atol=1e-6
        )
        assert vectors.dim == 64

    @pytest.mark.parametrize("dim", [0, -1, 5])
    def test_truncation_to_what_is_not_there_is_refused(self, dim: int) -> None:
        with pytest.raises(InputError, match=f"between 1 and 4, got {dim}"):
            DenseVectors(random_rows(1, 4)).truncated(dim)

    def test_lists_hold_plain_floats_of_the_same_value(self) -> None:
        vectors = DenseVectors(random_rows(3, 5))

        rows = vectors.tolist()

        assert {type(value) for row in rows for value in row} == {float}
        assert np.array_equal(np.array(rows, np.float32), vectors.values)

    def test_it_has_a_length_and_rows(self) -> None:
        vectors = DenseVectors(random_rows(3, 5))

        assert len(vectors) == 3
        assert np.array_equal(vectors[1], vectors.values[1])


class TestQuantisation:
    def test_int8_restores_every_value_to_half_a_step(self) -> None:
        vectors = DenseVectors(random_rows(40, 48))

        small = vectors.quantized("int8")

        assert small.values.dtype == np.int8
        assert small.scales is not None
        restored = small.values * small.scales[:, None]
        assert np.all(np.abs(restored - vectors.values) <= small.scales[:, None] * 0.501)
        assert np.all(np.abs(small.values).max(axis=1) == 127)

    def test_int8_of_a_row_of_zeros_is_zero(self) -> None:
        small = DenseVectors(np.zeros((1, 4), np.float32)).quantized("int8")

        assert small.values.tolist() == [[0, 0, 0, 0]]

    @pytest.mark.parametrize("dim", [8, 12, 384])
    def test_binary_is_one_bit_per_positive_dimension(self, dim: int) -> None:
        vectors = DenseVectors(random_rows(10, dim))

        small = vectors.quantized("binary")

        bits = np.unpackbits(small.values.view(np.uint8), axis=1)
        assert small.values.shape == (10, -(-dim // 8))
        assert np.array_equal(bits[:, :dim], vectors.values > 0)
        assert not bits[:, dim:].any()
        assert (small.dim, small.scales, len(small)) == (dim, None, 10)

    def test_binary_counts_zero_as_off(self) -> None:
        small = DenseVectors(np.array([[0.0, -0.0, 1e-30, -1.0]], np.float32)).quantized("binary")

        assert small.values.tolist() == [[0b00100000]]

    def test_binary_equals_sentence_transformers(self) -> None:
        from sentence_transformers.util import quantize_embeddings

        rows = random_rows(16, 64)

        theirs = quantize_embeddings(rows, precision="ubinary")

        assert np.array_equal(DenseVectors(rows).quantized("binary").values, theirs)

    def test_another_kind_is_refused(self) -> None:
        with pytest.raises(InputError, match="'int4'"):
            DenseVectors(random_rows(1, 4)).quantized("int4")  # type: ignore[arg-type]

    @pytest.mark.parametrize("kind", ["int8", "binary"])
    def test_no_vectors_give_no_vectors(self, kind: str) -> None:
        assert len(DenseVectors(np.zeros((0, 8), np.float32)).quantized(kind)) == 0  # type: ignore[arg-type]


class TestSparseVectors:
    ROWS = (
        (np.array([2, 7], np.int32), np.array([0.5, 0.25], np.float32)),
        (np.array([], np.int32), np.array([], np.float32)),
        (np.array([1], np.int32), np.array([3.0], np.float32)),
    )

    def test_rows_go_in_and_come_out(self) -> None:
        vectors = SparseVectors.from_rows(self.ROWS)

        assert len(vectors) == 3
        assert vectors.indptr.tolist() == [0, 2, 2, 3]
        for index, (ids, weights) in enumerate(self.ROWS):
            assert np.array_equal(vectors.row(index)[0], ids)
            assert np.array_equal(vectors.row(index)[1], weights)

    def test_dictionaries_hold_plain_numbers(self) -> None:
        found = SparseVectors.from_rows(self.ROWS).todicts()

        assert found == [{2: 0.5, 7: 0.25}, {}, {1: 3.0}]
        assert {(type(key), type(value)) for row in found for key, value in row.items()} == {(int, float)}

    def test_going_through_it_gives_each_row_once(self) -> None:
        vectors = SparseVectors.from_rows(self.ROWS)

        assert list(vectors) == [vectors[0], vectors[1], vectors[2]]

    def test_dictionaries_make_the_same_vectors_again(self) -> None:
        vectors = SparseVectors.from_rows(self.ROWS)

        again = SparseVectors.from_rows(
            [(np.array([*row], np.int32), np.array([*row.values()], np.float32)) for row in vectors.todicts()]
        )

        assert again.todicts() == vectors.todicts()
        assert (again.indices.dtype, again.weights.dtype) == (np.int32, np.float32)

    def test_no_rows_give_no_rows(self) -> None:
        vectors = SparseVectors.from_rows([])

        assert len(vectors) == 0
        assert vectors.todicts() == []


class TestTokenVectors:
    def test_rows_go_in_and_come_out(self) -> None:
        rows = [random_rows(3, 4), random_rows(0, 4), random_rows(2, 4, seed=1)]

        vectors = TokenVectors.from_rows(rows, dim=4)

        assert (len(vectors), vectors.dim) == (3, 4)
        assert vectors.offsets.tolist() == [0, 3, 3, 5]
        assert all(np.array_equal(got, row) for got, row in zip(vectors, rows, strict=True))

    def test_no_rows_keep_their_dimension(self) -> None:
        vectors = TokenVectors.from_rows([], dim=4)

        assert (len(vectors), vectors.dim, vectors.values.shape) == (0, 4, (0, 4))


class TestEncoding:
    @pytest.mark.parametrize("output", ["dense", "sparse", "multi"])
    def test_an_output_that_was_not_asked_for_is_named(self, output: str) -> None:
        encoding = Encoding(tokens=np.array([3, 4]))

        assert len(encoding) == 2
        with pytest.raises(MissingOutputError, match=output):
            getattr(encoding, f"need_{output}")()

    def test_an_output_that_was_asked_for_is_given(self) -> None:
        dense = DenseVectors(random_rows(1, 4))

        assert Encoding(tokens=np.array([3]), dense=dense).need_dense() is dense


class TestRanking:
    def test_the_best_comes_first(self) -> None:
        ranking = Ranking.of(np.array([0.1, 0.9, 0.5], np.float32), "sigmoid")

        assert ranking.indices == (1, 2, 0)
        np.testing.assert_allclose(ranking.scores, [0.9, 0.5, 0.1], rtol=1e-6)
        assert ranking.scale == "sigmoid"

    def test_ties_keep_the_order_given(self) -> None:
        scores = np.zeros(1000, np.float32)
        scores[500] = 1

        assert Ranking.of(scores, "raw").indices == (500, *range(500), *range(501, 1000))

    def test_going_through_it_gives_plain_numbers(self) -> None:
        pairs = list(Ranking.of(np.array([0.25, 0.5], np.float32), "raw"))

        assert pairs == [(1, 0.5), (0, 0.25)]
        assert {(type(index), type(score)) for index, score in pairs} == {(int, float)}

    @pytest.mark.parametrize(("top_n", "kept"), [(None, 3), (0, 0), (1, 1), (3, 3), (99, 3)])
    def test_top_n_keeps_that_many_or_all_there_are(self, top_n: int | None, kept: int) -> None:
        ranking = Ranking.of(np.array([0.1, 0.9, 0.5], np.float32), "raw")

        best = ranking.best(top_n)

        assert best.indices == (1, 2, 0)[:kept]
        assert len(best.scores) == len(best) == kept

    @pytest.mark.parametrize(("threshold", "kept"), [(0.5, 2), (0.500001, 1), (-1.0, 3), (2.0, 0)])
    def test_a_score_at_the_threshold_is_kept(self, threshold: float, kept: int) -> None:
        ranking = Ranking.of(np.array([0.125, 0.875, 0.5], np.float32), "raw")

        assert len(ranking.best(threshold=threshold)) == kept

    def test_top_n_and_threshold_both_hold(self) -> None:
        ranking = Ranking.of(np.array([0.1, 0.9, 0.5], np.float32), "raw")

        assert ranking.best(1, 0.2).indices == (1,)
        assert ranking.best(3, 0.2).indices == (1, 2)
        assert ranking.best(3, 0.2).scale == "raw"

    def test_no_texts_give_an_empty_ranking(self) -> None:
        ranking = Ranking.of(np.zeros(0, np.float32), "sigmoid")

        assert (len(ranking), list(ranking), len(ranking.best(5, 0.5))) == (0, [], 0)
