"""The published numbers: what the real weights gave, copied from where they were printed; nothing measured by us."""

from __future__ import annotations

from .examples import (
    Example,
    LexicalWeightsExample,
    PairScoresExample,
    RerankExample,
    Row,
    SimilarityExample,
    VectorExample,
)

_FLAG = "FlagOpen/FlagEmbedding@7ed43d6, "
_FASTEMBED = "qdrant/fastembed@c48247f, "

_M3_QUERIES = ("What is BGE M3?", "Defination of BM25")
_M3_PASSAGES = (
    "BGE M3 is an embedding model supporting dense retrieval, lexical matching and multi-vector interaction.",
    "BM25 is a bag-of-words retrieval function that ranks a set of documents based on the query terms "
    "appearing in each document",
)
_CAPITALS = ("What is the capital of France?", "What is the population of China?")
_CAPITAL_PASSAGES = (
    "Paris is the capital of France.",
    "The population of China is over 1.4 billion people.",
)
_CAPITAL_PAIRS = tuple((query, passage) for query in _CAPITALS for passage in _CAPITAL_PASSAGES)
_PANDA_PAIRS = (
    ("query", "passage"),
    ("what is panda?", "hi"),
    (
        "what is panda?",
        "The giant panda (Ailuropoda melanoleuca), sometimes called a panda bear or simply panda, is a bear "
        "species endemic to China.",
    ),
)

BGE_M3: tuple[Example, ...] = (
    SimilarityExample(
        source=_FLAG + "research/BGE_M3/README.md",
        tolerance=2e-3,
        queries=_M3_QUERIES,
        passages=_M3_PASSAGES,
        matrix=((0.6265, 0.3477), (0.3499, 0.678)),
    ),
    LexicalWeightsExample(
        source=_FLAG + "research/BGE_M3/README.md",
        tolerance=2e-3,
        texts=_M3_QUERIES,
        weights=(
            {"What": 0.08356, "is": 0.0814, "B": 0.1296, "GE": 0.252, "M": 0.1702, "3": 0.2695, "?": 0.04092},
            {"De": 0.05005, "fin": 0.1368, "ation": 0.04498, "of": 0.0633, "BM": 0.2515, "25": 0.3335},
        ),
    ),
    PairScoresExample(
        source=_FLAG + "research/BGE_M3/README.md",
        tolerance=2e-3,
        pairs=tuple((query, passage) for query in _M3_QUERIES for passage in _M3_PASSAGES),
        weights=(0.4, 0.2, 0.4),
        dense=(0.6259765625, 0.347412109375, 0.349853515625, 0.67822265625),
        sparse=(0.195556640625, 0.00879669189453125, 0.0, 0.1802978515625),
        multi=(0.7796499729156494, 0.4621465802192688, 0.4523794651031494, 0.7898575067520142),
        sparse_dense=(0.482503205537796, 0.23454029858112335, 0.2332356721162796, 0.5122477412223816),
        all=(0.6013619303703308, 0.3255828022956848, 0.32089319825172424, 0.6232916116714478),
    ),
)

LLM_EMBEDDER: tuple[Example, ...] = (
    SimilarityExample(
        source=_FLAG + "research/llm_embedder/README.md (fp32)",
        tolerance=1e-3,
        queries=("test query 1", "test query 2"),
        passages=("test key 1", "test key 2"),
        matrix=((0.8971, 0.8534), (0.8462, 0.9091)),
        task="qa",
    ),
)

BGE_RERANKER_BASE: tuple[Example, ...] = (
    RerankExample(
        source=_FASTEMBED + "tests/test_text_cross_encoder.py (ONNX)",
        tolerance=1e-2,
        pairs=(
            ("What is the capital of France?", "Paris is the capital of France."),
            ("What is the capital of France?", "Berlin is the capital of Germany."),
        ),
        raw=(6.15733337, -3.65939403),
    ),
)

BGE_RERANKER_LARGE: tuple[Example, ...] = (
    RerankExample(
        source=_FLAG + "examples/inference/reranker/encoder_only/base_single_device.py",
        tolerance=5e-2,
        pairs=_CAPITAL_PAIRS,
        raw=(7.9765625, -6.84375, -7.15625, 5.453125),
    ),
    RerankExample(
        source=_FLAG + "examples/inference/reranker/README.md",
        tolerance=5e-2,
        pairs=_PANDA_PAIRS,
        raw=(-1.5263671875, -5.60546875, 5.76171875),
        sigmoid=(0.1785258315203034, 0.0036642203307843528, 0.9968641641227171),
    ),
)

BGE_RERANKER_V2_M3: tuple[Example, ...] = (
    RerankExample(
        source=_FLAG + "examples/inference/reranker/README.md",
        tolerance=5e-2,
        pairs=_PANDA_PAIRS,
        raw=(-5.65234375, -8.1875, 5.26171875),
        sigmoid=(0.003497010252573502, 0.00027803096387751553, 0.9948403768236574),
    ),
)


def _hello_world(*first: float) -> VectorExample:
    source = _FASTEMBED + "tests/test_text_onnx_embeddings.py (ONNX)"
    return VectorExample(source=source, tolerance=1e-3, text="hello world", first=first)


def _capitals(*matrix: Row) -> SimilarityExample:
    return SimilarityExample(
        source=_FLAG + "examples/inference/embedder/encoder_only/base_single_device.py",
        tolerance=2e-3,
        queries=_CAPITALS,
        passages=_CAPITAL_PASSAGES,
        matrix=matrix,
    )


EMBEDDERS: dict[str, tuple[Example, ...]] = {
    "BAAI/bge-m3": BGE_M3,
    "BAAI/llm-embedder": LLM_EMBEDDER,
    "BAAI/bge-small-en": (_hello_world(-0.0232, -0.0255, 0.0174, -0.0639, -0.0006),),
    "BAAI/bge-small-en-v1.5": (
        _capitals((0.7944, 0.4492), (0.58, 0.801)),
        _hello_world(0.01522374, -0.02271799, 0.00860278, -0.07424029, 0.00386434),
    ),
    "BAAI/bge-small-zh-v1.5": (_hello_world(-0.01023294, 0.07634465, 0.0691722, -0.04458365, -0.03160762),),
    "BAAI/bge-base-en": (_hello_world(0.0115, 0.0372, 0.0295, 0.0121, 0.0346),),
    "BAAI/bge-base-en-v1.5": (_hello_world(0.01129394, 0.05493144, 0.02615099, 0.00328772, 0.02996045),),
    "BAAI/bge-large-en-v1.5": (_hello_world(0.03434538, 0.03316108, 0.02191251, -0.03713358, -0.01577825),),
    "thenlper/gte-base": (_hello_world(0.0038, 0.0355, 0.0181, 0.0092, 0.0654),),
    "thenlper/gte-large": (_hello_world(-0.00986551, -0.00018734, 0.00605892, -0.03289612, -0.0387564),),
}

RERANKERS: dict[str, tuple[Example, ...]] = {
    "BAAI/bge-reranker-base": BGE_RERANKER_BASE,
    "BAAI/bge-reranker-large": BGE_RERANKER_LARGE,
    "BAAI/bge-reranker-v2-m3": BGE_RERANKER_V2_M3,
}
