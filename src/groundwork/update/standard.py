"""A template's versions, and what a project with certain answers looks like at one of them."""

import fcntl
import json
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path

import jinja2
import yaml
from packaging.version import InvalidVersion, Version

from groundwork.errors import UserError

from .answers import Answers
from .git import GitError, git
from .ownership import ANSWERS
from .repository import Repository

# Addresses that Copier understands and git does not.
SHORT = {"gh:": "https://github.com/", "gl:": "https://gitlab.com/", "git+": ""}

# Where a project names the keys that sign the versions it takes.
SIGNERS = ".template-signers"


class Standard:
    """A template, cloned once for every project and process that asks."""

    def __init__(self, source: str, folder: Path) -> None:
        """Clone it to `folder`/clone, or use the clone that is there.

        Raises:
            UserError: it is not available.
        """
        self.source = source
        self.folder = folder
        self.folder.mkdir(parents=True, exist_ok=True)
        clone = self.folder / "clone"
        with _alone(self.folder / "lock"):
            if not clone.exists():
                try:
                    git(self.folder, "clone", "--quiet", "--bare", "--", address(source), "partial")
                except GitError as error:
                    raise UserError(f"the template at {source} cannot be cloned: {error}") from None
                (self.folder / "partial").rename(clone)
        self.repository = Repository(clone)

    @cached_property
    def versions(self) -> list[str]:
        """The released versions, oldest first."""
        found = {tag: _version(tag) for tag in self.repository.git("tag", "--list").split()}
        released = {tag: one for tag, one in found.items() if one and not one.is_prerelease}
        return sorted(released, key=released.__getitem__)

    def newest(self) -> str:
        """Return the newest version. Raises UserError where there is none."""
        if not self.versions:
            raise UserError(f"the template at {self.source} has no version; tag one")
        return self.versions[-1]

    def present(self) -> str:
        """Return the newest version, or what the last commit is called where there is none."""
        return self.versions[-1] if self.versions else self.name("HEAD")

    def newer(self, version: str) -> str:
        """Return the newest version where that one is older, or nothing."""
        present = self.present()
        newer = self.behind(version) if self.versions else version != present
        return present if newer else ""

    def name(self, version: str) -> str:
        """Return what Copier calls a version, be it a tag, a branch or a commit."""
        return self.repository.git("describe", "--tags", "--always", version).strip()

    def commit(self, version: str) -> str:
        """Return the commit that a version is."""
        return self.repository.git("rev-parse", "--verify", f"{version}^{{commit}}").strip()

    def verify(self, version: str, signers: Path) -> None:
        """Raise UserError where a version is no tag that one of these signers signed.

        `signers` is a file as ssh-keygen has it: a line with a name and a public key for each. If
        there is none, any version will do.
        """
        if not signers.exists():
            return
        tag = f"refs/tags/{version}"
        # Keys in the user's own keyrings are not the project's.
        settings = [f"gpg.{kind}.program=false" for kind in ("openpgp", "x509")]
        settings += ["gpg.program=false", f"gpg.ssh.allowedSignersFile={signers}"]
        try:
            self.repository.git(
                *(word for one in settings for word in ("-c", one)), "verify-tag", tag
            )
            # A signed tag can be copied to another name.
            named = f"\ntag {version}\n" in self.repository.git("cat-file", "tag", tag)
        except GitError as error:
            raise UserError(
                f"{version} of the template is no tag signed by a key in {signers.name}: {error}"
            ) from None
        if not named:
            raise UserError(f"the tag {version} of the template was signed under another name")

    def behind(self, version: str) -> int:
        """Return how many versions came out after that one, which may lie between two."""
        own = _version(re.sub(r"-\d+-g[0-9a-f]+\Z", "", version))
        later = (_version(tag) for tag in self.versions)
        return sum(own is None or (one is not None and one > own) for one in later)

    def days(self, version: str, to: str) -> int | None:
        """Return the days between the dates of the commits of two versions, in UTC.

        0 where the first is the later one, None where the template does not know both.
        """
        try:
            first, last = map(self._day, (version, to))
        except GitError:
            return None
        return max(0, last - first)

    def _day(self, version: str) -> int:
        """Return on which day since 1970 the commit of a version was made."""
        told = self.repository.git("rev-list", "--max-count=1", "--timestamp", self.commit(version))
        return int(told.split()[0]) // 86400

    def render(self, version: str, answers: Answers, into: Path, **data: object) -> None:
        """Render into an empty folder what a project with these answers has at a version.

        Raises:
            UserError: there is no such version, or it refuses an answer.
        """
        template = self.files(version)
        ours = _entry("_commit|_src_path").sub("", answers.text)
        (into / ANSWERS).write_text(
            f"_src_path: {json.dumps(str(template))}\n{ours}", encoding="utf-8"
        )
        _copier("run_recopy", into, data=data)
        name = version if version == answers.version else self.name(version)
        _sign(into, name, self.commit(version), answers.source)

    def start(self, version: str, into: Path, answers: Mapping[str, object]) -> None:
        """Render into an empty folder what a new project with these answers has at a version.

        Raises:
            UserError: there is no such version, or it refuses an answer.
        """
        _copier("run_copy", str(self.files(version)), into, data=answers)
        _sign(into, self.name(version), self.commit(version), self.source)

    def files(self, version: str) -> Path:
        """Return a folder with the template's files at a version, outside of git.

        Copier reads such a folder in place; it would clone a repository for each render.
        """
        try:
            tree = self.repository.tree(version)
        except GitError:
            raise UserError(f"the template at {self.source} has no version {version}") from None
        folder = self.folder / tree
        with _alone(self.folder / "lock"):
            if not folder.exists():
                partial = self.folder / f"{tree}.partial"
                self.repository.write(tree, partial)
                partial.rename(folder)
        return folder


def _copier(name: str, *where: object, data: Mapping[str, object]) -> None:
    import copier  # noqa: PLC0415 - as long as the rest of a command takes to start

    run: Callable[..., object] = getattr(copier, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            run(*where, data=dict(data), defaults=True, overwrite=True, quiet=True, unsafe=False)
        except copier.errors.UnsupportedVersionError as error:
            raise UserError(
                f"{' '.join(str(error).split())} Name one: COPIER_VERSION=… scripts/update.sh"
            ) from None
        except (
            copier.errors.CopierError,
            jinja2.TemplateError,
            yaml.YAMLError,
            ValueError,
            TypeError,
        ) as error:
            said = " ".join(str(error).split()) or type(error).__name__
            raise UserError(f"the template cannot be rendered: {said}") from None


def _sign(render: Path, version: str, commit: str, source: str) -> None:
    """Write the version, its commit and the address, as Copier does when it clones the template."""
    path = render / ANSWERS
    text = path.read_text(encoding="utf-8")
    signed = yaml.safe_dump({"_commit": version, "_src_path": source}, allow_unicode=True)
    signed = f"# commit: {commit}\n{signed}"
    text = _entry("_src_path").sub(lambda _: signed, text, count=1)
    path.write_text(text, encoding="utf-8")


def _entry(keys: str) -> re.Pattern[str]:
    """Return what matches an entry of the answers; a text with spaces may go on in more lines."""
    return re.compile(rf"(?m)^(?:{keys}):.*\n(?:[ \t].*\n)*")


def address(source: str) -> str:
    """Return what git clones for a `_src_path`."""
    for short, full in SHORT.items():
        if source.startswith(short):
            return full + source.removeprefix(short)
    return source


def _version(tag: str) -> Version | None:
    try:
        return Version(tag)
    except InvalidVersion:
        return None


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
