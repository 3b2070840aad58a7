"""A progress bar for long work, off unless asked for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from ..contracts import Progress, ProgressCallback


@contextmanager
def progress_bar(description: str, *, show: bool) -> Iterator[ProgressCallback | None]:
    """Show a bar on stderr while the block runs.

    Args:
        description: What is being done.
        show: If False, nothing is shown and None is given.

    Yields:
        A callback to hand to `CallOptions.progress`.
    """
    if not show:
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bar

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=False) as bar:
        task = bar.add_task(description, total=None)

        def advance(progress: Progress) -> None:
            bar.update(task, completed=progress.done, total=progress.total)

        yield advance
