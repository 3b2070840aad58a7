from __future__ import annotations

from llama_index.core.storage.kvstore import SimpleKVStore

from bge_components.llama_index.vector_cache import VectorCache


async def test_what_was_put_is_found_both_ways() -> None:
    store = SimpleKVStore()
    cache = VectorCache(store, {"role": "query"})

    cache.put({"a": [1.0], "b": [2.0]})
    await cache.aput({"c": [3.0]})

    assert cache.get(["a", "c", "x", "a"]) == {"a": [1.0], "c": [3.0]}
    assert await cache.aget(["b", "c", "x"]) == {"b": [2.0], "c": [3.0]}


def test_other_settings_find_nothing() -> None:
    store = SimpleKVStore()
    VectorCache(store, {"role": "query", "dimensions": 8}).put({"a": [1.0]})

    assert VectorCache(store, {"role": "document", "dimensions": 8}).get(["a"]) == {}
    assert VectorCache(store, {"role": "query", "dimensions": 80}).get(["a"]) == {}
    assert VectorCache(store, {"role": "query", "dimensions": 8}).get(["a"]) == {"a": [1.0]}


def test_a_text_and_an_instruction_cannot_be_shifted_into_each_other() -> None:
    short = VectorCache(SimpleKVStore(), {"instruction": "find"})
    long = VectorCache(SimpleKVStore(), {"instruction": "find: "})

    assert short.key(": it") != long.key("it")
    assert short.key("it") != VectorCache(SimpleKVStore(), {"instruction": None}).key("findit")


def test_a_cached_vector_is_nobody_elses_list() -> None:
    cache = VectorCache(SimpleKVStore(), {})
    mine = [1.0]
    cache.put({"a": mine})
    mine[0] = 9.0
    cache.get(["a"])["a"][0] = 8.0

    assert cache.get(["a"]) == {"a": [1.0]}
