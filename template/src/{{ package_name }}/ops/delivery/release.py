"""Releases: what a registered version needs to answer, in a folder.

A release is bundle/ (the model and what is known of it) and release.json. What is the same in every
environment is here; what differs is a driver's: local.py, and one for each deploy target.
"""

import contextlib
import http.client
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from pydantic import BaseModel, ConfigDict

from ..core.errors import UserError
from ..core.files import load_json, write_json
from ..core.settings import Settings

if TYPE_CHECKING:
    from ..tracking.summary import Version
    from .canary import Counter

Address = tuple[str, int]
# What the history keeps of a release.
RECORDED = {"version", "digest", "run_id", "commit", "image"}


class Release(BaseModel):
    """release.json: what a release is, and how its environment runs it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: str
    digest: str
    run_id: str
    commit: str
    bundle: str = ""
    package: str = ""
    python: str = ""
    source: str = ""
    environment: dict[str, str] = {}
    image: str | None = None

    @classmethod
    def of(cls, version: "Version", **how: Any) -> "Release":
        """Return the release of a registered version."""
        known = {name: getattr(version, name) for name in ("digest", "run_id", "commit", "bundle")}
        return cls(version=str(version.number), **known, **how)


class Driver(Protocol):
    """What an environment has to be able to do."""

    settings: Settings
    folder: Path
    releases: "Releases"

    def check(self) -> None:
        """Raise UserError where nothing can be deployed."""

    def build(self, number: int, reference: str) -> Release:
        """Bring together all that a registered version needs, and write release.json last."""

    def start(self, number: int) -> "Counter":
        """Start a release beside the one that answers; return its counter once it is ready."""

    def share(self, number: int) -> "tuple[Counter, Counter] | None":
        """Let it have a part of the requests; return the counters of the old one and of it.

        None where no other release answers, or the requests cannot be divided.
        """

    def switch(self, number: int) -> None:
        """Let it have all requests, and end the old one; if it fails first, the old one goes on."""

    def abandon(self, number: int) -> None:
        """End a release that was started, and did not prove right."""

    def stop(self) -> None:
        """Answer no more."""

    def status(self) -> dict[str, Any]:
        """Return environment, state (`answering` or `stopped`), address, release and previous."""


class Releases:
    """The releases of an environment, in a folder of numbered ones."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        """Keep them in `folder`."""
        self.settings, self.folder = settings, folder

    def path(self, number: int) -> Path:
        """Return where a release is, or would be."""
        return self.folder / str(number)

    def get(self, number: int) -> Release:
        """Return a kept release. Raises UserError if it is not there or damaged."""
        if number not in self.kept():
            kept = ", ".join(map(str, self.kept())) or "none"
            raise UserError(f"there is no release {number}; kept are {kept}")
        return load_json(self.path(number) / "release.json", Release)

    def kept(self) -> list[int]:
        """Return the numbers of the complete releases, oldest first."""
        return [int(f.name) for f in self._folders() if (f / "release.json").exists()]

    def drop(self, number: int) -> None:
        """Remove a release, as far as that is possible."""
        from ..provenance import workspace

        with contextlib.suppress(UserError):  # git may be what is missing
            workspace.discard(self.settings.root, self.path(number))

    def resolve(self, reference: str) -> "Version":
        """Return the registered version to release.

        Raises UserError where its code is not known, or none of the signers vouches for it. What
        was left behind by deployments that were killed while they built goes first.
        """
        # MLflow takes seconds to import, and a rollback has no use for it.
        from ..tracking import registry, signing

        version = registry.resolve(self.settings, reference)
        signing.verify(self.settings, version)
        if not version.commit:
            raise UserError(
                f"version {version.number} was trained without a commit, so its code is not "
                "available; commit, train and promote again"
            )
        for folder in self._folders():
            if not (folder / "release.json").exists():
                self.drop(int(folder.name))
        return version

    def complete(self, number: int, version: "Version", **how: Any) -> Release:
        """Write release.json, the last of all: a release that has it is complete."""
        release = Release.of(version, **how)
        write_json(self.path(number) / "release.json", release.model_dump())
        return release

    def _folders(self) -> list[Path]:
        found = self.folder.glob("[0-9]*")
        return sorted((f for f in found if f.name.isdecimal()), key=lambda f: int(f.name))


def is_ready(address: Address, release: Release) -> None:
    """Raise UserError unless the service there is ready and serves this release's model."""
    status, body = readiness(address)
    if status != http.HTTPStatus.OK:
        raise UserError(f"the service is not ready: {body.get('detail', f'status {status}')}")
    if not serves(body, release):
        raise UserError("the service serves another model than the release's")


def serves(ready: dict[str, Any], release: Release) -> bool:
    """Tell whether what a service says of itself on /readyz is this release, file by file.

    One of an older standard says nothing of its files.
    """
    files = ready.get("bundle", release.bundle)
    return (ready.get("model_digest"), files) == (release.digest, release.bundle)


def readiness(address: Address) -> tuple[int, dict[str, Any]]:
    """Return status and answer of /readyz. Raises UserError where there is no answer in JSON."""
    status, text = get(address, "/readyz")
    try:
        return status, json.loads(text)
    except ValueError as error:
        raise UserError(f"GET /readyz failed: {error}") from None


def get(address: Address, path: str, timeout: float = 30) -> tuple[int, bytes]:
    """Return status and body of the answer to GET. Raises UserError where there is none."""
    connection = http.client.HTTPConnection(*address, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    except (OSError, http.client.HTTPException) as error:
        raise UserError(f"GET {path} failed: {str(error) or type(error).__name__}") from None
    finally:
        connection.close()
