"""Where the project stands, in a few lines."""

from collections.abc import Callable

from ..core.errors import UserError
from ..core.settings import Settings
from ..data import dataset
from ..delivery import deploy
from ..provenance import lock
from ..provenance.git import git_state
from ..tracking import registry, runs


def lines(settings: Settings) -> list[str]:
    """Return one line for each thing that matters; what cannot be told says why."""
    client = runs.connect(settings)
    told: dict[str, Callable[[], str]] = {
        "commit": lambda: _commit(settings),
        "data": lambda: _data(settings),
        "lock": lambda: "; ".join(lock.problems(settings.root)) or "agrees with pyproject.toml",
        "packages": lambda: "; ".join(lock.drifted(settings.root)) or "as locked",
        "tracking": lambda: settings.tracking_uri,
        "last run": lambda: runs.find(settings, client, "latest"),
        "champion": lambda: _version(registry.resolve(settings, registry.CHAMPION, client)),
        "challenger": lambda: _version(registry.resolve(settings, registry.CHALLENGER, client)),
        "serving": lambda: deploy.summary(settings),
        "versions": lambda: str(len(registry.versions(settings, client))),
    }
    return [f"{name:<11}{_said(tell)}" for name, tell in told.items()]


def _said(tell: Callable[[], str]) -> str:
    try:
        return tell()
    except UserError as error:
        return f"- ({error})"


def _commit(settings: Settings) -> str:
    commit, dirty = git_state(settings.root)
    if commit is None:
        return "none yet"
    return f"{commit[:12]}, {len(dirty)} files changed since" if dirty else f"{commit[:12]}, clean"


def _data(settings: Settings) -> str:
    split = dataset.read(settings)
    return f"{len(split.train)} rows to train on, {len(split.holdout)} held out, as recorded"


def _version(version: registry.Version) -> str:
    return f"version {version.number}, digest {version.digest[:12]}, commit {version.commit[:12]}"
