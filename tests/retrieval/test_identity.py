from __future__ import annotations

from uuid import UUID, uuid5

from bge_components.retrieval.identity import NAMESPACE, point_uuid


def test_the_id_of_a_document_never_changes() -> None:
    assert point_uuid("doc-1") == uuid5(NAMESPACE, "0:doc-1")
    assert point_uuid("doc-1", 3) == uuid5(NAMESPACE, "3:doc-1")
    assert UUID("5f0c7a52-6d0b-5c33-9f55-0b9e3a2c61d4") == NAMESPACE


def test_every_string_has_an_id_of_its_own() -> None:
    documents = ["", "a", "a#1", "1:a", "0:a", ":a", "a\x00", "a\n", "é", "e\u0301", "?"]
    documents += ["\ud83d\ude00", "\U0001f600", "\udcff"]
    ids = {point_uuid(document, window) for document in documents for window in (0, 1, 10)}
    assert len(ids) == 3 * len(documents)
