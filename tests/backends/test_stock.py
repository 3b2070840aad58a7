from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from bge_components.backends import packed_layers, stock
from bge_components.backends.attention import packed_attention
from bge_components.contracts import Output
from bge_components.errors import BrokenCheckpointError, UnsupportedCheckpointError
from support import tiny

from .sequences import SCORE, load, outputs_of, random_ids, sequences

LENGTHS = (1, 2, 40, 9, 9, 90, 40, 200)


def eager_model(folder: Path, kind: str = "AutoModel"):
    import transformers

    return getattr(transformers, kind).from_pretrained(folder, attn_implementation="eager").eval()


def test_modernbert_packed_equals_transformers_own_eager_attention(tiny_modernbert: Path) -> None:
    model = load(tiny_modernbert)
    rows = random_ids(LENGTHS, model._vocabulary)
    network = eager_model(tiny_modernbert)
    with torch.no_grad():
        right = [network(torch.tensor(row[None]).long()).last_hidden_state[0, 0].numpy() for row in rows]

    found = outputs_of(model, sequences(rows), Output.DENSE)

    assert model.info.engine == "stock packed"
    assert max(np.abs(one - other).max() for one, other in zip(found, right, strict=True)) < 2e-5


def test_attention_that_leaks_between_sequences_is_found_out_at_load(
    tiny_modernbert: Path, monkeypatch
) -> None:
    def leaking(query, key, value, plan, kind):
        whole = type(plan)((len(query),), plan.device)
        return packed_attention(query, key, value, whole, kind)

    right = load(tiny_modernbert)
    batch = sequences(random_ids(LENGTHS, right._vocabulary))
    expected = outputs_of(right, batch, Output.DENSE)
    monkeypatch.setattr(packed_layers, "packed_attention", leaking)
    model = load(tiny_modernbert)

    assert model.info.engine == "stock grouped"
    found = outputs_of(model, batch, Output.DENSE)
    assert max(np.abs(one - other).max() for one, other in zip(found, expected, strict=True)) < 2e-5


def test_a_window_that_is_not_honoured_is_found_out_at_load(tiny_modernbert: Path, monkeypatch) -> None:
    from dataclasses import replace

    monkeypatch.setattr(
        packed_layers,
        "packed_attention",
        lambda q, k, v, plan, kind: packed_attention(q, k, v, plan, replace(kind, window=None)),
    )
    assert load(tiny_modernbert).info.engine == "stock grouped"


def test_an_architecture_that_counts_positions_otherwise_still_gives_its_numbers(tmp_path: Path) -> None:
    """Camembert is RoBERTa under another name: no module of ours, and positions from the padding id."""
    folder = tiny.m3(tmp_path, heads=(), weights="safetensors")
    config = json.loads((folder / "config.json").read_text())
    architecture = {"model_type": "camembert", "architectures": ["CamembertModel"]}
    (folder / "config.json").write_text(json.dumps({**config, **architecture}))
    model = load(folder)
    rows = random_ids(LENGTHS, model._vocabulary)
    network = eager_model(folder)
    with torch.no_grad():
        right = [network(torch.tensor(row[None]).long()).last_hidden_state[0, 0].numpy() for row in rows]

    found = outputs_of(model, sequences(rows), Output.DENSE)

    assert model.info.engine.startswith("stock")
    assert max(np.abs(one - other).max() for one, other in zip(found, right, strict=True)) < 2e-5


def test_a_stock_cross_encoder_gives_its_logits(tmp_path: Path) -> None:
    from transformers import AutoConfig, AutoModelForSequenceClassification

    folder = tiny.modernbert_embedder(tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config |= {"architectures": ["ModernBertForSequenceClassification"], "id2label": {"0": "relevance"}}
    (folder / "config.json").write_text(json.dumps(config))
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_config(AutoConfig.from_pretrained(folder)).save_pretrained(folder)
    model = load(folder)
    rows = random_ids(LENGTHS, model._vocabulary)
    network = eager_model(folder, "AutoModelForSequenceClassification")
    with torch.no_grad():
        right = [network(torch.tensor(row[None]).long()).logits.item() for row in rows]

    found = outputs_of(model, sequences(rows, SCORE), Output.SCORE)

    assert model.info.outputs == SCORE
    assert np.abs(np.array(found) - right).max() < 2e-5


def test_bf16_leaves_rotary_tables_in_fp32_and_gives_what_transformers_gives(tiny_modernbert: Path) -> None:
    from transformers import AutoModel

    coarse = load(tiny_modernbert, "bfloat16")
    rows = random_ids(LENGTHS, coarse._vocabulary)
    network = AutoModel.from_pretrained(tiny_modernbert, dtype=torch.bfloat16).eval()
    with torch.no_grad():
        hidden = [network(torch.tensor(row[None]).long()).last_hidden_state[0, 0] for row in rows]

    tables = [buffer for name, buffer in coarse._network.named_buffers() if "inv_freq" in name]
    assert tables
    assert all(table.dtype == torch.float32 for table in tables)
    assert all(weight.dtype == torch.bfloat16 for weight in coarse._network.parameters())
    for one, other in zip(outputs_of(coarse, sequences(rows), Output.DENSE), hidden, strict=True):
        right = other.float().numpy()
        assert one @ right / np.linalg.norm(one) / np.linalg.norm(right) > 0.9999


def test_a_missing_weight_is_an_error(tmp_path: Path) -> None:
    folder = tiny.modernbert_embedder(tmp_path)
    path = folder / "model.safetensors"
    tensors = {name: tensor.clone() for name, tensor in load_file(path).items()}
    del tensors["layers.1.mlp.Wi.weight"]
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.raises(BrokenCheckpointError, match=r"layers\.1\.mlp\.Wi\.weight"):
        load(folder)


def test_a_corrupt_file_is_an_error(tmp_path: Path) -> None:
    folder = tiny.modernbert_embedder(tmp_path)
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(BrokenCheckpointError, match="cannot load this modernbert"):
        load(folder)


@pytest.fixture
def with_own_code(tmp_path: Path) -> Path:
    """A checkpoint whose network is a file beside it; running that file leaves a trace."""
    folder = tiny.bert_embedder(tmp_path / "own_code")
    config = json.loads((folder / "config.json").read_text())
    code = (
        "from pathlib import Path\n"
        "from transformers import BertConfig, BertModel\n"
        f"Path({str(tmp_path / 'ran')!r}).touch()\n"
        "class OwnConfig(BertConfig):\n    model_type = 'own-bert'\n"
        "class OwnModel(BertModel):\n    config_class = OwnConfig\n"
    )
    (folder / "own.py").write_text(code)
    classes = {"AutoConfig": "own.OwnConfig", "AutoModel": "own.OwnModel"}
    config |= {"model_type": "own-bert", "auto_map": classes}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_code_of_a_checkpoint_runs_only_if_the_caller_opted_in(
    with_own_code: Path, tiny_bert: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(tmp_path / "modules"))
    with pytest.raises(UnsupportedCheckpointError, match="trust_remote_code=True"):
        load(with_own_code)
    assert not (tmp_path / "ran").exists()

    model = load(with_own_code, trust_remote_code=True)

    assert (tmp_path / "ran").exists()
    assert model.info.engine.startswith("stock")
    batch = sequences(random_ids((3, 20, 20), model._vocabulary))
    right = outputs_of(load(tiny_bert), batch, Output.DENSE)
    assert np.abs(np.stack(outputs_of(model, batch, Output.DENSE)) - np.stack(right)).max() < 2e-5


def test_the_check_at_load_uses_a_sequence_longer_than_the_window() -> None:
    class Config:
        sliding_window = 64
        vocab_size = 500

    assert [len(sequence) for sequence in stock._trial(Config, 8192)] == [5, 17, 73]
    assert [len(sequence) for sequence in stock._trial(Config, 12)] == [5, 12]
