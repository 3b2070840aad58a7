"""Nodes in, nodes out: the text of a node that is scored, and new scored nodes around the caller's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llama_index.core.bridge.pydantic import Field
from llama_index.core.schema import MetadataMode, NodeWithScore

from ..errors import InputTypeError
from ..vectors import Ranking


class RerankedNode(NodeWithScore):
    """A node with the score of the reranker and, beside it, that of the retriever.

    The retrieval score stands here and not in the node's metadata: there it would change the node's hash, by which
    fusion finds duplicates, and excluding its key from the prompts would mean writing into the node.
    """

    retrieval_score: float | None = Field(default=None, description="The score before the first reranker.")

    @classmethod
    def class_name(cls) -> str:
        """Name for serialisation."""
        return "RerankedNode"


def checked_nodes(nodes: Any) -> list[NodeWithScore]:
    """Give the nodes as a list.

    Raises:
        InputTypeError: If they are no list of `NodeWithScore`; the message names the place.
    """
    if not isinstance(nodes, Sequence) or isinstance(nodes, (str, bytes)):
        raise InputTypeError(f"nodes must be a list of NodeWithScore, got {type(nodes).__name__}")
    for index, node in enumerate(nodes):
        if not isinstance(node, NodeWithScore):
            raise InputTypeError(f"nodes[{index}] must be a NodeWithScore, got {type(node).__name__}")
    return list(nodes)


def texts_of(nodes: Sequence[NodeWithScore], mode: MetadataMode) -> list[str]:
    """Give the text of each node, with the metadata that `mode` shows."""
    return [node.node.get_content(metadata_mode=mode) or "" for node in nodes]


def rescored(
    nodes: Sequence[NodeWithScore], ranking: Ranking, *, keep_retrieval_score: bool
) -> list[NodeWithScore]:
    """Give new scored nodes in the order of the ranking; the nodes inside are the caller's, untouched.

    Args:
        nodes: What was ranked.
        ranking: Places in `nodes` and their scores.
        keep_retrieval_score: Give `RerankedNode`s that hold the score from before, of the first reranker in a row.
    """
    if not keep_retrieval_score:
        return [nodes[index].model_copy(update={"score": score}) for index, score in ranking]
    return [
        RerankedNode(node=nodes[index].node, score=score, retrieval_score=_before(nodes[index]))
        for index, score in ranking
    ]


def _before(node: NodeWithScore) -> float | None:
    return node.retrieval_score if isinstance(node, RerankedNode) else node.score
