from __future__ import annotations

import subprocess
import sys

BLOCKED = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0].startswith("llama_index"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
from bge_components.errors import MissingDependencyError
try:
    import bge_components.llama_index
except MissingDependencyError as error:
    print(error)
"""

NOTHING_LOADED = """
import sys
from bge_components.llama_index import BGEEmbedding, BGEReranker
BGEEmbedding("BAAI/bge-m3"), BGEReranker(top_n=3)
print(sorted({"transformers", "llama_index.embeddings", "openai", "langchain_core"} & set(sys.modules)))
"""


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_without_llama_index_the_error_holds_the_pip_line() -> None:
    assert "pip install 'bge-components[llama-index]'" in run(BLOCKED)


def test_making_components_loads_no_model_library() -> None:
    assert run(NOTHING_LOADED) == "[]"
