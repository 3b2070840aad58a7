"""The engine room: one shared pool of models, one compute thread per device. The only room with threads."""

from .pool import ModelPool
from .progress import progress_bar
from .residents import Lease
from .shared import shared_pool, use_pool
from .stats import DeviceStats, ModelStats, PoolStats
from .steps import Steps

__all__ = [
    "DeviceStats",
    "Lease",
    "ModelPool",
    "ModelStats",
    "PoolStats",
    "Steps",
    "progress_bar",
    "shared_pool",
    "use_pool",
]
