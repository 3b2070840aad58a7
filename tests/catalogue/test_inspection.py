from __future__ import annotations

from dataclasses import replace

import pytest
from catalogue.folders import BERT, CLS, M3, MEAN, RERANKER, modules, write_checkpoint

from bge_components.catalogue import Family, find, inspect
from bge_components.contracts import Output
from bge_components.errors import BrokenCheckpointError, UnsupportedCheckpointError
from support.shared import shared_path

FULL = modules("Transformer", "Pooling", "Normalize")


def test_old_flags_and_modules_give_pooling_and_normalisation(tmp_path):
    found = inspect(write_checkpoint(tmp_path, BERT, pooling=MEAN, modules=FULL[:2]), "mine")
    assert (found.name, found.family, found.architecture, found.dim) == ("mine", Family.EMBEDDER, "bert", 384)
    assert (found.pooling, found.normalize, found.outputs) == ("mean", False, {Output.DENSE})
    assert (found.licence, found.parameters, found.examples) == ("unknown", None, ())
    again = inspect(write_checkpoint(tmp_path, BERT, pooling=CLS, modules=FULL), "mine")
    assert (again.pooling, again.normalize) == ("cls", True)


@pytest.mark.parametrize(("mode", "pooling"), [("cls", "cls"), ("mean", "mean"), (["mean"], "mean")])
def test_the_newer_spelling_of_pooling_is_read(tmp_path, mode, pooling):
    new = {"embedding_dimension": 384, "pooling_mode": mode, "include_prompt": True}
    types = [
        module
        | {"type": f"sentence_transformers.sentence_transformer.modules.x.{module['type'].split('.')[-1]}"}
        for module in FULL
    ]
    found = inspect(write_checkpoint(tmp_path, BERT, pooling=new, modules=types), "mine")
    assert (found.pooling, found.normalize) == (pooling, True)


def test_a_checkpoint_saved_again_by_sentence_transformers_5_is_the_same():
    found = inspect(shared_path("data", "configs", "bge-m3.resaved-st5"), "again")
    assert (found.pooling, found.normalize, found.dim, found.max_tokens) == ("cls", True, 1024, 8192)
    assert (found.recommended_tokens, found.query_instruction) == (8192, "")


def test_a_bare_transformer_is_read_as_bge_does_and_says_so(tmp_path):
    found = inspect(write_checkpoint(tmp_path, BERT), "bare")
    assert (found.pooling, found.normalize) == ("cls", True)
    assert "CLS" in found.note


@pytest.mark.parametrize(
    "pooling",
    [
        MEAN | {"pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True},
        MEAN | {"pooling_mode_mean_tokens": False, "pooling_mode_lasttoken": True},
        MEAN | {"pooling_mode_mean_tokens": False, "pooling_mode_weightedmean_tokens": True},
        MEAN | {"pooling_mode_cls_token": True},
        MEAN | {"include_prompt": False},
        {"embedding_dimension": 384, "pooling_mode": "lasttoken"},
        {"embedding_dimension": 384, "pooling_mode": ["cls", "mean"]},
    ],
)
def test_other_pooling_is_refused(tmp_path, pooling):
    with pytest.raises(UnsupportedCheckpointError, match="pools by"):
        inspect(write_checkpoint(tmp_path, BERT, pooling=pooling), "mine")


def test_a_dense_layer_after_pooling_is_refused_by_name(tmp_path):
    listed = modules("Transformer", "Pooling", "Dense", "Normalize")
    with pytest.raises(UnsupportedCheckpointError, match="Dense"):
        inspect(write_checkpoint(tmp_path, BERT, pooling=MEAN, modules=listed), "mine")


def test_pooling_in_another_folder_is_found_but_never_outside(tmp_path):
    listed = [FULL[0], FULL[1] | {"path": "9_Pooling"}]
    folder = write_checkpoint(tmp_path / "a", BERT, modules=listed)
    with pytest.raises(BrokenCheckpointError, match="9_Pooling"):
        inspect(folder, "mine")
    write_checkpoint(tmp_path / "a" / "9_Pooling", MEAN)
    assert inspect(folder, "mine").pooling == "mean"
    for outside in ("../9_Pooling", "/etc"):
        write_checkpoint(tmp_path / "a", BERT, modules=[FULL[0], FULL[1] | {"path": outside}])
        with pytest.raises(BrokenCheckpointError, match="outside"):
            inspect(folder, "mine")


@pytest.mark.parametrize(
    ("model_type", "positions", "pad", "longest"),
    [
        ("bert", 512, 0, 512),
        ("roberta", 514, 1, 512),
        ("xlm-roberta", 8194, 1, 8192),
        ("xlm-roberta", 514, None, 512),
        ("camembert", 514, 1, 512),
        ("mpnet", 514, 1, 512),
        ("modernbert", 8192, 50283, 8192),
    ],
)
def test_positions_that_are_never_used_do_not_count(tmp_path, model_type, positions, pad, longest):
    config = BERT | {"model_type": model_type, "max_position_embeddings": positions, "pad_token_id": pad}
    assert inspect(write_checkpoint(tmp_path, config), "mine").max_tokens == longest


def test_the_recommended_length_is_the_shortest_that_any_file_names(tmp_path):
    folder = write_checkpoint(tmp_path, BERT, tokenizer={"model_max_length": 1e30})
    assert inspect(folder, "mine").recommended_tokens == 512
    write_checkpoint(tmp_path, BERT, tokenizer={"model_max_length": 300})
    assert inspect(folder, "mine").recommended_tokens == 300
    write_checkpoint(tmp_path, BERT, sentence={"max_seq_length": 128})
    assert inspect(folder, "mine").recommended_tokens == 128
    write_checkpoint(tmp_path, BERT, sentence={"max_seq_length": 4096})
    assert inspect(folder, "mine").recommended_tokens == 300
    assert inspect(folder, "mine").max_tokens == 512


def test_without_positions_the_tokeniser_says_the_length(tmp_path):
    config = {key: value for key, value in BERT.items() if key != "max_position_embeddings"}
    folder = write_checkpoint(tmp_path, config)
    assert inspect(folder, "mine").max_tokens == 512
    write_checkpoint(tmp_path, config, tokenizer={"model_max_length": 2048})
    assert inspect(folder, "mine").max_tokens == 2048


@pytest.mark.parametrize(
    ("settings", "query", "document"),
    [
        ({"prompts": {"query": "q: ", "document": "d: "}}, "q: ", "d: "),
        ({"prompts": {"query": "q: ", "passage": "p: "}}, "q: ", "p: "),
        ({"prompts": {"other": "o: "}, "default_prompt_name": "other"}, "o: ", "o: "),
        ({"prompts": {"query": "q: ", "other": "o: "}, "default_prompt_name": "other"}, "q: ", "o: "),
        ({"prompts": {"other": "o: "}, "default_prompt_name": None}, "", ""),
        ({"prompts": {}}, "", ""),
        ({}, "", ""),
    ],
)
def test_saved_prompts_become_instructions(tmp_path, settings, query, document):
    found = inspect(write_checkpoint(tmp_path, BERT, prompts=settings), "mine")
    assert (found.query_instruction, found.document_instruction) == (query, document)
    assert found.prompted("{x}", "query") == query + "{x}"


@pytest.mark.parametrize(
    ("heads", "outputs"),
    [
        (("sparse_linear.pt", "colbert_linear.pt"), {Output.DENSE, Output.SPARSE, Output.MULTI}),
        (("colbert_linear.safetensors",), {Output.DENSE, Output.MULTI}),
        (("sparse_linear.safetensors",), {Output.DENSE, Output.SPARSE}),
    ],
)
def test_head_files_make_it_an_m3_with_just_their_outputs(tmp_path, heads, outputs):
    found = inspect(write_checkpoint(tmp_path, M3, heads=heads), "mine")
    assert (found.family, found.outputs) == (Family.M3, outputs)


def test_a_family_asked_for_is_honoured_where_the_files_allow_it(tmp_path):
    m3 = write_checkpoint(tmp_path / "m3", M3, heads=("sparse_linear.pt",))
    assert inspect(m3, "mine", Family.EMBEDDER).outputs == {Output.DENSE}
    reranker = write_checkpoint(tmp_path / "reranker", RERANKER)
    trunk = inspect(reranker, "mine", Family.EMBEDDER)
    assert (trunk.family, trunk.dim, trunk.pooling) == (Family.EMBEDDER, 768, "cls")
    unnamed = write_checkpoint(tmp_path / "unnamed", BERT | {"architectures": None})
    assert inspect(unnamed, "mine", Family.EMBEDDER).family == Family.EMBEDDER


def test_a_family_without_its_head_is_an_error_and_never_random(tmp_path):
    folder = write_checkpoint(tmp_path, BERT)
    with pytest.raises(BrokenCheckpointError, match="neither sparse_linear nor colbert_linear"):
        inspect(folder, "mine", Family.M3)
    with pytest.raises(BrokenCheckpointError, match="no classification head"):
        inspect(folder, "mine", Family.CROSS_ENCODER)


def test_one_label_makes_a_cross_encoder(tmp_path):
    found = inspect(write_checkpoint(tmp_path, RERANKER, tokenizer={"model_max_length": 512}), "mine")
    assert (found.family, found.outputs, found.dim) == (Family.CROSS_ENCODER, {Output.SCORE}, None)
    assert (found.pooling, found.max_tokens, found.recommended_tokens) == (None, 512, 512)


@pytest.mark.parametrize(
    "labels", [{"id2label": {"0": "no", "1": "yes"}}, {"id2label": None, "num_labels": 3}, {"id2label": None}]
)
def test_more_labels_are_refused(tmp_path, labels):
    with pytest.raises(UnsupportedCheckpointError, match=r"\d labels"):
        inspect(write_checkpoint(tmp_path, RERANKER | labels), "mine")


@pytest.mark.parametrize(
    "config",
    [
        {"architectures": ["MistralModel"], "model_type": "mistral"},
        {"architectures": ["Qwen2ForSequenceClassification"], "model_type": "qwen2", "id2label": {"0": "x"}},
        {"architectures": ["GemmaForCausalLM"], "model_type": "gemma"},
        {"architectures": ["CostWiseGemmaForCausalLM"], "model_type": "cost_wise_gemma"},
        {"architectures": ["T5Model"], "model_type": "t5", "is_encoder_decoder": True},
        {"architectures": ["BertLMHeadModel"], "model_type": "bert", "is_decoder": True},
        {"architectures": ["BertForTokenClassification"], "model_type": "bert"},
        {"architectures": ["CLIPModel"], "model_type": "clip"},
    ],
)
def test_what_is_no_encoder_is_refused(tmp_path, config):
    config = config if config["model_type"] == "clip" else config | {"hidden_size": 384}
    with pytest.raises(UnsupportedCheckpointError, match=r"^mine "):
        inspect(write_checkpoint(tmp_path, config), "mine")


def test_a_network_of_code_beside_the_files_is_marked(tmp_path):
    config = BERT | {
        "model_type": "new",
        "auto_map": {"AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel"},
    }
    assert inspect(write_checkpoint(tmp_path, config), "mine").trust_remote_code
    assert not inspect(write_checkpoint(tmp_path, BERT | {"auto_map": {}}), "mine").trust_remote_code


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("config.json", "{"),
        ("config.json", "[]"),
        ("config.json", '{"hidden_size": 3}'),
        ("config.json", "\ufeff{}"),
        ("modules.json", '{"a": 1}'),
        ("modules.json", "[1]"),
        ("1_Pooling/config.json", '{"pooling_mode": '),
        ("1_Pooling/config.json", '{"word_embedding_dimension": 768, "pooling_mode_cls_token": true}'),
        ("config_sentence_transformers.json", '{"prompts": {"query": 3}}'),
        ("config_sentence_transformers.json", '{"prompts": ["query"]}'),
        ("tokenizer_config.json", "null null"),
    ],
)
def test_a_broken_file_is_named(tmp_path, file, content):
    folder = write_checkpoint(tmp_path, BERT, pooling=CLS)
    (folder / file).write_text(content, encoding="utf-8")
    with pytest.raises(BrokenCheckpointError) as caught:
        inspect(folder, "mine")
    assert str(folder) in str(caught.value)


def test_bytes_that_are_no_text_are_a_broken_file(tmp_path):
    folder = write_checkpoint(tmp_path, BERT)
    (folder / "config.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BrokenCheckpointError, match=r"config\.json cannot be read"):
        inspect(folder, "mine")


def test_a_folder_without_config_says_what_it_holds(tmp_path):
    (tmp_path / "model.onnx").touch()
    with pytest.raises(BrokenCheckpointError, match=r"no config\.json.*model\.onnx"):
        inspect(tmp_path, "mine")


def test_a_likeness_fills_in_what_the_files_do_not_say(tmp_path):
    entry = find("BAAI/bge-small-en-v1.5")
    folder = write_checkpoint(tmp_path, BERT, pooling=CLS, modules=FULL)
    found = inspect(folder, "copy", likeness=entry)
    assert entry is not None
    assert found == replace(entry, name="copy")


def test_what_the_files_say_wins_over_a_likeness(tmp_path):
    entry = find("BAAI/bge-small-en-v1.5")
    own = {"prompts": {"query": "mine: "}}
    folder = write_checkpoint(
        tmp_path, BERT, pooling=CLS, modules=FULL[:2], prompts=own, sentence={"max_seq_length": 99}
    )
    found = inspect(folder, "copy", likeness=entry)
    assert (found.query_instruction, found.normalize, found.recommended_tokens) == ("mine: ", False, 99)
    assert found.licence == "MIT"


@pytest.mark.parametrize(
    ("config", "files"),
    [
        (BERT | {"hidden_size": 768}, {}),
        (BERT | {"max_position_embeddings": 1024}, {}),
        (BERT | {"model_type": "modernbert"}, {}),
        (BERT, {"pooling": MEAN}),
        (RERANKER, {}),
    ],
)
def test_a_likeness_that_does_not_fit_is_left_aside(tmp_path, config, files):
    found = inspect(write_checkpoint(tmp_path, config, **files), "x", likeness=find("BAAI/bge-small-en-v1.5"))
    assert (found.query_instruction, found.licence, found.examples) == ("", "unknown", ())


def test_a_likeness_says_how_to_pool_where_the_files_do_not(tmp_path):
    e5 = inspect(write_checkpoint(tmp_path, BERT), "x", likeness=find("intfloat/e5-small-v2"))
    assert (e5.pooling, e5.query_instruction, e5.document_instruction) == ("mean", "query: ", "passage: ")


def test_a_copy_of_m3_without_heads_promises_the_dense_vector_only_and_says_why(tmp_path):
    found = inspect(write_checkpoint(tmp_path, M3), "copy", likeness=find("BAAI/bge-m3"))
    assert (found.family, found.outputs) == (Family.EMBEDDER, {Output.DENSE})
    assert "lacks colbert_linear and sparse_linear" in found.note
