from __future__ import annotations

import json
from pathlib import Path

import pytest

from bge_components.bench.checkpoint_files import make_checkpoint
from bge_components.bench.random_weights import write_weights
from bge_components.bench.shapes import SHAPES, Shape, available, named, of_checkpoint
from bge_components.errors import InputError
from support.shared import shared_path

COPIES = {
    "bge-small": "bge-small-en-v1.5",
    "bge-base": "bge-base-en-v1.5",
    "bge-large": "bge-large-en-v1.5",
    "bge-m3": "bge-m3",
    "bge-reranker-v2-m3": "bge-reranker-v2-m3",
    "bge-reranker-base": "bge-reranker-base",
}
"""Shapes, and the checkpoints whose config.json they are held against."""


def tiny(**changes: object) -> Shape:
    sizes: dict[str, object] = {
        "family": "bert",
        "layers": 2,
        "width": 32,
        "inner": 64,
        "heads": 4,
        "vocab": 30522,
    }
    return Shape(**{"name": "tiny", "positions": 64, "max_tokens": 64, **sizes, **changes})  # type: ignore[arg-type]


def roberta(**changes: object) -> Shape:
    return tiny(**{"family": "xlm-roberta", "positions": 66, **changes})


@pytest.mark.parametrize("name", COPIES)
def test_the_sizes_are_those_of_the_real_checkpoint(name: str) -> None:
    config = json.loads(shared_path("data", "configs", COPIES[name], "config.json").read_text())
    shape = SHAPES[name]

    assert shape.family == config["model_type"]
    assert (shape.layers, shape.width, shape.inner, shape.heads, shape.vocab, shape.positions) == tuple(
        config[key]
        for key in (
            "num_hidden_layers",
            "hidden_size",
            "intermediate_size",
            "num_attention_heads",
            "vocab_size",
            "max_position_embeddings",
        )
    )
    assert (shape.task == "rerank") == ("ForSequenceClassification" in config["architectures"][0])


def test_arithmetic_is_counted_by_torchs_own_counter() -> None:
    torch = pytest.importorskip("torch")
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import BertConfig, BertModel

    shape = tiny()
    config = BertConfig(
        vocab_size=100, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64
    )
    model = BertModel(config, add_pooling_layer=False).eval()
    model.set_attn_implementation("eager")
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        model(torch.ones(3, 17, dtype=torch.long))

    assert shape.flops([17, 17, 17]) == counter.get_total_flops()


@pytest.mark.parametrize("changes", [{}, {"family": "xlm-roberta", "positions": 66, "task": "rerank"}])
def test_what_no_first_token_depends_on_is_what_our_own_network_leaves_out(
    tmp_path: Path, changes: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    from bge_components.backends import CheckpointSource
    from bge_components.contracts import Output, TokenSequence

    shape, lengths = tiny(**changes), [17, 9, 12]
    output = Output.SCORE if shape.task == "rerank" else Output.DENSE
    source = CheckpointSource(model=str(make_checkpoint(shape, tmp_path).folder), dtype="float32")
    rows = [TokenSequence(ids=np.full(n, 5, dtype=np.int32), outputs=frozenset({output})) for n in lengths]
    model = source.build(source.resolve("cpu"), "cpu")
    model._network = model._network.in_fp32()  # oneDNN's own products and fused attention are not counted
    in_place = {torch.ops.aten.addmm_: lambda _, rows, weight, **__: 2 * rows[0] * rows[1] * weight[1]}
    counter = FlopCounterMode(display=False, custom_mapping=in_place)
    monkeypatch.setattr(
        torch, "get_num_threads", lambda: 1
    )  # the pass stays on this thread, where it is counted
    with sdpa_kernel(SDPBackend.MATH), counter:
        model.run(rows)
    whole = shape.flops(lengths)

    assert counter.get_total_flops() == whole - shape.unread_flops(whole, sum(lengths), len(lengths))


def test_heads_cost_what_their_products_cost() -> None:
    embedder, reranker = roberta(m3=True), roberta(task="rerank")
    dense = embedder.flops([5, 3])

    assert embedder.flops([5, 3], ("dense", "sparse")) - dense == 2 * 32 * 8
    assert embedder.flops([5, 3], ("dense", "multi")) - dense == 2 * 32 * 32 * 8
    assert reranker.flops([5, 3]) - dense == 2 * (32 * 32 + 32) * 2


def test_an_unknown_shape_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match=r"--shape huge: .* bge-small, bge-base"):
        named("huge")


def test_shapes_with_real_weights_know_their_folder() -> None:
    mini = named("mini")
    assert mini.real
    assert (mini.layers, mini.width) == (SHAPES["mini"].layers, SHAPES["mini"].width)
    if "all-minilm-l6" in available():
        assert named("all-minilm-l6").max_tokens == 256
    assert not named("bge-base").real


@pytest.mark.parametrize("shape", [tiny(), roberta(m3=True), roberta(task="rerank"), tiny(task="rerank")])
def test_a_made_checkpoint_is_of_its_shape_and_loads_in_transformers(shape: Shape, tmp_path: Path) -> None:
    import transformers

    made = make_checkpoint(shape, tmp_path)
    found = of_checkpoint(str(made.folder))
    kind = "AutoModelForSequenceClassification" if shape.task == "rerank" else "AutoModel"
    _, report = getattr(transformers, kind).from_pretrained(made.folder, output_loading_info=True)

    assert (found.layers, found.width, found.inner, found.heads) == (2, 32, 64, 4)
    assert (found.task, found.m3, found.max_tokens) == (shape.task, shape.m3, shape.max_tokens)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]


def test_a_stand_in_for_a_tokenizer_is_told(tmp_path: Path) -> None:
    (note,) = make_checkpoint(roberta(), tmp_path).notes
    assert "xlm-roberta" in note
    assert "--tokenizers" in note


def test_a_tokenizer_that_is_given_is_taken_without_a_note(tmp_path: Path) -> None:
    given = tmp_path / "tokenizers" / "bert-base-uncased"
    given.mkdir(parents=True)
    source = named("mini").source
    assert source is not None
    content = (source / "tokenizer.json").read_text(encoding="utf-8") + " "
    (given / "tokenizer.json").write_text(content, encoding="utf-8")

    made = make_checkpoint(tiny(), tmp_path / "work", tmp_path / "tokenizers")

    assert made.notes == ()
    assert (made.folder / "tokenizer.json").read_text(encoding="utf-8") == content


def test_a_checkpoint_is_made_once_and_again_when_it_is_another(tmp_path: Path) -> None:
    weights = make_checkpoint(tiny(), tmp_path).folder / "model.safetensors"
    written = weights.stat().st_mtime_ns

    make_checkpoint(tiny(), tmp_path)
    assert weights.stat().st_mtime_ns == written
    make_checkpoint(tiny(layers=1), tmp_path)
    assert weights.stat().st_mtime_ns != written


def test_an_interrupted_checkpoint_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(shape: Shape, folder: Path) -> None:
        write_weights(shape, folder)
        raise KeyboardInterrupt

    monkeypatch.setattr("bge_components.bench.checkpoint_files.write_weights", interrupted)
    with pytest.raises(KeyboardInterrupt):
        make_checkpoint(tiny(), tmp_path)
    monkeypatch.undo()

    assert not (tmp_path / "tiny").exists()
    assert (make_checkpoint(tiny(), tmp_path).folder / "model.safetensors").is_file()


def test_the_packaged_checkpoint_becomes_one_that_others_read_with_the_same_vectors(tmp_path: Path) -> None:
    import numpy as np

    from bge_components.assembly import ModelArguments, make_encoder
    from bge_components.pool import ModelPool

    made = make_checkpoint(named("mini"), tmp_path)
    with ModelPool() as pool:
        folders = ("mini", str(made.folder))
        first, second = (
            make_encoder(ModelArguments(model=name, dtype="float32"), pool=pool).encode(["a bear"]).dense
            for name in folders
        )

    assert first is not None
    assert second is not None
    np.testing.assert_allclose(first.values, second.values, atol=1e-6)
