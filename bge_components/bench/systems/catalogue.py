"""What the measured systems are: data only."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from ..records import OURS
from ..shapes import Task

BOTH: tuple[Task, ...] = ("embed", "rerank")
OURSELVES = "ours"
"""Environment of this package: the interpreter that runs it."""

_SENTENCES = "adapter_sentence_transformers"
_BFLOAT16 = ("avx512_bf16", "amx_bf16", "bf16")
_INT8 = ("avx512_vnni", "avx_vnni", "amx_int8")


@dataclass(frozen=True, kw_only=True)
class System:
    """One way to run a checkpoint.

    Attributes:
        name: What tables call it.
        environment: The environment that has its packages: one list in benchmarks/peers, or `OURSELVES`.
        adapter: Module beside worker.py that knows its package.
        options: What the adapter is to do, by name.
        modules: What has to be importable.
        pip: The line that installs it.
        tasks: What it can do.
        flags: Processor features of which it needs one to be worth running; empty means none.
        variables: Environment variables that are set for it.
        note: What a reader of its numbers has to know.
    """

    name: str
    environment: str
    adapter: str
    modules: tuple[str, ...]
    pip: str
    options: Mapping[str, str] = field(default_factory=dict)
    tasks: tuple[Task, ...] = BOTH
    flags: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    note: str = ""

    @property
    def ours(self) -> bool:
        """Whether it is this package."""
        return self.environment == OURSELVES


def worth_running(flags: Collection[str]) -> tuple[System, ...]:
    """Give the systems that make sense on a processor with these features ("amx_bf16", ...), ours first."""
    return tuple(one for one in SYSTEMS.values() if not one.flags or set(one.flags) & set(flags))


def _ours(name: str, dtype: str, flags: tuple[str, ...] = ()) -> System:
    return System(
        name=f"{OURS} {name}",
        environment=OURSELVES,
        adapter="adapter_ours",
        modules=("bge_components",),
        pip="pip install bge-components",
        options={"dtype": dtype},
        flags=flags,
    )


def _sentences(
    name: str,
    environment: str,
    modules: tuple[str, ...],
    extra: str = "",
    flags: tuple[str, ...] = (),
    note: str = "",
    **options: str,
) -> System:
    return System(
        name=name,
        environment=environment,
        adapter=_SENTENCES,
        modules=("sentence_transformers", *modules),
        pip=f"pip install 'sentence-transformers{extra}'",
        options=options,
        flags=flags,
        note=note,
    )


def _infinity(engine: str, extra: str, modules: tuple[str, ...], note: str = "") -> System:
    return System(
        name=f"infinity {engine}",
        environment="infinity",
        adapter="adapter_infinity",
        modules=("infinity_emb", *modules, "sentence_transformers"),
        pip=f"pip install 'infinity-emb{extra}'",
        options={"engine": engine},
        note=f"SyncEngineArray in process, without its server{note}",
    )


_INTEL = ("openvino", "optimum.intel")
_ORT = ("onnxruntime", "optimum.onnxruntime")

_ALL = (
    _ours("fp32", "float32"),
    _ours("bf16", "bfloat16", _BFLOAT16),
    _ours("int8", "int8", _INT8),
    _sentences("sentence-transformers fp32", "st", (), backend="torch", dtype="float32"),
    _sentences("sentence-transformers bf16", "st", (), backend="torch", dtype="bfloat16"),
    _sentences(
        "openvino fp32",
        "st",
        _INTEL,
        "[openvino]",
        note="backend='openvino' of sentence-transformers; INFERENCE_PRECISION_HINT f32",
        backend="openvino",
        dtype="float32",
    ),
    _sentences(
        "openvino bf16",
        "st",
        _INTEL,
        "[openvino]",
        _BFLOAT16,
        note="backend='openvino' of sentence-transformers; bf16 is its own choice on this processor",
        backend="openvino",
        dtype="default",
    ),
    _sentences(
        "onnxruntime fp32",
        "onnx",
        _ORT,
        "[onnx]",
        note="backend='onnx' of sentence-transformers; optimised with O3",
        backend="onnx",
        variant="O3",
    ),
    _sentences(
        "onnxruntime int8",
        "onnx",
        _ORT,
        "[onnx]",
        note="backend='onnx' of sentence-transformers; export_dynamic_quantized_onnx_model for this processor",
        backend="onnx",
        variant="int8",
    ),
    System(
        name="FlagEmbedding fp32",
        environment="onnx",
        adapter="adapter_flag_embedding",
        modules=("FlagEmbedding",),
        pip="pip install FlagEmbedding",
        note="use_fp16=False, which is what it does on a CPU anyway",
    ),
    System(
        name="fastembed fp32",
        environment="onnx",
        adapter="adapter_fastembed",
        modules=("fastembed", *_ORT, "sentence_transformers"),
        pip="pip install fastembed 'sentence-transformers[onnx]'",
        note="the same O3 file as onnxruntime fp32",
    ),
    _infinity("torch", "[torch]", ("torch",)),
    _infinity(
        "optimum",
        "[torch,optimum]",
        _ORT,
        "; the same O3 file as onnxruntime fp32, its threads set from outside: infinity has no setting for them",
    ),
)
SYSTEMS: Mapping[str, System] = MappingProxyType({one.name: one for one in _ALL})
"""Name to system, ours first."""
