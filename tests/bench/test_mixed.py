from pathlib import Path

from bge_components.bench.workloads import mixed
from bge_components.bench.workloads.mixed import ALONE, BULK, QUERIES, TOGETHER
from bge_components.bench.workloads.mixing import Mixing
from bge_components.bench.workloads.ours import our_pool, plain_encoder
from support.tiny_bench import tiny_bench


def test_queries_and_documents_are_measured_alone_and_at_once(tiny_bert: Path, tmp_path) -> None:
    found = {(one.workload, one.system): one for one in mixed.measure(tiny_bench(tmp_path, tiny_bert))}

    assert set(found) == {(kind, system) for kind in (QUERIES, BULK) for system in (ALONE, TOGETHER)}
    numbers = found[QUERIES, TOGETHER].numbers
    alone = found[QUERIES, ALONE].numbers
    assert numbers["allowed_p99_ms"] == 3 * alone["p99_ms"] + numbers["batch_ms"]
    assert numbers["p99_ms"] >= numbers["p50_ms"] > 0
    assert found[BULK, ALONE].tokens > 0
    assert "lost_percent" in found[BULK, TOGETHER].numbers


def test_queries_are_not_counted_as_documents(tiny_bert: Path) -> None:
    with our_pool(threads=1) as pool:
        encoder = plain_encoder(tiny_bert, pool)
        work = Mixing(
            encoder, encoder.encode, ["the pool"], [int(encoder.encode(["the pool"]).tokens[0])], ["a text"]
        )

        window = work.window(0.1, asked=True, bulk=False)

    assert len(window.latencies_s) >= 2
    assert window.bulk_tokens == 0
    assert window.batch_s > 0
