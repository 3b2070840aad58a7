import sys

import pytest

from bge_components.bench.workloads.fresh import FreshProcessError, run_fresh


def run(code: str, **given):
    return run_fresh(sys.executable, ["-c", code], threads=1, **{"limit_s": 20, **given})


def test_a_process_is_given_json_and_its_last_line_is_read() -> None:
    code = (
        "import json, os, sys; print('noise'); "
        "print(json.dumps({'got': json.load(sys.stdin), 'omp': os.environ['OMP_NUM_THREADS']}))"
    )

    done = run(code, given=[1, "two"])

    assert done.said == {"got": [1, "two"], "omp": "1"}
    assert done.seconds > 0


def test_a_process_need_not_say_anything() -> None:
    assert run("pass").said == {}


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("raise SystemExit('a reason')", "code 1: a reason"),
        ("print('[1]')", "expected one JSON object"),
        ("print('words')", "words"),
    ],
)
def test_a_process_that_fails_says_why(code: str, told: str) -> None:
    with pytest.raises(FreshProcessError, match=told):
        run(code)


def test_a_process_that_takes_too_long_is_ended() -> None:
    with pytest.raises(FreshProcessError, match=r"within 0\.3 s"):
        run("import time; time.sleep(60)", limit_s=0.3)
