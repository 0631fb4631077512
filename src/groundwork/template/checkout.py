"""The template's checkout: where it is and what it asks."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from jinja2 import FileSystemLoader, StrictUndefined
from jinja2.sandbox import SandboxedEnvironment

from groundwork.errors import UserError
from groundwork.update.git import GitError, git


def find_root(start: Path) -> Path:
    """Return the checkout that holds `start`, the nearest folder with copier.yml and frameworks/.

    Raises:
        UserError: `start` is not inside a checkout of the template.
    """
    for folder in (start.resolve(), *start.resolve().parents):
        if (folder / "copier.yml").is_file() and (folder / "frameworks").is_dir():
            return folder
    raise UserError(
        f"{start} is not inside a checkout of the template; go there or name it with --template"
    )


@contextmanager
def at_version(root: Path, version: str) -> Iterator[Path]:
    """Yield a folder with the template as it is in a version, whatever lies in the checkout.

    Raises:
        UserError: the checkout's repository has no such version.
    """
    try:
        git(root, "rev-parse", "--verify", "--quiet", f"refs/tags/{version}^{{commit}}")
    except GitError:
        raise UserError(
            f"--version {version}: the template at {root} has no such tag; git tag lists them"
        ) from None
    with tempfile.TemporaryDirectory(prefix="groundwork-") as name:
        folder = Path(name, "template")
        options = ("--quiet", "--shared", "--branch", version)
        git(root, "clone", *options, "--", str(root), str(folder))
        yield folder


def frameworks(root: Path) -> list[str]:
    """Return the names of the frameworks that the template has a folder for, sorted."""
    return sorted(path.parent.name for path in root.glob("frameworks/*/dependencies.txt"))


def load(root: Path) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Return copier.yml's settings (without their underscore) and its questions, in order."""

    class Loader(yaml.SafeLoader):
        """A loader that follows Copier's `!include`."""

    def include(_: yaml.SafeLoader, node: yaml.ScalarNode) -> dict[str, Any]:
        included: dict[str, Any] = yaml.load((root / node.value).read_text("utf-8"), Loader)  # noqa: S506
        return included

    Loader.add_constructor("!include", include)
    settings: dict[str, Any] = {}
    questions: dict[str, dict[str, Any]] = {}
    for document in yaml.load_all((root / "copier.yml").read_text("utf-8"), Loader):
        for key, value in document.items():
            if key == "_exclude":  # Copier joins these lists
                settings.setdefault("exclude", []).extend(value)
            elif key.startswith("_"):
                settings[key[1:]] = value
            else:
                questions[key] = value
    return settings, questions


def environment(root: Path) -> SandboxedEnvironment:
    """Return a Jinja environment that renders the questions' texts as Copier does."""
    return SandboxedEnvironment(
        loader=FileSystemLoader(root),
        extensions=["jinja2_ansible_filters.AnsibleCoreFiltersExtension"],
        undefined=StrictUndefined,
    )
