"""An audited repository: what its files say, each read once and none run."""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar

from .files import Files, is_template
from .model import UNREAD, Check, Finding, Status
from .readers import locks, manifests
from .readers.containers import Container, Dockerfile, compose, dockerfile, workloads
from .readers.documents import CI, CONTAINERS, documents, is_manifest
from .readers.facts import modules
from .readers.imports import imported
from .readers.locks import Lock, compiled
from .readers.needs import DEPENDENCIES, Declared, Need
from .readers.python import CELLS, NOTEBOOK, PYTHON, Module, Notebook, notebook
from .readers.workflows import OTHERS, Workflow, github, gitlab

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from .declared import Exceptions

T = TypeVar("T")
SCRIPTS = ("*.sh", "Makefile", "makefile", "*.mk", "justfile", "Justfile", "Taskfile.y*ml")
PROSE = ("*.md", "*.rst", "*.adoc", "README*")


class Audited:
    """A repository that checks ask. Everything is read on first use."""

    def __init__(
        self, root: Path, exceptions: Exceptions | None = None, processes: int = 1
    ) -> None:
        """List the repository's files; of many modules, so many processes read them."""
        self.files = Files(root)
        self.exceptions = exceptions
        self.processes = processes
        self._texts: dict[str, str | None] = {}
        self._outcomes: dict[str, tuple[Status, list[Finding]]] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """Return itself: repo-review copies what checks get, and no check changes this."""
        return self

    def outcome(self, check: Check) -> tuple[Status, list[Finding]]:
        """Return what becomes of a check, before exceptions, and what it finds."""
        if self.everything_read and check.id not in self._outcomes:
            self._outcomes[check.id] = self._look(check)
        return self._outcomes[check.id]

    def _look(self, check: Check) -> tuple[Status, list[Finding]]:
        findings = sorted(set(check.find(self))) if check.applies(self) else []
        if findings:
            return Status.FAILED, findings
        kinds = {kind for path, (kind, _) in self.files.unread.items() if not self._excused(path)}
        if check.id != UNREAD and kinds & check.reads:
            return Status.INCOMPLETE, []
        return (Status.PASSED if check.applies(self) else Status.SKIPPED), []

    def _excused(self, path: str) -> bool:
        """Return whether a valid exception says why a file is not read."""
        valid = self.exceptions.of(UNREAD) if self.exceptions else []
        return any(one.covers(Finding(path, 0, "")) for one in valid)

    def text(self, path: str, kind: str = "text") -> str:
        """Return a file's text; an empty one, and a note, where it is not read."""
        if path not in self._texts:
            self._texts[path] = self.files.text(path, kind)
        return self._texts[path] or ""

    def _read(self, paths: list[str], kind: str, reader: Callable[[str, str], T]) -> Iterator[T]:
        """Yield what a reader makes of each file; one that it rejects is noted as not read."""
        for path in paths:
            text = self.files.text(path, kind)
            if text is None:
                continue
            self._texts[path] = text
            try:
                yield reader(path, text)
            except RecursionError:
                self.files.not_read(path, kind, "it is nested too deeply")
            except (ValueError, TypeError, AttributeError, KeyError) as error:
                self.files.not_read(path, kind, str(error) or type(error).__name__)

    @cached_property
    def everything_read(self) -> bool:
        """Read all that any check depends on, so that `files.unread` is complete."""
        for name in ("code", "manifests", "locks", "dockerfiles", "containers", "workflows"):
            getattr(self, name)
        return True

    @cached_property
    def modules(self) -> list[Module]:
        """The Python files."""
        read = [(path, self.files.content(path, PYTHON)) for path in self.files.named("*.py")]
        sources = [(path, content) for path, content in read if content is not None]
        found = []
        for (path, _), module in zip(sources, modules(sources, self.processes), strict=True):
            if isinstance(module, Module):
                found.append(module)
            else:
                self.files.not_read(path, PYTHON, module)
        return found

    @cached_property
    def notebooks(self) -> list[Notebook]:
        """The notebooks."""
        found = list(self._read(self.files.named("*.ipynb"), NOTEBOOK, notebook))
        for one in found:
            if one.broken:
                self.files.not_read(one.path, CELLS, "; ".join(one.broken))
        return found

    @cached_property
    def code(self) -> list[Module]:
        """The modules that are no tests, and the notebooks."""
        modules = [one for one in self.modules if not one.is_test]
        return modules + [one.module for one in self.notebooks]

    @cached_property
    def product(self) -> list[Module]:
        """The code without examples and documentation, where there is other code."""
        aside = re.compile(r"(^|/)(docs?|examples?|asv_bench\w*|tutorials?)/")
        return [one for one in self.code if not aside.search(one.path)] or self.code

    @cached_property
    def tests(self) -> list[Module]:
        """The modules of tests."""
        return [one for one in self.modules if one.is_test]

    @cached_property
    def manifests(self) -> list[Declared]:
        """The files that declare dependencies."""
        found: dict[str, Declared] = {}
        for pattern, reader in manifests.READERS.items():
            paths = [one for one in self.files.named(pattern) if one not in found]
            if pattern == "requirements*.txt":
                inside = [one for one in self.files.named("*.txt") if "requirements/" in one]
                paths = sorted({*paths, *inside})
            found |= {one.path: one for one in self._read(paths, DEPENDENCIES, reader)}
        return [one for one in found.values() if one.needs or one.python or one.computed]

    @cached_property
    def needs(self) -> list[Need]:
        """Every declared requirement."""
        return [one for declared in self.manifests for one in declared.needs]

    @cached_property
    def locks(self) -> list[Lock]:
        """The lock files, complete requirements among them."""
        found: dict[str, Lock] = {}
        for pattern, reader in locks.READERS.items():
            paths = self.files.named(pattern)
            found |= {one.path: one for one in self._read(paths, DEPENDENCIES, reader)}
        exports = [compiled(one) for one in self.manifests if one.compiled]
        return [one for one in [*found.values(), *exports] if one.versions or "." in one.kind]

    @cached_property
    def dockerfiles(self) -> list[Dockerfile]:
        """The Dockerfiles."""
        paths = self.files.named("Dockerfile", "*.Dockerfile", "Dockerfile.*", "Containerfile")
        paths = [one for one in paths if not one.endswith((".dockerignore", ".md", ".sh", ".py"))]
        return list(self._read(self._run(paths), CONTAINERS, dockerfile))

    def _run(self, paths: list[str]) -> list[str]:
        """Return the paths that are not of tests, whose images and workloads are stand-ins."""
        return [one for one in paths if not {"test", "tests"} & set(one.split("/")[:-1])]

    @cached_property
    def containers(self) -> list[Container]:
        """The containers of Compose files and of Kubernetes workloads."""
        paths = self._run(self.files.named("compose*.y*ml", "docker-compose*.y*ml"))
        read = self._read(paths, CONTAINERS, lambda path, text: (path, documents(text)))
        found = [one for path, parsed in read for one in compose(path, parsed)]
        for path in self._run(self.files.named("*.yml", "*.yaml")):
            text = self.text(path, "YAML") if path not in paths else ""
            if is_manifest(text) and "{{" not in text:  # Helm's are templates
                read = self._read([path], CONTAINERS, lambda path, text: (path, documents(text)))
                found += [one for path, parsed in read for one in workloads(path, parsed)]
        return found

    @cached_property
    def workflows(self) -> list[Workflow]:
        """The files of CI, as far as they are parsed."""
        paths = [
            one for one in self.files.named("*.yml", "*.yaml") if ".github/workflows/" in f"/{one}"
        ]
        found = list(self._read(paths, CI, lambda path, text: github(path, _only(text))))
        paths = self.files.named(".gitlab-ci.y*ml")
        return found + list(self._read(paths, CI, lambda path, text: gitlab(path, _only(text))))

    @cached_property
    def ci_text(self) -> str:
        """All that CI runs, and the scripts that it calls, as one text."""
        names = [one.path for one in self.workflows]
        names += [path for path in self.files.paths if OTHERS.search(path)]
        return "\n".join(self.text(path, CI) for path in names)

    @cached_property
    def scripts(self) -> dict[str, str]:
        """Shell scripts and files of make, by path."""
        found = self.files.named(*SCRIPTS)
        found += [one for one in self.files.paths if re.search(r"(^|/)(scripts|bin)/[\w-]+$", one)]
        return {path: self.text(path) for path in found}

    @cached_property
    def prose(self) -> dict[str, str]:
        """Pages for people, by path."""
        return {path: self.text(path) for path in self.files.named(*PROSE)}

    @cached_property
    def imports(self) -> set[str]:
        """The first names of everything that the code imports, tests left out."""
        return {name for module in self.code for name in imported(module)}


def _only(text: str) -> Any:  # noqa: ANN401
    found = documents(text)
    if not found:
        raise ValueError("it has no mapping")
    return found[0]


__all__ = ["Audited", "is_template"]
