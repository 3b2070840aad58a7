"""Encoders of other architectures, run by transformers' own classes: packed where that is proven right at load."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..catalogue import Checkpoint, Family
from ..contracts import Output, TokenSequence
from ..errors import BrokenCheckpointError, UnsupportedCheckpointError
from .memory import is_out_of_memory
from .packed_layers import PACKED, CannotPackError, planned, register
from .packing import Packed, Run, packed
from .weights import READ_ERRORS

log = logging.getLogger(__name__)

_HARMLESS_MISSING = ("pooler.", "position_ids")
_LONGEST_CHECK = 1024
_TOLERANCE = 2e-4
_PACKING_FAILURES = (
    CannotPackError,
    RuntimeError,
    TypeError,
    ValueError,
    IndexError,
    KeyError,
    AttributeError,
)


class StockNetwork(nn.Module):
    """A transformers model behind the same door as our own encoder.

    For an embedder it gives one hidden state per token, for a cross-encoder one logit per sequence.

    Attributes:
        packs: Whether a batch is one row; else each group of equal lengths is one batch, which needs no padding
            and is right for every architecture.
    """

    # Rotary tables that grow with the text, and code of a checkpoint's own, write to the module.
    shareable = False
    pace = None

    def __init__(self, model: nn.Module, *, scores: bool, uses_types: bool) -> None:
        super().__init__()
        self.model = model
        self.scores = scores
        self.uses_types = uses_types
        self.packs = False

    def forward(self, packed: Packed) -> Tensor:
        """Give hidden states, (tokens, width), or (sequences, width) of first tokens, or logits, (sequences, 1)."""
        states = self._row(packed) if self.packs else self._groups(packed)
        return states.index_select(0, packed.plan.first_rows) if packed.first_only else states

    def in_fp32(self) -> StockNetwork:
        """Give a copy that computes in fp32."""
        return deepcopy(self).float()

    def _row(self, packed: Packed) -> Tensor:
        with planned(packed.plan):
            given = {"position_ids": packed.plan.positions()[None], **self._typed(packed.type_ids, 1)}
            hidden: Tensor = self.model(input_ids=packed.ids[None], **given).last_hidden_state[0]
        return hidden

    def _groups(self, packed: Packed) -> Tensor:
        return torch.cat([self._group(packed, run) for run in packed.plan.runs])

    def _group(self, packed: Packed, run: Run) -> Tensor:
        types = None if packed.type_ids is None else packed.type_ids[run.tokens]
        found = self.model(
            input_ids=packed.ids[run.tokens].view(run.count, run.length), **self._typed(types, run.count)
        )
        states: Tensor = found.logits if self.scores else found.last_hidden_state.flatten(0, 1)
        return states

    def _typed(self, type_ids: Tensor | None, rows: int) -> dict[str, Tensor]:
        if type_ids is None or not self.uses_types:
            return {}
        return {"token_type_ids": type_ids.view(rows, -1)}


def load_stock(folder: Path, checkpoint: Checkpoint, *, trust_remote_code: bool) -> StockNetwork:
    """Load a checkpoint in fp32 on the CPU, and find out whether it can be run packed.

    Raises:
        UnsupportedCheckpointError: If transformers has no class for it, or it needs code of its own and the
            caller did not opt in.
        BrokenCheckpointError: If its files are unreadable, or weights are missing.
    """
    scores = checkpoint.family == Family.CROSS_ENCODER
    model = _load(folder, checkpoint, scores, trust_remote_code)
    accepted = inspect.signature(model.forward).parameters
    types = getattr(model.config, "type_vocab_size", None) or 0
    network = StockNetwork(model, scores=scores, uses_types=types > 1 and "token_type_ids" in accepted)
    if not scores and "position_ids" in accepted:
        _pack_if_right(network, checkpoint)
    return network


def _load(folder: Path, checkpoint: Checkpoint, scores: bool, trust_remote_code: bool) -> Any:
    from transformers import AutoModel, AutoModelForSequenceClassification

    loader = AutoModelForSequenceClassification if scores else AutoModel
    with _quiet(), _translated(folder, checkpoint):
        model, report = loader.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=trust_remote_code,
            output_loading_info=True,
        )
    missing = sorted(
        name
        for name in report["missing_keys"]
        if scores or not any(part in name for part in _HARMLESS_MISSING)
    )
    wrong = sorted(str(key) for key in report.get("mismatched_keys", ()))
    if missing or wrong:
        raise BrokenCheckpointError(
            f"{folder}: {type(model).__name__} expects weights that are missing {missing[:5]} "
            f"or have another shape {wrong[:5]}"
        )
    if getattr(model.config, "use_cache", False):
        model.config.use_cache = False
    return model.eval().requires_grad_(False)


@contextmanager
def _translated(folder: Path, checkpoint: Checkpoint) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise UnsupportedCheckpointError(f"{checkpoint.name}: its code needs a package: {error}") from error
    except READ_ERRORS as error:
        if is_out_of_memory(error):
            raise
        if not _known_to_transformers(checkpoint.architecture):
            raise UnsupportedCheckpointError(
                f"{checkpoint.name} is of an architecture ({checkpoint.architecture}) that transformers does not "
                "have. If it comes with code of its own that you have read and trust, pass "
                f"trust_remote_code=True. ({type(error).__name__}: {str(error)[:300]})"
            ) from error
        raise BrokenCheckpointError(
            f"{folder}: transformers cannot load this {checkpoint.architecture}: "
            f"{type(error).__name__}: {str(error)[:300]}"
        ) from error


def _known_to_transformers(architecture: str) -> bool:
    from transformers import CONFIG_MAPPING

    return architecture in CONFIG_MAPPING


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' progress bars away while a model loads."""
    from transformers.utils import logging as transformers_logging

    shown = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            transformers_logging.enable_progress_bar()


def _pack_if_right(network: StockNetwork, checkpoint: Checkpoint) -> None:
    """Turn packing on if it gives, in fp32, what the sequences give one at a time with transformers' attention."""
    model: Any = network.model
    usual = model.config._attn_implementation
    batch = _trial(model.config, checkpoint.max_tokens)
    with torch.inference_mode():
        right = torch.cat([network(packed([one], torch.device("cpu"))) for one in batch])
        found = _attempt(lambda: _packed_states(network, batch))
    if found is not None and found.shape == right.shape:
        error = float((found - right).abs().max())
        if error <= _TOLERANCE * max(1.0, float(right.abs().max())):
            return
        log.info("%s: packed hidden states differ by %.2g: it runs unpacked", checkpoint.name, error)
    network.packs = False
    model.set_attn_implementation(usual)


def _packed_states(network: StockNetwork, batch: list[TokenSequence]) -> Tensor:
    register()
    model: Any = network.model
    model.set_attn_implementation(PACKED)
    network.packs = True
    states: Tensor = network(packed(batch, torch.device("cpu")))
    return states


def _attempt(run: Callable[[], Tensor]) -> Tensor | None:
    try:
        return run()
    except _PACKING_FAILURES as error:
        if is_out_of_memory(error):
            raise
        log.info("packing failed, the network runs unpacked: %s: %s", type(error).__name__, error)
        return None


def _trial(config: Any, max_tokens: int) -> list[TokenSequence]:
    """Make random sequences, one of them longer than the sliding window where the network has one."""
    window = max(getattr(config, "sliding_window", None) or 0, getattr(config, "local_attention", None) or 0)
    long = window + 9 if window + 9 <= _LONGEST_CHECK else 40
    maker = np.random.default_rng(0)
    lengths = sorted({min(length, max_tokens) for length in (5, 17, long)})
    first = min(10, config.vocab_size - 1)
    return [
        TokenSequence(
            maker.integers(first, config.vocab_size, size=length, dtype=np.int32), frozenset({Output.DENSE})
        )
        for length in lengths
    ]
