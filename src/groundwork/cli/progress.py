"""Progress of what takes longer than a second, on stderr."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)


class Work:
    """Work under way: a line that moves on a terminal, and nothing where stderr is none."""

    def __init__(self, what: str, total: int | None = None) -> None:
        """Name the work, and how many parts it has where that is known."""
        counted = [BarColumn(), MofNCompleteColumn()] if total else []
        self.shown = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            *counted,
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
            # What a command prints on stdout stays there.
            redirect_stdout=False,
            disable=not sys.stderr.isatty(),
        )
        self.task = self.shown.add_task(what, total=total)

    def on(self, what: str) -> None:
        """Say what is worked on now."""
        self.shown.update(self.task, description=what)

    def done(self) -> None:
        """Count one part more."""
        self.shown.advance(self.task)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the terminal to what is printed or asked meanwhile."""
        self.shown.stop()
        try:
            yield
        finally:
            self.shown.start()


@contextmanager
def working(what: str, total: int | None = None) -> Iterator[Work]:
    """Show progress until the work has ended, however it ends."""
    work = Work(what, total)
    with work.shown:
        yield work
