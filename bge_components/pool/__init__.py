"""The engine room: one shared pool of models, and the compute threads of its devices."""

from .envelope import Envelope
from .pool import ModelPool
from .progress import progress_bar
from .residents import Lease
from .shared import shared_pool, use_pool
from .stats import DeviceStats, ModelStats, PoolStats
from .steps import Steps
from .streaming import CHUNK, run_in_chunks

__all__ = [
    "CHUNK",
    "DeviceStats",
    "Envelope",
    "Lease",
    "ModelPool",
    "ModelStats",
    "PoolStats",
    "Steps",
    "progress_bar",
    "run_in_chunks",
    "shared_pool",
    "use_pool",
]
