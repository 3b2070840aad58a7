"""Hybrid retrieval: an index of dense, sparse and token vectors, and plans of how to search it."""

from .bm25 import Bm25Settings
from .contracts import Capabilities, Channel, ChannelKind, Engine, Found, Passage, Point, Window
from .documents import Document
from .engines.memory import MemoryEngine
from .filters import And, Equals, Exists, Filter, In, IsDocument, IsHead, Not, Or, Range, parsed_filter
from .fusion import M3_SUM, Fusion, ReciprocalRank, WeightedSum
from .hits import Alignment, Explanation, Hit, MatchedToken, Part
from .index import HybridIndex
from .ingest import IngestReport
from .plan import Diversity, Query, QueryPlan, Rerank
from .settings import DenseSettings, IndexSettings, TokenSettings

__all__ = [
    "M3_SUM",
    "Alignment",
    "And",
    "Bm25Settings",
    "Capabilities",
    "Channel",
    "ChannelKind",
    "DenseSettings",
    "Diversity",
    "Document",
    "Engine",
    "Equals",
    "Exists",
    "Explanation",
    "Filter",
    "Found",
    "Fusion",
    "Hit",
    "HybridIndex",
    "In",
    "IndexSettings",
    "IngestReport",
    "IsDocument",
    "IsHead",
    "MatchedToken",
    "MemoryEngine",
    "Not",
    "Or",
    "Part",
    "Passage",
    "Point",
    "Query",
    "QueryPlan",
    "Range",
    "ReciprocalRank",
    "Rerank",
    "TokenSettings",
    "WeightedSum",
    "Window",
    "parsed_filter",
]
