"""The doorway to a Qdrant client: so many requests at a time, again where that helps, errors in our words."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

from .connection import Connection
from .faults import Fault, fault_of, translated
from .settings import QdrantSettings
from .turns import Turns


class QdrantCalls:
    """Sends requests on one collection. Any thread may; those beyond `max_in_flight` wait for their turn.

    Writes are sent again like reads: they name their points, so that twice is the same as once.

    Args:
        connection: The client, which bears one caller at a time in its local mode.
        collection: Its name.
        settings: How many at a time, and how often again.
        sleep: Waits so many seconds.
    """

    def __init__(
        self,
        connection: Connection,
        collection: str,
        settings: QdrantSettings,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._connection = connection
        self._collection = collection
        self._settings = settings
        self._sleep = sleep
        self._turns = Turns(1 if connection.local else settings.max_in_flight)

    def __call__(self, action: str, *, patient: bool = True, **arguments: Any) -> Any:
        """Call a method of the client.

        Args:
            action: Its name.
            patient: Whether to send again what could not even be connected; a first contact does not.
            **arguments: What it takes besides the collection's name.

        Raises:
            EngineError: If it failed, for good or once more than `retries` allows.
            IndexFullError: If the server has no room on its disk.
        """
        method = getattr(self._connection.client, action)
        sent = 0
        while True:
            sent += 1
            try:
                with self._turns:
                    return method(collection_name=self._collection, **arguments)
            except Exception as error:
                fault = fault_of(error)
                wait_s = self._wait_s(fault, sent, patient)
                if wait_s is None:
                    asked = f"{action} of collection {self._collection!r}"
                    raise translated(fault, asked, self._connection.place, sent) from error
            self._sleep(wait_s)

    def _wait_s(self, fault: Fault, sent: int, patient: bool) -> float | None:
        """Give the seconds until the request is sent again; None if it is not.

        "Equal jitter": half of an exponentially growing wait is fixed and half is drawn, so that clients that failed
        together do not come back together; on top of what the server asks for.
        """
        settings = self._settings
        hopeless = not fault.passing or (fault.unreachable and not patient)
        asked_s = fault.retry_after_s or 0.0
        if hopeless or sent > settings.retries or asked_s > settings.longest_wait_s:
            return None
        backoff_s = min(settings.backoff_s * 2.0 ** (sent - 1), settings.longest_wait_s)
        return asked_s + backoff_s * random.uniform(0.5, 1.0)
