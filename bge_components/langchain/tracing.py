"""A call as a run in LangChain's trace: started, ended, and ended with its error, for blocking and async callers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackManager,
    AsyncCallbackManagerForChainRun,
    CallbackManager,
    CallbackManagerForChainRun,
    Callbacks,
)
from langchain_core.runnables import ensure_config


@contextmanager
def traced(
    name: str, inputs: dict[str, Any], callbacks: Callbacks | None
) -> Iterator[CallbackManagerForChainRun]:
    """Run the block as a run called `name`; the block itself reports how it ended well, with `on_chain_end`."""
    manager = CallbackManager.configure(_handlers(callbacks))
    run = manager.on_chain_start(None, inputs, name=name)
    try:
        yield run
    except BaseException as error:
        run.on_chain_error(error)
        raise


@asynccontextmanager
async def atraced(
    name: str, inputs: dict[str, Any], callbacks: Callbacks | None
) -> AsyncIterator[AsyncCallbackManagerForChainRun]:
    """Do the same for async callers; a cancelled call ends its run with the cancellation."""
    manager = AsyncCallbackManager.configure(_handlers(callbacks))
    run = await manager.on_chain_start(None, inputs, name=name)
    try:
        yield run
    except BaseException as error:
        await run.on_chain_error(error)
        raise


def _handlers(callbacks: Callbacks | None) -> Callbacks | None:
    """Give the handlers that were handed over, else those of the runnable that is calling."""
    return callbacks if callbacks is not None else ensure_config().get("callbacks")
