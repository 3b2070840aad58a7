from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from bge_components.backends.packing import packed
from bge_components.backends.products import PackedLinear
from bge_components.contracts import Output, TokenSequence
from bge_components.errors import BrokenCheckpointError
from support import tiny

from .sequences import DENSE, SCORE, load, outputs_of, random_ids, sequences

CONFIGS = [
    pytest.param({}, id="as it is"),
    pytest.param({"hidden_size": 48, "num_attention_heads": 3, "intermediate_size": 80}, id="odd sizes"),
    pytest.param({"num_hidden_layers": 1, "hidden_act": "gelu_new"}, id="tanh gelu"),
    pytest.param({"num_hidden_layers": 3, "layer_norm_eps": 1e-3, "num_attention_heads": 1}, id="one head"),
    pytest.param({"max_position_embeddings": 70, "num_attention_heads": 16}, id="short"),
    pytest.param({"pad_token_id": 4}, id="another padding id"),
    pytest.param({"type_vocab_size": 3, "hidden_act": "gelu_pytorch_tanh"}, id="three types"),
]
LENGTHS = (1, 2, 7, 7, 30, 7, 63, 12, 63)


def stock_states(folder: Path, rows: list[np.ndarray]) -> list[torch.Tensor]:
    from transformers import AutoModel

    model = AutoModel.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        return [model(input_ids=torch.tensor(row[None]).long()).last_hidden_state[0] for row in rows]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("kind", [tiny.bert_embedder, tiny.roberta_embedder, tiny.m3])
def test_an_embedder_equals_the_stock_class_alone_and_in_company(kind, config, tmp_path: Path) -> None:
    if kind is tiny.m3:
        config = {
            ("positions" if name == "max_position_embeddings" else name): v for name, v in config.items()
        }
    folder = kind(tmp_path, **config)
    model = load(folder)
    rows = random_ids(LENGTHS, model._vocabulary)
    right = stock_states(folder, rows)
    pool = (
        (lambda states: states[0]) if kind is not tiny.roberta_embedder else (lambda states: states.mean(0))
    )
    right_dense = np.stack([pool(states).numpy() for states in right])

    company = np.stack(outputs_of(model, sequences(rows), Output.DENSE))
    alone = np.stack([outputs_of(model, sequences([row]), Output.DENSE)[0] for row in rows])

    assert model.info.engine == "native packed"
    assert np.abs(company - right_dense).max() < 2e-5
    assert np.abs(alone - right_dense).max() < 2e-5


@pytest.mark.parametrize("config", CONFIGS[:5])
@pytest.mark.parametrize("kind", [tiny.bert_reranker, tiny.xlmr_reranker])
def test_a_cross_encoder_equals_the_stock_class(kind, config, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    config = dict(config)
    if kind is tiny.xlmr_reranker and "max_position_embeddings" in config:
        config["positions"] = config.pop("max_position_embeddings")
    folder = kind(tmp_path, **config)
    model = load(folder)
    rows = random_ids(LENGTHS, model._vocabulary)
    typed = kind is tiny.bert_reranker
    types = [np.arange(len(row), dtype=np.int32) * 2 // len(row) for row in rows]
    stock = AutoModelForSequenceClassification.from_pretrained(folder, attn_implementation="eager").eval()
    with torch.no_grad():
        right = [
            stock(
                input_ids=torch.tensor(row[None]).long(),
                **({"token_type_ids": torch.tensor(kinds[None]).long()} if typed else {}),
            ).logits.item()
            for row, kinds in zip(rows, types)
        ]

    batch = [TokenSequence(row, SCORE, kinds if typed else None) for row, kinds in zip(rows, types)]
    found = outputs_of(model, batch, Output.SCORE)

    assert all(score.shape == () and score.dtype == np.float32 for score in found)
    assert np.abs(np.array(found) - right).max() < 2e-5


def test_untyped_and_typed_sequences_share_a_batch(tiny_bert_reranker: Path) -> None:
    model = load(tiny_bert_reranker)
    (row,) = random_ids([9], model._vocabulary)
    zeros, ones = np.zeros(9, np.int32), np.ones(9, np.int32)
    batch = [TokenSequence(row, SCORE, types) for types in (None, zeros, ones)]

    untyped, zero, one = outputs_of(model, batch, Output.SCORE)

    assert untyped == pytest.approx(zero, abs=1e-6)
    assert abs(one - zero) > 1e-3


def test_the_longest_sequence_fits_and_one_more_token_is_refused(tiny_m3: Path) -> None:
    model = load(tiny_m3)
    longest = model.info.max_tokens

    (row,) = random_ids([longest], model._vocabulary)
    assert np.isfinite(outputs_of(model, sequences([row]), Output.DENSE)[0]).all()
    with pytest.raises(ValueError, match=f"1 to {longest} tokens, got {longest + 1}"):
        model.run(sequences(random_ids([longest + 1], model._vocabulary)))


@pytest.mark.parametrize(
    ("change", "said"),
    [({"num_attention_heads": 5}, "no multiple"), ({"num_hidden_layers": "many"}, "sizes of the network")],
)
def test_sizes_that_do_not_fit_are_refused(change, said, tmp_path: Path) -> None:
    folder = tiny.bert_embedder(tmp_path)
    config = folder / "config.json"
    from json import dumps, loads

    config.write_text(dumps({**loads(config.read_text()), **change}))
    with pytest.raises(BrokenCheckpointError, match=said):
        load(folder)


def test_what_takes_long_to_import_stays_out_where_it_is_not_needed(
    tiny_bert: Path, tiny_reranker: Path
) -> None:
    code = (
        "import sys\n"
        "from bge_components.backends import CheckpointSource\n"
        "from bge_components.contracts import Output, TokenSequence\n"
        "for path in sys.argv[1:]:\n"
        "    source = CheckpointSource(model=path)\n"
        "    model = source.build(source.resolve(), 'cpu')\n"
        "    ids, _ = model.tokenizer.encode(['some words'], 64)\n"
        "    (found,) = model.run([TokenSequence(ids[0], model.info.outputs)])\n"
        "    assert found.keys() == model.info.outputs\n"
        "assert 'torch' in sys.modules\n"
        "slow = {'transformers', 'sympy', 'torch._dynamo', 'torch._inductor'} & sys.modules.keys()\n"
        "assert not slow, f'{slow} imported'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_bert), str(tiny_reranker)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_bf16_stays_near_fp32(tiny_m3: Path) -> None:
    exact, coarse = load(tiny_m3), load(tiny_m3, "bfloat16")
    batch = sequences(random_ids(LENGTHS, exact._vocabulary))

    assert coarse.info.nbytes < 0.6 * exact.info.nbytes
    for one, other in zip(
        outputs_of(exact, batch, Output.DENSE), outputs_of(coarse, batch, Output.DENSE), strict=True
    ):
        assert one @ other / np.linalg.norm(one) / np.linalg.norm(other) > 0.999


def test_company_does_not_change_a_vector(tiny_bert: Path) -> None:
    model = load(tiny_bert)
    rows = random_ids([3, 50, 17, 17, 4, 200], model._vocabulary)
    alone = outputs_of(model, sequences(rows[2:3]), Output.DENSE)[0]

    for company in ([0, 2], [2, 3], [5, 2, 1], [4, 3, 2, 1, 0, 5]):
        found = model.run([TokenSequence(rows[index], DENSE) for index in company])[company.index(2)]
        cosine = found[Output.DENSE] @ alone / np.linalg.norm(alone) ** 2
        assert abs(cosine - 1) < 1e-6


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_row_in_parts_gives_the_same_as_in_one_piece(dtype: str, tiny_m3: Path) -> None:
    model = load(tiny_m3, dtype)
    batch = sequences(random_ids((3, 9, 9, 30, 63, 63, 120), model._vocabulary))
    whole = outputs_of(model, batch, Output.DENSE)

    model._network.rows_at_once = 64
    parts = outputs_of(model, batch, Output.DENSE)

    for one, other in zip(whole, parts, strict=True):
        if dtype == "float32":
            assert np.abs(one - other).max() < 1e-5
        else:  # other groups of texts attend together: rounding differs
            assert one @ other / np.linalg.norm(one) / np.linalg.norm(other) > 0.9999


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-6), ("bfloat16", 1e-3)])
def test_packed_weights_give_what_plain_ones_give(dtype: str, tolerance: float, tiny_m3: Path) -> None:
    model = load(tiny_m3, dtype)
    batch = sequences(random_ids(LENGTHS, model._vocabulary))
    if not any(isinstance(part, PackedLinear) for part in model._network.modules()):
        pytest.skip(f"this processor does not pack {dtype}")
    fused = outputs_of(model, batch, Output.DENSE)

    for layer in model._network.layers:
        layer.unpack()
    plain = outputs_of(model, batch, Output.DENSE)

    assert not any(isinstance(part, PackedLinear) for part in model._network.modules())
    for one, other in zip(fused, plain):
        assert one @ other / np.linalg.norm(one) / np.linalg.norm(other) > 1 - tolerance


@pytest.mark.parametrize("parts_of", [64, 4096])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-5), ("bfloat16", 0.05), ("int8", 0.05)])
def test_first_tokens_alone_get_the_states_they_get_among_all(
    dtype: str, tolerance: float, parts_of: int, tiny_m3: Path
) -> None:
    model = load(tiny_m3, dtype)
    network = model._network
    network.rows_at_once = parts_of
    batch = sequences(random_ids(sorted(LENGTHS), model._vocabulary))
    row = packed(batch, torch.device("cpu"))

    with torch.inference_mode():
        right = network(row)[row.plan.first_rows].float()
        found = network(replace(row, first_only=True)).float()

    assert found.shape == right.shape == (len(LENGTHS), network.config.width)
    assert (found - right).abs().max() < tolerance * right.abs().max()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_packed_products_see_few_numbers_of_rows(dtype: str, tiny_m3: Path, monkeypatch) -> None:
    model, rows = load(tiny_m3, dtype), set()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)

    def watch(name: str, place: int) -> None:
        plain = getattr(PackedLinear, name)
        monkeypatch.setattr(
            PackedLinear, name, lambda layer, *given: rows.add(len(given[place])) or plain(layer, *given)
        )

    for name, place in (("product", 0), ("gelu", 0), ("onto", 1)):
        watch(name, place)
    for longest in range(40, 140):
        outputs_of(model, sequences(random_ids((20, longest), model._vocabulary)), Output.DENSE)
    assert {count for count in rows if count > 64} == {80, 96, 112, 128, 144, 160}

    for count in range(4, 30):
        outputs_of(model, sequences(random_ids((24, 25) * count, model._vocabulary)), Output.DENSE)
        outputs_of(model, sequences(random_ids((3,) * (30 + 9 * count), model._vocabulary)), Output.DENSE)
    usual = [
        count % (16 if count <= 256 else 32 if count <= 512 else 64) == 0 for count in rows if count > 64
    ]
    assert all(usual)
    assert len(usual) < 40
    assert max(rows) > 1024
