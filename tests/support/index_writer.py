"""Writes documents into an index until it is killed: `python -m support.index_writer FOLDER FIRST`.

Says "N" when document N was acknowledged. Every third document has several windows, every fifth is replaced once.
"""

import sys

from bge_components.backends.fake import FakeSource
from bge_components.encoders import Encoder
from bge_components.pool import ModelPool
from bge_components.retrieval import Document, HybridIndex, IndexSettings
from bge_components.settings import PoolSettings

SETTINGS = IndexSettings(window_tokens=32, overlap_tokens=4)
AT_ONCE = 5


def opened(folder):
    """Open the index, for writing and for checking alike."""
    pool = ModelPool(PoolSettings(devices=("cpu",)))
    return HybridIndex.open(folder, Encoder(FakeSource("fake"), None, pool), SETTINGS)


def document(number):
    """Give document N as it is in the end."""
    words = 150 if number % 3 == 0 else 5
    text = f"begin{number} " + " ".join(f"word{number}x{n}" for n in range(words)) + f" end{number}"
    return Document(id=f"document {number}", text=text, metadata={"number": number})


def main():
    """Write without end."""
    with opened(sys.argv[1]) as index:
        first = int(sys.argv[2])
        print("opened", flush=True)
        while True:
            numbers = range(first, first + AT_ONCE)
            early = [number for number in numbers if number % 5 == 0]
            index.add([Document(id=f"document {number}", text="early " * 60) for number in early])
            index.upsert([document(number) for number in numbers])
            print(*numbers, flush=True)
            first += AT_ONCE


if __name__ == "__main__":
    main()
