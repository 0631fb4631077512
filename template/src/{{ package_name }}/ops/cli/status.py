"""Where the project stands, in a few lines.

Each line stands alone: one that cannot be read says why, and the others are shown. A library that
takes long to import is imported by the line that needs it.
"""

from collections.abc import Callable, Iterator
from functools import cache

from ..core.errors import UserError
from ..core.settings import Settings
from ..tracking.summary import Summary, summary


def lines(settings: Settings) -> Iterator[str]:
    """Return one line for each thing that matters, each as soon as it is known."""
    for name, read in _lines(settings).items():
        try:
            text = read()
        except UserError as error:
            text = f"- ({error})"
        yield f"{name:<11}{text}"


def _lines(settings: Settings) -> dict[str, Callable[[], str]]:
    from ..provenance import lock

    @cache
    def asked() -> Summary | UserError:
        """Ask the store once: a server that does not answer makes nobody wait twice."""
        try:
            return summary(settings)
        except UserError as error:
            return error

    def store() -> Summary:
        found = asked()
        if isinstance(found, UserError):
            raise found
        return found

    return {
        "commit": lambda: _commit(settings),
        "data": lambda: _data(settings),
        "lock": lambda: "; ".join(lock.problems(settings.root)) or "agrees with pyproject.toml",
        "packages": lambda: "; ".join(lock.drifted(settings.root)) or "as locked",
        "serving": lambda: _serving(settings),
        "tracking": lambda: settings.tracking_uri,
        "last run": lambda: store().latest(),
        "champion": lambda: store().behind("champion"),
        "challenger": lambda: store().behind("challenger"),
        "versions": lambda: str(len(store().versions)),
    }


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
