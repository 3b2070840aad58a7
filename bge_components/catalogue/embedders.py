"""The table of embedders: BGE's own, the packaged one, and the other encoder-only names of FlagEmbedding's tables."""

from __future__ import annotations

from typing import Any

from ..contracts import Output
from . import published
from .checkpoint import Checkpoint, Family

EN_QUERY = "Represent this sentence for searching relevant passages: "
ZH_QUERY = "为这个句子生成表示以用于检索相关文章："
WEB_SEARCH_TASK = "Given a web search query, retrieve relevant passages that answer the query"

_DENSE = frozenset({Output.DENSE})
_EN = ("en",)
_ZH = ("zh",)
_MANY = ("multilingual",)

LLM_EMBEDDER_TASKS = {
    "qa": (
        "Represent this query for retrieving relevant documents: ",
        "Represent this document for retrieval: ",
    ),
    "icl": (
        "Convert this example into vector to look for useful examples: ",
        "Convert this example into vector for retrieval: ",
    ),
    "chat": (
        "Embed this dialogue to find useful historical dialogues: ",
        "Embed this historical dialogue for retrieval: ",
    ),
    "lrlm": (
        "Embed this text chunk for finding useful historical chunks: ",
        "Embed this historical text chunk for retrieval: ",
    ),
    "tool": (
        "Transform this user request for fetching helpful tool descriptions: ",
        "Transform this tool description for retrieval: ",
    ),
    "convsearch": (
        "Encode this query and context for searching relevant passages: ",
        "Encode this passage for retrieval: ",
    ),
}


def _embedder(name: str, dim: int, parameters: float, languages: tuple[str, ...], **other: Any) -> Checkpoint:
    """Give a BERT of 512 tokens with one normalised CLS vector and the MIT licence, but for what `other` says."""
    facts: dict[str, Any] = {
        "family": Family.EMBEDDER,
        "architecture": "bert",
        "max_tokens": 512,
        "outputs": _DENSE,
        "pooling": "cls",
        "normalize": True,
        "licence": "MIT",
        "examples": published.EMBEDDERS.get(name, ()),
    }
    facts |= other
    facts.setdefault("recommended_tokens", facts["max_tokens"])
    return Checkpoint(name=name, dim=dim, parameters=parameters, languages=languages, **facts)


def _bge_en(name: str, dim: int, parameters: float) -> Checkpoint:
    return _embedder("BAAI/" + name, dim, parameters, _EN, query_instruction=EN_QUERY)


def _bge_zh(name: str, dim: int, parameters: float) -> Checkpoint:
    return _embedder("BAAI/" + name, dim, parameters, _ZH, query_instruction=ZH_QUERY)


def _m3(name: str, **other: Any) -> Checkpoint:
    return _embedder(name, 1024, 568, _MANY, architecture="xlm-roberta", max_tokens=8192, **other)


def _e5(name: str, dim: int, parameters: float, languages: tuple[str, ...], **other: Any) -> Checkpoint:
    facts: dict[str, Any] = {
        "query_instruction": "query: ",
        "document_instruction": "passage: ",
        "note": 'Reads "query: " before queries and "passage: " before documents; FlagEmbedding leaves that to '
        "the user, here it is the default.",
    }
    return _embedder("intfloat/" + name, dim, parameters, languages, pooling="mean", **(facts | other))


def _gte(name: str, dim: int, parameters: float) -> Checkpoint:
    return _embedder("thenlper/" + name, dim, parameters, _EN, pooling="mean")


def _gte_remote(name: str, dim: int, parameters: float, languages: tuple[str, ...], note: str) -> Checkpoint:
    return _embedder(
        "Alibaba-NLP/" + name,
        dim,
        parameters,
        languages,
        architecture="new",
        max_tokens=8192,
        licence="Apache-2.0",
        trust_remote_code=True,
        note="Its network is code on the hub (Alibaba-NLP/new-impl), run only with trust_remote_code=True. "
        + note,
    )


BGE = (
    _bge_en("bge-small-en-v1.5", 384, 33.4),
    _bge_en("bge-base-en-v1.5", 768, 109),
    _bge_en("bge-large-en-v1.5", 1024, 335),
    _bge_zh("bge-small-zh-v1.5", 512, 24),
    _bge_zh("bge-base-zh-v1.5", 768, 102),
    _bge_zh("bge-large-zh-v1.5", 1024, 326),
    _bge_en("bge-small-en", 384, 33.4),
    _bge_en("bge-base-en", 768, 109),
    _bge_en("bge-large-en", 1024, 335),
    _bge_zh("bge-small-zh", 512, 24),
    _bge_zh("bge-base-zh", 768, 102),
    _bge_zh("bge-large-zh", 1024, 326),
    _m3(
        "BAAI/bge-m3",
        family=Family.M3,
        outputs=frozenset({Output.DENSE, Output.SPARSE, Output.MULTI}),
        note="Dense, sparse and multi-vector from one pass; no instruction. Over 100 languages.",
    ),
    _m3(
        "BAAI/bge-m3-unsupervised",
        note="bge-m3 before its unified fine-tuning: contrastive learning only, so only its dense vector is offered. "
        "If your copy has head files, pass its folder.",
    ),
    _m3(
        "BAAI/bge-m3-retromae",
        note="XLM-RoBERTa large with 8192 positions after RetroMAE pre-training: a start for fine-tuning, no "
        "finished embedder.",
    ),
    _embedder(
        "BAAI/llm-embedder",
        768,
        109,
        _EN,
        query_instruction=LLM_EMBEDDER_TASKS["qa"][0],
        document_instruction=LLM_EMBEDDER_TASKS["qa"][1],
        tasks=LLM_EMBEDDER_TASKS,
        note="Six tasks, each with its own instruction pair; question answering (qa) unless a task is named.",
    ),
)

MINI = (
    _embedder(
        "mini",
        384,
        22.7,
        _EN,
        family=Family.M3,
        outputs=frozenset({Output.DENSE, Output.MULTI}),
        pooling="mean",
        recommended_tokens=256,
        licence="Apache-2.0",
        note="Packaged: all-MiniLM-L6-v2, in English only. For demos, tests and small jobs; real work names "
        "BAAI/bge-m3.",
    ),
)

E5 = (
    _e5("e5-small-v2", 384, 33.4, _EN),
    _e5("e5-base-v2", 768, 109, _EN),
    _e5("e5-large-v2", 1024, 335, _EN),
    _e5("e5-small", 384, 33.4, _EN),
    _e5("e5-base", 768, 109, _EN),
    _e5("e5-large", 1024, 335, _EN),
    _e5("multilingual-e5-small", 384, 118, _MANY),
    _e5("multilingual-e5-base", 768, 278, _MANY, architecture="xlm-roberta"),
    _e5("multilingual-e5-large", 1024, 560, _MANY, architecture="xlm-roberta"),
    _e5(
        "multilingual-e5-large-instruct",
        1024,
        560,
        _MANY,
        architecture="xlm-roberta",
        query_instruction=WEB_SEARCH_TASK,
        document_instruction="",
        query_format="Instruct: {}\nQuery: {}",
        note="The query instruction names the task in a sentence; web search unless another is given.",
    ),
)

GTE = (
    _gte("gte-small", 384, 33.4),
    _gte("gte-base", 768, 109),
    _gte("gte-large", 1024, 335),
    _embedder("thenlper/gte-small-zh", 512, 30.3, _ZH),
    _embedder("thenlper/gte-base-zh", 768, 102, _ZH),
    _embedder("thenlper/gte-large-zh", 1024, 326, _ZH),
    _gte_remote(
        "gte-multilingual-base",
        768,
        305,
        _MANY,
        "alibaba-nlp-community/gte-multilingual-base is named by transformers as the same in its own classes.",
    ),
    _gte_remote("gte-base-en-v1.5", 768, 137, _EN, ""),
    _gte_remote("gte-large-en-v1.5", 1024, 434, _EN, ""),
)

BCE = (
    _embedder(
        "maidalun1020/bce-embedding-base_v1",
        768,
        279,
        ("zh", "en"),
        architecture="xlm-roberta",
        licence="Apache-2.0",
        note="No instruction. The hub asks to accept its conditions first.",
    ),
)

EMBEDDERS: tuple[Checkpoint, ...] = MINI + BGE + E5 + GTE + BCE
