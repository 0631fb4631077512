"""Checks of containers: the same Dockerfile gives the same image."""

import re
from collections.abc import Iterator

from groundwork.audit.model import Check, Finding
from groundwork.audit.readers.containers import Dockerfile, Instruction, Stage
from groundwork.audit.readers.documents import CONTAINERS
from groundwork.audit.readers.shell import commands, unpinned
from groundwork.audit.repository import Audited


class Containers(Check):
    """A check of this family."""

    family = "containers"
    reads = frozenset({CONTAINERS})

    def applies(self, repo: Audited) -> bool:
        """Return whether there is a Dockerfile."""
        return bool(repo.dockerfiles)


def bases(repo: Audited) -> Iterator[tuple[Dockerfile, Stage]]:
    """Yield the stages on an image of somebody else's whose name is written out."""
    for dockerfile in repo.dockerfiles:
        for stage in dockerfile.bases():
            if stage.base and "$" not in stage.base:
                yield dockerfile, stage


def runs(repo: Audited, word: str) -> Iterator[tuple[Dockerfile, Instruction]]:
    """Yield the instructions of a kind."""
    for dockerfile in repo.dockerfiles:
        for stage in dockerfile.stages:
            for one in stage.instructions:
                if one.word == word:
                    yield dockerfile, one


def is_open(image: str) -> bool:
    """Return whether an image's name leaves its version open."""
    name = image.rpartition("/")[2]
    return "@" not in image and (":" not in name or name.endswith(":latest"))


class BaseTagged(Containers):
    """A base image has a tag other than latest."""

    id = "CN101"
    reason = "`latest` is another Python or another Debian by the next build."
    mend = "Write the version: `FROM python:3.12.8-slim-bookworm`."
    command = "docker image ls --digests"
    days = 0.25
    link = "https://docs.docker.com/build/building/best-practices/#pin-base-image-versions"

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return bases without one."""
        for dockerfile, stage in bases(repo):
            if is_open(stage.base):
                yield Finding(
                    dockerfile.path, stage.line, f"FROM {stage.base} leaves the version open"
                )


class BaseByDigest(Containers):
    """A base image is named by its digest."""

    id = "CN102"
    reason = "A tag is moved to new images, so the same Dockerfile builds on another base."
    mend = "Add the digest, and let Renovate or Dependabot move it."
    command = "docker buildx imagetools inspect IMAGE:TAG"
    days = 0.25
    requires = frozenset({"CN101"})
    link = "https://docs.docker.com/build/building/best-practices/#pin-base-image-versions"

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return bases without one."""
        for dockerfile, stage in bases(repo):
            if "@sha256:" not in stage.base:
                yield Finding(dockerfile.path, stage.line, f"FROM {stage.base} has no digest")


class InstallsPinned(Containers):
    """Packages that an image installs have a version."""

    id = "CN103"
    reason = "An image that resolves while it is built is another image by the next build."
    mend = "Copy the lock into the image and install from that: `-r requirements.txt`."
    command = "uv export --format requirements-txt --output-file requirements.txt"

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return packages of pip and conda without one."""
        for dockerfile, one in runs(repo, "RUN"):
            for offset, command in commands(one.rest):
                for name in unpinned(command):
                    line = one.line + offset
                    yield Finding(dockerfile.path, line, f"installs {name} without a version")


class NotAsRoot(Containers):
    """An image does not run as root."""

    id = "CN104"
    reason = "Who takes over the process then has the container, and files belong to root."
    mend = "Add a user and `USER 10001` before the command."
    command = "printf 'USER 10001\\n' >> Dockerfile"
    days = 0.25
    link = "https://docs.docker.com/build/building/best-practices/#user"
    # Images that run as another user by themselves.
    OTHERS = re.compile(r"nonroot|jupyter/|rootless|unprivileged|airflow|bitnami|mambaorg")

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return the last stages with a command that no USER precedes, or USER root."""
        for dockerfile in repo.dockerfiles:
            if "devcontainer" in dockerfile.path:
                continue
            chain = dockerfile.chain(dockerfile.stages[-1])
            found = [one for stage in reversed(chain) for one in stage.instructions]
            started = any(one.word in {"CMD", "ENTRYPOINT"} for one in found)
            users = [one for one in found if one.word == "USER"]
            if not started or self.OTHERS.search(chain[-1].base):
                continue
            if not users:
                yield Finding(dockerfile.path, chain[0].line, "no USER: it runs as root")
            elif re.match(r"(root|0)\b", users[-1].rest):
                yield Finding(dockerfile.path, users[-1].line, "runs as root")


class ContextBounded(Containers):
    """What `COPY .` takes is bounded by a .dockerignore."""

    id = "CN105"
    reason = (
        "Without it .git, data, secrets and caches go into the image, different on each machine."
    )
    mend = "List in .dockerignore what no image needs: .git, .venv, .env, data/."
    command = "printf '.git\\n.venv\\n.env\\ndata\\n' > .dockerignore"
    days = 0.25

    def applies(self, repo: Audited) -> bool:
        """Return whether a whole folder is copied."""
        return any(True for _ in self._whole(repo))

    def _whole(self, repo: Audited) -> Iterator[tuple[Dockerfile, Instruction]]:
        for word in ("COPY", "ADD"):
            for dockerfile, one in runs(repo, word):
                words = [w for w in one.rest.split() if not w.startswith("--")]
                if words and words[0] in {".", "./"} and "--from" not in one.rest:
                    yield dockerfile, one

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return copies of everything where no such file is anywhere above."""
        if not repo.files.named(".dockerignore", "*.dockerignore"):
            for dockerfile, one in self._whole(repo):
                yield Finding(dockerfile.path, one.line, f"{one.word} . and no .dockerignore")


class DownloadsChecked(Containers):
    """What an image downloads is checked before it runs."""

    id = "CN106"
    reason = "`curl … | sh` runs whatever the address gives on that day."
    mend = "Download a version, compare its SHA-256, then run it; or `ADD --checksum=sha256:…`."
    command = "sha256sum FILE"

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return pipes from a download into a shell, and ADDs of addresses."""
        for dockerfile, one in runs(repo, "RUN"):
            found = re.search(r"(curl|wget)\b[^|;&]*\|\s*(sudo\s+)?(ba|z)?sh\b", one.rest)
            if found:
                line = one.line + one.rest.count("\n", 0, found.start())
                yield Finding(dockerfile.path, line, "pipes a download into a shell")
        for dockerfile, one in runs(repo, "ADD"):
            if re.search(r"(^|\s)https?://", one.rest) and "--checksum" not in one.rest:
                yield Finding(dockerfile.path, one.line, "ADD of an address without --checksum")


CHECKS = (BaseTagged, BaseByDigest, InstallsPinned, NotAsRoot, ContextBounded, DownloadsChecked)
