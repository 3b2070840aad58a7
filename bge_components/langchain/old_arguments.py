"""What the keys of Hugging Face keyword dictionaries are called here, and those that make no sense here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..errors import InputError


@dataclass(frozen=True, kw_only=True)
class Keys:
    """The keys of one kind of dictionary.

    Attributes:
        renamed: Those that are an argument of ours, and its name.
        without_effect: Those that are let pass, and why they change nothing.
        fixed: Those that may have one value only.
        apart: Those that are looked at by other code.
    """

    renamed: Mapping[str, str]
    without_effect: Mapping[str, str] = field(default_factory=dict)
    fixed: Mapping[str, Any] = field(default_factory=dict)
    apart: frozenset[str] = frozenset()

    @property
    def known(self) -> list[str]:
        """All of them, sorted."""
        return sorted({*self.renamed, *self.without_effect, *self.fixed, *self.apart})


_WEIGHTS = {"dtype": "dtype", "torch_dtype": "dtype"}
_WHERE_FROM = {
    "device": "device",
    "revision": "revision",
    "trust_remote_code": "trust_remote_code",
    "local_files_only": "local_files_only",
    "cache_folder": "cache_folder",
    **_WEIGHTS,
}
_OWN_ATTENTION = {"attn_implementation": "the engine brings its own attention"}

WEIGHTS = Keys(renamed=_WEIGHTS, without_effect=_OWN_ATTENTION)
"""`model_kwargs` within `model_kwargs`: what SentenceTransformer hands on to transformers."""

MODEL = Keys(
    renamed={**_WHERE_FROM, "truncate_dim": "dimensions"},
    without_effect=_OWN_ATTENTION,
    fixed={"backend": "torch"},
    apart=frozenset({"model_kwargs", "prompts", "default_prompt_name"}),
)
"""`model_kwargs` of embeddings: the constructor of SentenceTransformer."""

CROSS_ENCODER = Keys(
    renamed={**_WHERE_FROM, "max_length": "max_tokens"},
    without_effect=_OWN_ATTENTION,
    fixed={"backend": "torch", "num_labels": 1},
    apart=frozenset({"model_kwargs"}),
)
"""`model_kwargs` of `HuggingFaceCrossEncoder`: the constructor of sentence-transformers' CrossEncoder."""

ENCODE = Keys(
    renamed={"device": "device", "truncate_dim": "dimensions", "show_progress_bar": "show_progress"},
    without_effect={
        "batch_size": "the pool batches by tokens",
        "convert_to_numpy": "vectors are lists of floats",
        "convert_to_tensor": "vectors are lists of floats",
    },
    fixed={"precision": "float32", "output_value": "sentence_embedding"},
    apart=frozenset({"normalize_embeddings", "prompt", "prompt_name"}),
)
"""`encode_kwargs` and `query_encode_kwargs`: SentenceTransformer's `encode`."""

_ADVICE = {
    "token": "set HF_TOKEN in the environment instead",
    "use_auth_token": "set HF_TOKEN in the environment instead",
    "backend": "only torch runs here",
    "provider": "ONNX and OpenVINO files are not run here",
    "file_name": "ONNX and OpenVINO files are not run here",
    "export": "ONNX and OpenVINO files are not run here",
    "precision": "Encoder gives int8 and binary vectors",
    "output_value": "Encoder gives token vectors and sparse weights",
}


class Translation:
    """One constructor call on its way into our words.

    Attributes:
        new: The arguments in our words, as far as they are known.
        without_effect: What was let pass, and why it changes nothing.
    """

    def __init__(self, new: Mapping[str, Any]) -> None:
        self.new = dict(new)
        self.without_effect: dict[str, str] = {}

    def put(self, name: str, value: Any, origin: str) -> None:
        """Note an argument; None means that nothing was said.

        Raises:
            InputError: If another value is there already.
        """
        if value is None:
            return
        if self.new.get(name) not in (None, value):
            raise InputError(f"{origin} and {name} (or another old argument) contradict each other: give one")
        self.new[name] = value

    def take(self, where: str, given: Mapping[str, Any], keys: Keys) -> None:
        """Translate the keys of one old dictionary.

        Raises:
            InputError: If one is unknown or makes no sense here; the message names it, and not its value.
        """
        for key, value in given.items():
            if key in keys.renamed:
                name = keys.renamed[key]
                self.put(name, _dtype_name(value) if name == "dtype" else value, f"{where}[{key!r}]")
            elif key in keys.without_effect:
                self.without_effect[key] = keys.without_effect[key]
            elif key not in keys.apart and (key not in keys.fixed or value != keys.fixed[key]):
                advice = _ADVICE.get(key, f"it takes {', '.join(keys.known)}")
                raise InputError(f"{where}[{key!r}] cannot be translated: {advice}")


def kwargs_of(old: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Give a keyword dictionary, empty if it is not there.

    Raises:
        InputError: If it is no dictionary.
    """
    value = old.get(name)
    if value is not None and not isinstance(value, Mapping):
        raise InputError(f"{name} must be a dictionary, got {type(value).__name__}")
    return dict(value or {})


def _dtype_name(value: Any) -> str | None:
    return None if value is None else str(value).removeprefix("torch.")
