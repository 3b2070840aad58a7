"""Tests that encode a whole retrieval set: minutes where the processor has AMX, far longer where it has not."""

from __future__ import annotations

import os

import pytest
import torch

_HAS_AMX = bool(getattr(torch.cpu, "_is_amx_tile_supported", bool)())

encodes_a_whole_set = pytest.mark.skipif(
    not _HAS_AMX and not os.environ.get("BGE_PATIENT"),
    reason="takes many minutes on a processor without AMX; set BGE_PATIENT=1 to run it all the same",
)
