from pathlib import Path

from bge_components.bench.workloads import ours, outputs
from bge_components.bench.workloads.ours import in_turns
from support.tiny_bench import FORMS, tiny_bench


def test_each_set_of_outputs_is_measured_beside_dense_alone(
    tiny_m3: Path, tiny_bert: Path, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(ours, "_FORMS", FORMS)
    bench = tiny_bench(tmp_path, tiny_bert, tiny_m3)

    found = list(outputs.measure(bench))

    systems = [one.system.removeprefix("bge_components fp32 ") for one in found]
    assert systems == ["dense", "dense + sparse", "dense + sparse + multi"]
    assert {one.shape for one in found} == {bench.shapes[1].name}
    assert all(len(one.seconds) == 2 and min(one.seconds) > 0 for one in found)
    assert found[0].numbers["over_dense_percent"] == 0
    dense, sparse, everything = (one.flops for one in found)
    assert dense < sparse < everything


def test_as_many_texts_are_taken_as_can_be_afforded(tiny_bert: Path, tmp_path) -> None:
    shape = tiny_bench(tmp_path, tiny_bert).shapes[0]
    lengths = [10] * 50

    assert ours.affordable(shape, lengths, shape.flops([10] * 20)) == 20
    assert ours.affordable(shape, lengths, 0) == ours.LEAST_TEXTS
    assert ours.affordable(shape, lengths, 1e30) == 50
    assert ours.affordable(shape, lengths[:2], 0) == 2


def test_names_carry_the_number_format_as_other_systems_do() -> None:
    names = [ours.named_ours("bulk", ours.short_form(dtype)) for dtype in ("float32", "bfloat16", "int8")]

    assert names == [f"bge_components {form} bulk" for form in ("fp32", "bf16", "int8")]


def test_a_job_that_gives_up_is_left_out_and_the_others_go_on() -> None:
    given = iter([1, None, 3])

    found = in_turns({"steady": lambda: 7, "gives up": lambda: next(given)}, 3)

    assert found == {"steady": [7, 7, 7]}
