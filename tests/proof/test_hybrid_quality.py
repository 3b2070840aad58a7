"""What the parts of the query plan are worth with the packaged checkpoint, on real retrieval sets."""

import sys

import pytest

from support.patience import encodes_a_whole_set
from support.shared import REPOSITORY, shared_path

sys.path.insert(0, str(REPOSITORY))
from benchmarks.quality import measured, read_set

pytestmark = encodes_a_whole_set

LEAST = {
    "scifact": {"fused": 0.70, "fused + late interaction": 0.72},
    "xquad/en": {"fused + late interaction": 0.975, "late interaction": 0.975},
    "cranfield": {},
}


@pytest.mark.parametrize("name", LEAST)
def test_the_plan_reaches_what_it_promises_and_never_harms(name, capsys):
    found = measured(read_set(shared_path("data", "retrieval", *name.split("/"))))
    with capsys.disabled():
        sys.stdout.write(f"\n{name}: " + ", ".join(f"{plan} {value:.4f}" for plan, value in found.items()))
    for plan, least in LEAST[name].items():
        assert found[plan] >= least
    parts = ("dense", "bm25", "late interaction")
    best = max(found[part] for part in parts)
    for plan in ("fused", "fused + late interaction"):
        reached = max(found[part] for part in parts[:2]) if plan == "fused" else best
        assert found[plan] >= reached - 0.01
