"""Registered versions: `challenger` has passed the gate, `champion` is the one that serves."""

import errno
import json
import os
import shutil
from dataclasses import replace
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

from ..core.errors import UserError
from ..core.files import load_json, sha256_folder, write_json
from ..core.settings import NAME, Settings
from ..provenance import workspace
from ..provenance.manifest import Manifest
from . import runs, signing
from .summary import Version

CHAMPION, CHALLENGER = "champion", "challenger"
# The registered model's own tag that lists every champion, oldest first.
HISTORY = "champions"


@runs.explained
def register(
    settings: Settings, client: MlflowClient, run_id: str, manifest: Manifest, bundle: str
) -> Version:
    """Register a run's model as the challenger; `bundle` is the hash of the files that it logged.

    The same model from the same commit is not registered twice: its version becomes challenger
    again.
    """
    name = settings.model_name
    if _model(settings, client) is None:
        client.create_registered_model(name)
    what = (manifest.model_digest, manifest.code.commit or "")
    known = [
        one.number
        for one in versions(settings, client)
        if (one.digest, one.commit) == what and one.bundle
    ]
    if known:
        number = str(known[0])
    else:
        source = f"{client.get_run(run_id).info.artifact_uri}/model"
        tags = dict(zip(("digest", "commit", "bundle"), (*what, bundle), strict=True))
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
    model = _model(settings, client)
    return dict(model.aliases) if model else {}


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
            found = client.get_model_version(settings.model_name, number)
            return _version(runs.answered(found, settings.model_name))
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
def retire(settings: Settings) -> int:
    """Have no champion and no challenger, as before the first; return the champion's number."""
    client = runs.connect(settings)
    number = resolve(settings, CHAMPION, client).number
    # The champion last: cut short, it can be done again.
    for alias in (CHALLENGER, CHAMPION):
        client.delete_registered_model_alias(settings.model_name, alias)
    return number


@runs.explained
def sign(settings: Settings, reference: str) -> Version:
    """Sign a version, once its files proved to be those that were registered; return it."""
    client = runs.connect(settings)
    version = resolve(settings, reference, client)
    with workspace.scratch(settings.var_dir) as folder:
        fetch(settings, version, folder)
    signed = signing.sign(settings, version)
    client.set_model_version_tag(version.name, str(version.number), "signature", signed.signature)
    return signed


@runs.explained
def fetch(settings: Settings, version: Version, into: Path) -> Path:
    """Download all that serving needs of `version` into `into`/bundle; return that folder.

    Raises UserError where its files are not those that were registered: nothing was loaded then.
    """
    client = runs.connect(settings)
    bundle = into / "bundle"
    shutil.rmtree(bundle, ignore_errors=True)  # what is left of another time is not the version's
    bundle.mkdir(parents=True)
    try:
        client.download_artifacts(version.run_id, "", str(bundle))
    except MlflowException:  # which does not say why
        here = sum(path.stat().st_size for path in bundle.rglob("*"))
        missing = _size(client, version.run_id, "") - here
        if shutil.disk_usage(into).free < missing:
            raise UserError(f"{into}: {os.strerror(errno.ENOSPC)}") from None
        raise
    # MLflow leaves it in the store where somebody loads a version; nothing reads it.
    (bundle / "model" / "registered_model_meta").unlink(missing_ok=True)
    _prove(bundle, version)
    return bundle


def export(settings: Settings, reference: str, into: Path) -> Version:
    """Bring all that a service needs of a version into a folder: bundle/ and release.json."""
    version = resolve(settings, reference)
    signing.verify(settings, version)
    fetch(settings, version, into)
    about = {name: getattr(version, name) for name in ("run_id", "digest", "bundle", "commit")}
    write_json(into / "release.json", {"version": str(version.number), **about})
    return version


def _prove(bundle: Path, version: Version) -> None:
    """Raise UserError unless `bundle` is, byte for byte, what the registry says of `version`."""
    found = sha256_folder(bundle)
    if not version.bundle:
        raise UserError(
            f"version {version.number} has no tag `bundle`, so nothing vouches for its files; "
            f"train again, or set the tag in MLflow to {found} if you know that they are right"
        )
    made = load_json(bundle / "provenance.json", Manifest) if found == version.bundle else None
    if made is None or (made.model_digest, made.code.commit) != (version.digest, version.commit):
        raise UserError(
            f"the files of version {version.number} are not those that were registered: "
            f"they, or the tags in the registry, were changed; train again"
        )


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


def _model(settings: Settings, client: MlflowClient) -> RegisteredModel | None:
    """Return the registered model, or none where MLflow says that it does not exist."""
    try:
        found = client.get_registered_model(settings.model_name)
    except MlflowException as error:
        if not runs.is_absent(error):
            raise
        return None
    return runs.answered(found, settings.model_name)


def _history(settings: Settings, client: MlflowClient) -> list[int]:
    """Return the champions, oldest first; the last one is the alias's, whatever the list says."""
    model = _model(settings, client)
    champion = model.aliases.get(CHAMPION) if model else None
    if model is None or champion is None:
        return []
    try:
        history = [int(number) for number in json.loads(model.tags.get(HISTORY, "[]"))]
    except (TypeError, ValueError):
        raise UserError(
            f"the tag {HISTORY} of {settings.model_name} is damaged; "
            "set it in MLflow to the list of champions, such as [1, 2]"
        ) from None
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
        bundle=str(found.tags.get("bundle", "")),
        signature=str(found.tags.get("signature", "")),
    )
