"""Checkpoints of a shape on the disk, in the layout of the real ones, which every compared system loads."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from safetensors import safe_open

from ..catalogue import locate
from .random_weights import RECIPE, write_weights
from .shapes import Family, Shape
from .stored_weights import write_plain_weights

STAND_IN = (
    "its tokenizer is that of mini, because there is no folder {name} with the real one: see --tokenizers"
)
_TOKENIZERS: dict[Family, str] = {"bert": "bert-base-uncased", "xlm-roberta": "xlm-roberta"}
_MARK = "made.json"


@dataclass(frozen=True, kw_only=True)
class Made:
    """A checkpoint on the disk.

    Attributes:
        folder: Where it is.
        notes: What a reader of its numbers has to know.
    """

    folder: Path
    notes: tuple[str, ...] = ()


def make_checkpoint(shape: Shape, work: Path, tokenizers: Path | None = None) -> Made:
    """Write the checkpoint of a shape into `work`, or give the one that is there.

    Args:
        shape: With random weights, or with a folder of its own, which is given as it is.
        work: Folder that keeps checkpoints, each in a folder of its name.
        tokenizers: Folder with bert-base-uncased/ and xlm-roberta/, each with its tokenizer.json; where one is
            missing, that of the packaged checkpoint stands in, and a note says so.
    """
    if shape.source is not None and not _holds_rows_of_int8(shape.source):
        return Made(folder=shape.source)
    name = _TOKENIZERS[shape.family]
    real = (
        tokenizers / name
        if tokenizers is not None and (tokenizers / name / "tokenizer.json").is_file()
        else None
    )
    notes = () if real or shape.source else (f"{shape.name}: {STAND_IN.format(name=name)}",)
    mark = json.loads(json.dumps({"recipe": RECIPE, "tokenizer": str(real), **asdict(shape)}, default=str))
    folder = work / shape.name
    if not _is_made(folder, mark):
        _make(shape, folder, real, mark)
    return Made(folder=folder, notes=notes)


def _holds_rows_of_int8(folder: Path) -> bool:
    """Say whether only this package reads its weights."""
    file = folder / "model.safetensors"
    if not file.is_file():
        return False
    with safe_open(str(file), "np") as tensors:
        return any(name.endswith(".scale") for name in tensors.keys())  # noqa: SIM118 - it is no dict


def _is_made(folder: Path, mark: dict[str, Any]) -> bool:
    try:
        return bool(json.loads((folder / _MARK).read_text(encoding="utf-8")) == mark)
    except (OSError, ValueError):
        return False


def _make(shape: Shape, folder: Path, tokenizer: Path | None, mark: dict[str, Any]) -> None:
    """Write beside its place and move it there when it is whole."""
    part = folder.with_name(folder.name + ".part")
    for old in (part, folder):
        shutil.rmtree(old, ignore_errors=True)
    part.mkdir(parents=True)
    if shape.source is not None:
        write_plain_weights(shape.source, part)
    else:
        _write_settings(shape, part)
        _write_tokenizer(shape, part, tokenizer)
        write_weights(shape, part)
    _write_json(part / _MARK, mark)
    part.rename(folder)


def _write_settings(shape: Shape, folder: Path) -> None:
    _write_json(folder / "config.json", _config(shape))
    if shape.task == "rerank":
        return
    kinds = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    modules = [
        {"idx": i, "name": str(i), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for i, (path, kind) in enumerate(kinds.items())
    ]
    _write_json(folder / "modules.json", modules)
    modes = {
        f"pooling_mode_{mode}": mode == "cls_token" for mode in ("cls_token", "mean_tokens", "max_tokens")
    }
    _write_json(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": shape.width, **modes})
    (folder / "2_Normalize").mkdir()
    lengths = {"max_seq_length": shape.max_tokens, "do_lower_case": False}
    _write_json(folder / "sentence_bert_config.json", lengths)


def _config(shape: Shape) -> dict[str, Any]:
    roberta = shape.family == "xlm-roberta"
    trunk = "XLMRoberta" if roberta else "Bert"
    ending = "ForSequenceClassification" if shape.task == "rerank" else "Model"
    labels = {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}} if shape.task == "rerank" else {}
    special = {"bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2} if roberta else {"pad_token_id": 0}
    return {
        "architectures": [trunk + ending],
        "model_type": shape.family,
        "vocab_size": shape.vocab,
        "hidden_size": shape.width,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "intermediate_size": shape.inner,
        "max_position_embeddings": shape.positions,
        "type_vocab_size": 1 if roberta else 2,
        "layer_norm_eps": 1e-5 if roberta else 1e-12,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "attention_probs_dropout_prob": 0.1,
        "position_embedding_type": "absolute",
        "torch_dtype": "float32",
        **special,
        **labels,
    }


def _write_tokenizer(shape: Shape, folder: Path, real: Path | None) -> None:
    source = real or locate("mini")
    for name in ("tokenizer.json", "vocab.txt", "sentencepiece.bpe.model"):
        if (source / name).is_file():
            shutil.copyfile(source / name, folder / name)
    wordpiece = real is None or shape.family == "bert"
    tokens = _special_tokens(wordpiece=wordpiece)
    settings: dict[str, Any] = {**tokens, "model_max_length": shape.max_tokens}
    if shape.family == "bert":
        settings |= {"tokenizer_class": "BertTokenizer", "do_lower_case": True}
    elif wordpiece:
        _tell_no_segments_apart(folder / "tokenizer.json")
        settings |= {"tokenizer_class": "PreTrainedTokenizerFast"}
        settings |= {"model_input_names": ["input_ids", "attention_mask"]}
    else:
        settings |= {"tokenizer_class": "XLMRobertaTokenizer"}
    _write_json(folder / "tokenizer_config.json", settings)
    _write_json(folder / "special_tokens_map.json", tokens)


def _special_tokens(*, wordpiece: bool) -> dict[str, str]:
    if wordpiece:
        return {f"{name}_token": f"[{name.upper()}]" for name in ("unk", "sep", "pad", "cls", "mask")}
    ends = {"bos_token": "<s>", "cls_token": "<s>", "eos_token": "</s>", "sep_token": "</s>"}
    return {**ends, "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<mask>"}


def _tell_no_segments_apart(file: Path) -> None:
    """Give both texts of a pair the same type: XLM-RoBERTa knows one."""
    found = json.loads(file.read_text(encoding="utf-8"))
    for piece in found["post_processor"]["pair"]:
        for part in piece.values():
            part["type_id"] = 0
    _write_json(file, found)


def _write_json(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
