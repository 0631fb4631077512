"""Where the project stands, in a few lines.

Each line stands alone: one that cannot be read says why, and the others are shown. A library that
takes long to import is imported by the line that needs it.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

from ..core.errors import UserError
from ..core.settings import Settings

if TYPE_CHECKING:
    from mlflow.tracking import MlflowClient

    from ..tracking.registry import Version


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
    def connected() -> "tuple[MlflowClient | None, str]":
        """Ask MLflow once: a server that does not answer makes nobody wait twice."""
        from ..tracking import runs

        try:
            return runs.connect(settings), ""
        except UserError as error:
            return None, str(error)

    def client() -> "MlflowClient":
        found, why = connected()
        if found is None:
            raise UserError(why)
        return found

    def latest() -> str:
        from ..tracking import runs

        return runs.find(settings, client(), "latest")

    def alias(name: str) -> str:
        from ..tracking import registry

        return _version(registry.resolve(settings, name, client()))

    def versions() -> str:
        from ..tracking import registry

        return str(len(registry.versions(settings, client())))

    return {
        "commit": lambda: _commit(settings),
        "data": lambda: _data(settings),
        "lock": lambda: "; ".join(lock.problems(settings.root)) or "agrees with pyproject.toml",
        "packages": lambda: "; ".join(lock.drifted(settings.root)) or "as locked",
        "serving": lambda: _serving(settings),
        "tracking": lambda: settings.tracking_uri,
        "last run": latest,
        "champion": lambda: alias("champion"),
        "challenger": lambda: alias("challenger"),
        "versions": versions,
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


def _version(version: "Version") -> str:
    return f"version {version.number}, digest {version.digest[:12]}, commit {version.commit[:12]}"
