from __future__ import annotations

import pytest

from house.sealed import run_sealed


@pytest.mark.parametrize(
    "code",
    [
        "socket.create_connection(('localhost', 1))",
        "socket.socket().connect(('127.0.0.1', 1))",
        "import urllib.request; urllib.request.urlopen('http://localhost:1')",
        "import http.client; http.client.HTTPSConnection('localhost', 1).request('GET', '/')",
        "import asyncio; asyncio.run(asyncio.open_connection('127.0.0.1', 1))",
    ],
)
def test_asking_for_the_network_fails_even_if_the_error_is_swallowed(code: str) -> None:
    done = run_sealed(f"try:\n    {code}\nexcept OSError:\n    pass\n")

    assert done.returncode == 1
    assert "the network was asked for" in done.stderr


def test_an_event_loop_runs_in_the_seal() -> None:
    assert run_sealed("import asyncio\nasyncio.run(asyncio.sleep(0))\n").returncode == 0
