"""Where the project stands, in a few lines.

Each line stands alone: one that cannot be read says why, and the others are shown. A library that
takes long to import is imported by the line that needs it.
"""

from collections.abc import Callable, Iterator
from functools import partial

from ..core.errors import UserError, clean
from ..core.settings import Settings
from ..tracking.summary import Summary, summary

# What is said of the runs and versions in the store.
STORED: dict[str, Callable[[Summary], str]] = {
    "last run": Summary.latest,
    "champion": lambda store: store.behind("champion"),
    "challenger": lambda store: store.behind("challenger"),
    "versions": lambda store: str(len(store.versions)),
}


def lines(settings: Settings) -> Iterator[str]:
    """Return one line for each thing that matters, each as soon as it is known."""
    from ..provenance import lock

    yield _line("commit", lambda: _commit(settings))
    yield _line("data", lambda: _data(settings))
    agrees = "agrees with pyproject.toml"
    yield _line("lock", lambda: "; ".join(lock.problems(settings.root)) or agrees)
    yield _line("packages", lambda: "; ".join(lock.drifted(settings.root)) or "as locked")
    yield _line("serving", lambda: _serving(settings))
    yield _line("tracking", lambda: clean(settings.tracking_uri))
    try:
        store = summary(settings)
    except UserError as error:  # a server that does not answer makes nobody wait twice
        yield from (f"{name:<11}- ({error})" for name in STORED)
        return
    for name, read in STORED.items():
        yield _line(name, partial(read, store))


def _line(name: str, read: Callable[[], str]) -> str:
    try:
        return f"{name:<11}{read()}"
    except UserError as error:
        return f"{name:<11}- ({error})"


def _commit(settings: Settings) -> str:
    from ..provenance.git import git_state

    commit, dirty = git_state(settings.root)
    if commit is None:
        return "none yet"
    return f"{commit[:12]}, {len(dirty)} files changed since" if dirty else f"{commit[:12]}, clean"


def _data(settings: Settings) -> str:
    from ..data.record import HOLDOUT, TRAIN, verified

    rows = verified(settings).rows
    return f"{rows[TRAIN]} rows to train on, {rows[HOLDOUT]} held out, as recorded"


def _serving(settings: Settings) -> str:
    from ..delivery import deploy

    return deploy.summary(settings)
