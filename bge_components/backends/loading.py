"""From a checkpoint folder to a model on a device."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..catalogue import Checkpoint, Family
from ..catalogue.config_files import read_config
from ..contracts import ModelInfo, Output
from ..errors import UnsupportedCheckpointError
from .forks import check_device_after_fork, settle_after_fork
from .heads import BertClassifier, Heads, LogitReadout, Readout, RobertaClassifier
from .memory import give_free_memory_back, out_of_memory_translated
from .native import PREFIXES, NativeEncoder
from .native_config import NativeConfig, runs_natively
from .products import Linear
from .smoothing import watched_peaks
from .stock import StockNetwork, load_stock
from .tokenizer import FastTokenizer
from .torch_model import TorchModel
from .weights import StateDict, read_head, read_weights

_DTYPES = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
    "int8": torch.float32,  # all but the products of the layers
}


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Where and how a model is to run.

    Attributes:
        device: As torch spells it.
        dtype: Number format of the matrix products.
        dtype_reason: Why that one.
    """

    device: str
    dtype: str
    dtype_reason: str


@dataclass(frozen=True)
class _Parts:
    network: NativeEncoder | StockNetwork
    readout: Readout
    engine: str
    width: int
    max_tokens: int
    vocabulary: int
    uses_types: bool
    multi_width: int | None = None


def load_model(
    folder: Path, checkpoint: Checkpoint, placement: Placement, *, trust_remote_code: bool = False
) -> TorchModel:
    """Load a checkpoint onto a device.

    Args:
        folder: Its files.
        checkpoint: What it is.
        placement: Where and how to run it.
        trust_remote_code: Run code that comes with the checkpoint.

    Raises:
        CheckpointError: If files are missing, unreadable or of the wrong shape, or it cannot be run.
        DeviceOutOfMemoryError: If the device has no room for the weights.
    """
    device = torch.device(placement.device)
    check_device_after_fork(device)
    settle_after_fork()
    config = read_config(folder)
    own_code = trust_remote_code and "auto_map" in config
    natively = runs_natively(config) and not own_code
    if placement.dtype == "int8" and not natively:
        raise UnsupportedCheckpointError(_no_int8(checkpoint, config, own_code))
    with out_of_memory_translated(device, f"the weights of {checkpoint.name}"), torch.no_grad():
        if natively:
            parts = _native(folder, checkpoint, config, placement)
        else:
            parts = _stock(folder, checkpoint, placement, trust_remote_code)
        tokenizer = FastTokenizer.read(folder, uses_types=parts.uses_types, trust_remote_code=own_code)
        if isinstance(parts.network, NativeEncoder):
            if placement.dtype == "int8":
                parts.network.quantize(watched_peaks(parts.network, tokenizer))
            else:
                parts.network.pack()
    info = _info(checkpoint, placement, parts)
    give_free_memory_back()
    return TorchModel(info, tokenizer, parts.network, parts.readout, parts.vocabulary)


def _no_int8(checkpoint: Checkpoint, config: Mapping[str, Any], own_code: bool) -> str:
    kind = "code of its own" if own_code else f"model_type {config.get('model_type')!r}"
    return (
        f"{checkpoint.name} cannot run in int8: it has {kind}, and int8 is for plain BERT, RoBERTa and XLM-RoBERTa; "
        "use dtype='auto', 'float32' or 'bfloat16'"
    )


def _native(folder: Path, checkpoint: Checkpoint, config: Mapping[str, Any], placement: Placement) -> _Parts:
    sizes = NativeConfig.read(config)
    state = read_weights(folder, PREFIXES)
    encoder = _filled(NativeEncoder, sizes, state, placement.device, _DTYPES[placement.dtype])
    heads = _heads(folder, checkpoint, sizes, state, placement.device)
    state.report_leftovers()
    return _Parts(
        network=encoder,
        readout=heads,
        engine="native packed",
        width=sizes.width,
        max_tokens=sizes.max_tokens,
        vocabulary=sizes.vocab,
        uses_types=sizes.types > 1,
        multi_width=None if heads.multi is None else len(heads.multi.bias),
    )


def _filled(kind: Any, sizes: NativeConfig, state: StateDict, device: str, dtype: torch.dtype) -> Any:
    """Make a module right where and how it will live, and copy its weights there."""
    with torch.device("meta"):
        module = kind(sizes).eval()
    _make_room(module, device, dtype)
    module.fill(state)
    return module


def _make_room(module: nn.Module, device: str, dtype: torch.dtype) -> None:
    """Give the parameters of a module without memory some; `to_empty` would import sympy, which takes a second."""
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            room = torch.empty(parameter.shape, dtype=dtype, device=device)
            setattr(part, name, nn.Parameter(room, requires_grad=False))


def _heads(
    folder: Path, checkpoint: Checkpoint, sizes: NativeConfig, state: StateDict | None, device: str
) -> Heads:
    classifier = None
    if checkpoint.family == Family.CROSS_ENCODER and state is not None:
        kind = RobertaClassifier if sizes.roberta else BertClassifier
        classifier = _filled(kind, sizes, state, device, torch.float32)
    sparse, multi = _token_heads(folder, checkpoint, sizes.width, device)
    return Heads(checkpoint, sparse, multi, classifier).to(device).eval()


def _token_heads(
    folder: Path, checkpoint: Checkpoint, width: int, device: str
) -> tuple[Linear | None, Linear | None]:
    found: list[Linear | None] = []
    for output, stem, rows in ((Output.SPARSE, "sparse_linear", 1), (Output.MULTI, "colbert_linear", None)):
        found.append(_token_head(folder, stem, width, rows, device) if output in checkpoint.outputs else None)
    return found[0], found[1]


def _token_head(folder: Path, stem: str, width: int, rows: int | None, device: str) -> Linear:
    """Load one head; `rows` None takes the width of the token vectors from the file."""
    state = read_head(folder, stem)
    head = Linear(width, rows or state.shape_of("weight")[0])
    head.fill(state, "")
    return head.to(device)


def _stock(folder: Path, checkpoint: Checkpoint, placement: Placement, trust_remote_code: bool) -> _Parts:
    network = load_stock(folder, checkpoint, trust_remote_code=trust_remote_code)
    config: Any = network.model.config
    width = int(config.hidden_size)
    readout: Readout = LogitReadout()
    multi_width = None
    if not network.scores:
        sparse, multi = _token_heads(folder, checkpoint, width, placement.device)
        readout = Heads(checkpoint, sparse, multi).eval()
        multi_width = None if multi is None else len(multi.bias)
    elif getattr(config, "num_labels", 1) != 1:
        raise UnsupportedCheckpointError(
            f"{checkpoint.name} has {config.num_labels} labels: a cross-encoder for ranking has one"
        )
    return _Parts(
        network=_cast(network, _DTYPES[placement.dtype]).to(placement.device),
        readout=readout,
        engine="stock packed" if network.packs else "stock grouped",
        width=width,
        max_tokens=checkpoint.max_tokens,
        vocabulary=int(config.vocab_size),
        uses_types=network.uses_types,
        multi_width=multi_width,
    )


def _cast(network: StockNetwork, dtype: torch.dtype) -> StockNetwork:
    """Change the number format of the weights; computed tables (rotary frequencies) keep theirs."""
    for tensor in network.state_dict(keep_vars=True).values():
        if tensor.is_floating_point():
            tensor.data = tensor.data.to(dtype)
    return network


def _info(checkpoint: Checkpoint, placement: Placement, parts: _Parts) -> ModelInfo:
    modules = [parts.network] + ([parts.readout] if isinstance(parts.readout, nn.Module) else [])
    return ModelInfo(
        name=checkpoint.name,
        backend="torch",
        engine=parts.engine,
        device=placement.device,
        dtype=placement.dtype,
        dtype_reason=placement.dtype_reason,
        nbytes=sum(_nbytes(module) for module in modules),
        width=parts.width,
        max_tokens=parts.max_tokens,
        outputs=checkpoint.outputs,
        multi_width=parts.multi_width,
        shareable=parts.network.shareable,
    )


def _nbytes(module: nn.Module) -> int:
    tensors = [*module.parameters(), *module.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
