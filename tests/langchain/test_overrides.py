"""Family and pooling can be overridden from the component, for folders that say nothing or the wrong thing."""

from pathlib import Path

import numpy as np
import pytest

from bge_components.errors import BGEError, InputError
from bge_components.langchain import BGEEmbeddings
from bge_components.pool import ModelPool
from bge_components.settings import PoolSettings


def test_pooling_can_be_overridden(tiny_bert: Path) -> None:
    with ModelPool(PoolSettings(devices=("cpu",))) as pool:
        cls = BGEEmbeddings(model=tiny_bert, pool=pool).embed_query("a text of some words")
        mean = BGEEmbeddings(model=tiny_bert, pooling="mean", pool=pool).embed_query("a text of some words")
        same = BGEEmbeddings(model=tiny_bert, pooling="cls", pool=pool).embed_query("a text of some words")
        assert cls == same
        assert not np.allclose(cls, mean)
        assert len(pool.stats().models) == 2


def test_a_family_that_contradicts_the_files_is_an_error(tiny_bert: Path) -> None:
    with ModelPool(PoolSettings(devices=("cpu",))) as pool:
        with pytest.raises(BGEError, match=r"linear|head|m3"):
            BGEEmbeddings(model=tiny_bert, family="m3", pool=pool).embed_query("a text")
        with pytest.raises(InputError):
            BGEEmbeddings(model=tiny_bert, family="llm", pool=pool)


def test_batch_settings_cap_the_batches_of_a_component() -> None:
    with ModelPool(PoolSettings(devices=("cpu",), memo_s=0)) as pool:
        texts = [f"text number {number}" for number in range(40)]
        BGEEmbeddings(model="any", backend="fake", pool=pool).embed_documents(texts)
        together = pool.stats().devices[0].batches
        BGEEmbeddings(model="any", backend="fake", batch_size=4, pool=pool).embed_documents(texts)
        assert together == 1
        assert pool.stats().devices[0].batches == together + 10
