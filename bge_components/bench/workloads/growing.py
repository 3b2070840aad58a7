"""The process that `growth` starts for each number of texts: it encodes them and says what that took."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import cycle, islice

from ...assembly import ModelArguments, make_encoder
from ...encoders import Encoder, EncoderSettings
from ...pool import CHUNK, ModelPool
from ...settings import PoolSettings
from ..systems.worker import peak_bytes

WARM_UP = 64


def main() -> None:
    """Read {"model", "texts", "count"} from standard input; write what encoding `count` texts took as JSON."""
    given = json.load(sys.stdin)
    with ModelPool(PoolSettings(memo_s=0)) as pool:
        arguments = ModelArguments(model=given["model"])
        encoder = make_encoder(arguments, EncoderSettings(on_truncation="ignore"), pool)
        sys.stdout.write(json.dumps(_grown(encoder, given["texts"], given["count"])) + "\n")


def _grown(encoder: Encoder, texts: Sequence[str], count: int) -> dict[str, object]:
    encoder.encode(texts[:WARM_UP])
    before, busy_before_s = peak_bytes(), _busy_s(encoder)
    started = time.perf_counter()
    encoding = encoder.encode(_endless(texts, count))
    seconds = time.perf_counter() - started
    peak = peak_bytes()
    return {
        "seconds": seconds,
        "tokens": int(encoding.tokens.sum()),
        "before_bytes": before,
        "peak_bytes": peak,
        "result_bytes": encoding.need_dense().values.nbytes,
        "dtype": encoder.pool.warm_up(encoder.source).dtype,
        "computing_s": _busy_s(encoder) - busy_before_s,
        "tokenising_s": _tokenising_s(encoder, _endless(texts, count)),
    }


def _busy_s(encoder: Encoder) -> float:
    return sum(device.busy_s for device in encoder.pool.stats().devices)


def _endless(texts: Sequence[str], count: int) -> Iterator[str]:
    return islice(cycle(texts), count)


def _tokenising_s(encoder: Encoder, texts: Iterator[str]) -> float:
    """Time the tokeniser alone, in the pieces in which the encoder calls it."""
    with encoder.pool.lease(encoder.source) as lease:
        started = time.perf_counter()
        for piece in _pieces(texts, CHUNK):
            lease.tokenizer.encode(piece, lease.info.max_tokens)
        return time.perf_counter() - started


def _pieces(texts: Iterator[str], size: int) -> Iterator[list[str]]:
    while piece := list(islice(texts, size)):
        yield piece


if __name__ == "__main__":
    main()
