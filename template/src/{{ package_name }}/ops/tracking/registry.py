"""Registered versions: `challenger` has passed the gate, `champion` is the one that serves."""

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from ..core.errors import UserError
from ..core.files import write_json
from ..core.settings import NAME, Settings
from ..provenance.manifest import Manifest
from . import runs
from .summary import Version

CHAMPION, CHALLENGER = "champion", "challenger"
# The registered model's own tag that lists every champion, oldest first.
HISTORY = "champions"


@runs.explained
def register(settings: Settings, client: MlflowClient, run_id: str, manifest: Manifest) -> Version:
    """Register a run's model as the challenger.

    The same model from the same commit is not registered twice: its version becomes challenger
    again.
    """
    name = settings.model_name
    try:
        client.get_registered_model(name)
    except MlflowException as error:
        if not runs.is_absent(error):
            raise
        client.create_registered_model(name)
    what = (manifest.model_digest, manifest.code.commit or "")
    known = [one.number for one in versions(settings, client) if (one.digest, one.commit) == what]
    if known:
        number = str(known[0])
    else:
        source = f"{client.get_run(run_id).info.artifact_uri}/model"
        tags = dict(zip(("digest", "commit"), what, strict=True))
        number = client.create_model_version(name, source, run_id, tags).version
    client.set_registered_model_alias(name, CHALLENGER, number)
    return _version(client.get_model_version(name, number))


@runs.explained
def versions(settings: Settings, client: MlflowClient) -> list[Version]:
    """Return every version, newest first."""
    found = map(_version, client.search_model_versions(f"name = '{settings.model_name}'"))
    behind = aliases(settings, client)  # a search leaves them out
    named = (
        replace(version, aliases=tuple(sorted(
            alias for alias, number in behind.items() if int(number) == version.number
        )))
        for version in found
    )  # fmt: skip
    return sorted(named, key=lambda version: -version.number)


@runs.explained
def aliases(settings: Settings, client: MlflowClient) -> dict[str, str]:
    """Return the version number behind each alias; empty where nothing was registered yet.

    Raises UserError where the registry cannot be read: that is not the same as no champion.
    """
    try:
        return dict(client.get_registered_model(settings.model_name).aliases)
    except MlflowException as error:
        if not runs.is_absent(error):
            raise
        return {}


@runs.explained
def resolve(settings: Settings, reference: str, client: MlflowClient | None = None) -> Version:
    """Return the version that an alias or a number means.

    Raises UserError where there is none, and where the registry cannot be read.
    """
    client = client or runs.connect(settings)
    by_number = reference.isdecimal()
    number = reference if by_number else aliases(settings, client).get(reference)
    if number is not None:
        try:
            return _version(client.get_model_version(settings.model_name, number))
        except MlflowException as error:
            if not runs.is_absent(error):
                raise
    hint = {
        CHAMPION: f"run `{NAME} promote` once a version is registered",
        CHALLENGER: f"run `{NAME} train`; it registers what passes the gate",
    }.get(reference) or f"there are {', '.join(listed(versions(settings, client))) or 'none'}"
    what = f"version {reference}" if by_number else reference
    raise UserError(f"{settings.model_name} has no {what}; {hint}")


def listed(found: list[Version]) -> list[str]:
    """Return each version's number with its aliases, such as `3 (champion)`."""
    return [
        f"{version.number} ({', '.join(version.aliases)})"
        if version.aliases
        else f"{version.number}"
        for version in found
    ]


@runs.explained
def promote(settings: Settings, reference: str = CHALLENGER) -> tuple[Version, int | None]:
    """Make a version the champion; return it and the number of the one before, if any."""
    client = runs.connect(settings)
    version = resolve(settings, reference, client)
    history = _history(settings, client)
    previous = history[-1] if history else None
    if previous != version.number:
        _crown(settings, client, [*history, version.number])
    return resolve(settings, CHAMPION, client), previous


@runs.explained
def rollback(settings: Settings) -> tuple[Version, int]:
    """Make the champion before the present one champion again; return it and the one that went."""
    client = runs.connect(settings)
    history = _history(settings, client)
    if len(history) < 2:  # noqa: PLR2004
        raise UserError(f"{settings.model_name} has no earlier champion to go back to")
    _crown(settings, client, history[:-1])
    return resolve(settings, CHAMPION, client), history[-1]


@runs.explained
def fetch(settings: Settings, version: Version, into: Path) -> Path:
    """Download all that serving needs of `version` into `into`/bundle; return that folder."""
    client = runs.connect(settings)
    bundle = into / "bundle"
    bundle.mkdir(parents=True, exist_ok=True)
    try:
        return Path(client.download_artifacts(version.run_id, "", str(bundle)))
    except MlflowException:  # which does not say why
        here = sum(path.stat().st_size for path in bundle.rglob("*"))
        missing = _size(client, version.run_id, "") - here
        if shutil.disk_usage(into).free < missing:
            raise UserError(f"{into}: {os.strerror(errno.ENOSPC)}") from None
        raise


def export(settings: Settings, reference: str, into: Path) -> Version:
    """Bring all that a service needs of a version into a folder: bundle/ and release.json."""
    version = resolve(settings, reference)
    fetch(settings, version, into)
    about = {"version": str(version.number), "run_id": version.run_id, "digest": version.digest}
    write_json(into / "release.json", about | {"commit": version.commit})
    return version


def _size(client: MlflowClient, run_id: str, path: str) -> int:
    """Return the bytes of a run's artifacts in the folder `path`."""
    return sum(
        _size(client, run_id, found.path) if found.is_dir else found.file_size or 0
        for found in client.list_artifacts(run_id, path)
    )


def _crown(settings: Settings, client: MlflowClient, history: list[int]) -> None:
    # The alias first: it decides what serves, and _history trusts it over the list.
    client.set_registered_model_alias(settings.model_name, CHAMPION, str(history[-1]))
    client.set_registered_model_tag(settings.model_name, HISTORY, json.dumps(history))


def _history(settings: Settings, client: MlflowClient) -> list[int]:
    """Return the champions, oldest first; the last one is the alias's, whatever the list says."""
    model = client.get_registered_model(settings.model_name)
    try:
        history = [int(number) for number in json.loads(model.tags.get(HISTORY, "[]"))]
    except (TypeError, ValueError):
        raise UserError(
            f"the tag {HISTORY} of {settings.model_name} is damaged; "
            "set it in MLflow to the list of champions, such as [1, 2]"
        ) from None
    champion = model.aliases.get(CHAMPION)
    if champion is None:
        return []
    # The alias moves first, so a list that does not end with it was cut short by a crash.
    current = int(champion)
    if current in history:
        return history[: len(history) - history[::-1].index(current)]
    return [*history, current]


def _version(found: ModelVersion) -> Version:
    return Version(
        name=found.name,
        number=int(found.version),
        run_id=str(found.run_id),
        digest=str(found.tags.get("digest", "")),
        commit=str(found.tags.get("commit", "")),
        aliases=tuple(sorted(found.aliases)),
    )
