"""A long list in batches, and how far all of them together are."""

from __future__ import annotations

from ..contracts import Progress, ProgressCallback


def batches_of(texts: list[str], size: int) -> list[list[str]]:
    """Cut a list into batches of at most `size`."""
    return [texts[start : start + size] for start in range(0, len(texts), size)]


class BatchProgress:
    """Adds up how far the batches of one job are, for one bar."""

    def __init__(self, report: ProgressCallback | None, total: int) -> None:
        """Set up.

        Args:
            report: Gets the sum; None reports nothing.
            total: Texts in all batches.
        """
        self._report = report
        self._total = total
        self._done: list[int] = []

    def part(self, count: int) -> ProgressCallback | None:
        """Give the callback of one batch of `count` texts; what of it is not computed counts as done at once."""
        report = self._report
        if report is None:
            return None
        place = len(self._done)
        self._done.append(0)

        def add(progress: Progress) -> None:
            self._done[place] = count - progress.total + progress.done
            report(Progress(sum(self._done), self._total))

        return add
