"""How vectors are compared: cosine, lexical overlap and late interaction, all in fp32."""

from __future__ import annotations

import numpy as np

from .vectors import Float32, SparseVectors, TokenVectors


def dense_scores(queries: Float32, documents: Float32) -> Float32:
    """Compare rows pairwise by dot product, which is the cosine for unit vectors.

    Args:
        queries: float32 array, shape (n, dim).
        documents: float32 array, shape (n, dim).

    Returns:
        float32 array, shape (n,).
    """
    return np.asarray(np.einsum("nd,nd->n", queries, documents, dtype=np.float32), dtype=np.float32)


def lexical_score(queries: SparseVectors, query: int, documents: SparseVectors, document: int) -> float:
    """Sum the products of the weights of shared token ids (BGE-M3, arXiv:2402.03216, section 3.2)."""
    query_ids, query_weights = queries.row(query)
    document_ids, document_weights = documents.row(document)
    _, left, right = np.intersect1d(query_ids, document_ids, assume_unique=True, return_indices=True)
    return float(np.dot(query_weights[left], document_weights[right]))


def late_interaction(query: Float32, documents: TokenVectors) -> Float32:
    """Score documents by the mean over query tokens of the best cosine with any document token.

    The mean, not the sum, as BGE-M3 has it (arXiv:2402.03216, section 3.2, multi-vector retrieval); it ranks as
    the sum does, and scores of queries of different lengths stay comparable.

    Args:
        query: float32 array, shape (query tokens, dim), unit rows.
        documents: Token vectors of the documents, unit rows.

    Returns:
        float32 array, shape (len(documents),); 0 where a side has no token.
    """
    scores = np.zeros(len(documents), dtype=np.float32)
    filled = np.flatnonzero(np.diff(documents.offsets))
    if not len(filled) or not len(query):
        return scores
    cosines = documents.values @ query.T  # (document tokens, query tokens)
    best = np.maximum.reduceat(cosines, documents.offsets[filled], axis=0)  # (filled documents, query tokens)
    scores[filled] = best.mean(axis=1, dtype=np.float32)
    return scores
