"""Checks of rebuild: can anyone make the environment again."""

import ast
import re
from collections.abc import Iterator

from groundwork.audit.model import Check, Finding
from groundwork.audit.readers.facts import facts
from groundwork.audit.readers.imports import undeclared
from groundwork.audit.readers.needs import DEPENDENCIES
from groundwork.audit.readers.python import CELLS, NOTEBOOK, PYTHON, Module
from groundwork.audit.repository import Audited

CODE = frozenset({PYTHON, NOTEBOOK, CELLS})


class Rebuild(Check):
    """A check of this family."""

    family = "rebuild"
    reads = CODE | {DEPENDENCIES}

    def applies(self, repo: Audited) -> bool:
        """Return whether there is Python code."""
        return bool(repo.modules or repo.notebooks)


class Declared(Rebuild):
    """Dependencies are declared in a file that a tool can install."""

    id = "RB101"
    reason = "Without a list of packages, nobody but its author can run the code."
    mend = "List what the code imports in pyproject.toml, and let a tool install that."
    command = "uv init --bare && uv add PACKAGE…"
    days = 1

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return whether no manifest is there; standard library only needs none."""
        if not repo.manifests and undeclared(repo):
            yield Finding(
                "", 0, "no pyproject.toml, requirements, setup, Pipfile or environment.yml"
            )


class ImportsDeclared(Rebuild):
    """Every package that the code imports is declared."""

    id = "RB102"
    reason = "What is imported but not declared is there by chance, and missing on a new machine."
    mend = "Declare the package, or import it within `try … except ImportError` if it is optional."
    command = "uv add PACKAGE"
    requires = frozenset({"RB101"})

    def applies(self, repo: Audited) -> bool:
        """Return whether what is declared can be known without running anything."""
        return bool(repo.manifests) and not any(
            one.computed and one.kind in {"setup.py", "pyproject"} for one in repo.manifests
        )

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return the first import of each package that nothing declares."""
        for name, (path, line) in undeclared(repo).items():
            yield Finding(path, line, f"imports {name}, which no file declares")


class PythonStated(Rebuild):
    """The version of Python is stated."""

    id = "RB103"
    reason = "Wheels, hashing and syntax differ between versions of Python."
    mend = "State it as `requires-python` in pyproject.toml, or in .python-version."
    reads = frozenset({DEPENDENCIES})
    command = "echo 3.12 > .python-version"
    days = 0.25
    FILES = (".python-version", "runtime.txt", ".tool-versions", "mise.toml", ".mise.toml")

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return whether no file states it."""
        stated = any(one.python for one in repo.manifests)
        if not stated and not repo.files.named(*self.FILES):
            yield Finding("", 0, "no requires-python, .python-version or other statement of Python")


class SetUpDescribed(Rebuild):
    """A page says how to set the environment up."""

    id = "RB104"
    reason = "A newcomer should need a command, not a conversation."
    mend = "Write into the README the commands from a clone to a running test."
    reads = frozenset()
    command = "$EDITOR README.md"
    HOW = re.compile(
        r"pip3? install|uv (sync|pip|venv|run)|uvx |poetry (install|sync)|pdm (install|sync)|"
        r"pipenv (install|sync)|conda (env )?(create|install|activate)|mamba (env )?create|"
        r"conda-lock install|make \w*(setup|install|env|init|bootstrap|requirements)|"
        r"docker(-| )compose|docker (build|run)|pixi (install|run)|hatch |tox\b|nox\b|"
        r"(scripts|bin)/\w*(setup|install|bootstrap)|just \w*(setup|install|init)|setup\.sh|"
        r"install -r|mlflow run|mise (run )?\w*(setup|install)|"
        r"pre-commit install|invoke install|rye sync|colab\.research",
        re.IGNORECASE,
    )

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return whether no page has such a command."""
        if not any(self.HOW.search(text) for text in repo.prose.values()):
            readme = next(iter(repo.files.named("README*")), "")
            yield Finding(readme, 0, "no command that installs the environment, in any page")


class FixedSources(Rebuild):
    """What is installed from an address has a fixed revision, and none is a path of one machine."""

    id = "RB105"
    reason = "A branch moves, and a path outside the repository is on one machine only."
    mend = "Add the commit (`git+https://…@COMMIT`), or publish the package to an index."
    reads = frozenset({DEPENDENCIES})
    command = "uv add 'PACKAGE @ git+https://HOST/OWNER/NAME@COMMIT'"

    def applies(self, repo: Audited) -> bool:
        """Return whether anything comes from an address or a path."""
        return any(one.url for one in repo.needs)

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return requirements whose source may change, unless a lock of theirs fixes the commit."""
        locked = {name for lock in repo.locks if lock.whole for name in lock.versions}
        for one in repo.needs:
            url = one.url
            if url.startswith(("git+", "git@")) and one.name not in locked:
                revision = re.search(r"@([^@#/]+)(#|$)", url.partition("://")[2])
                if not revision or not re.fullmatch(r"[0-9a-f]{7,40}|v?\d[\w.+-]*", revision[1]):
                    yield Finding(one.path, one.line, f"{one.text} follows a branch")
            elif re.match(r"(file:///?|/|~|[A-Za-z]:\\)", url):
                yield Finding(one.path, one.line, f"{one.text} is a path of one machine")


class NoPathsOfOneMachine(Rebuild):
    """The code has no paths of one person's machine."""

    id = "RB106"
    reason = "/home/NAME exists on one machine; everybody else gets an error or other data."
    mend = "Take the path from a parameter or a setting, relative to the repository."
    command = "git grep -nE '/home/|/Users/'"
    reads = CODE

    def find(self, repo: Audited) -> Iterator[Finding]:
        """Return text constants that begin with such a path; docstrings are left out."""
        for module in repo.code:
            for line, path in _of_one_machine(module):
                yield Finding(module.path, line, f"has {path!r}")


# People's folders; those of images, clusters and services are left out.
PERSONAL = re.compile(
    r"^(file://)?(/home/(?!jovyan\b|user\b|app\b|appuser\b|ray\b|runner\b|airflow\b|vscode\b|"
    r"ubuntu\b|docker\b|mambauser\b|node\b|coder\b|onyxia\b|username\b|you\b)[a-z][\w.-]+/|"
    r"/Users/(?!username\b|you\b|runner\b|Shared\b)[A-Za-z][\w.-]*/|"
    r"[A-Z]:\\\\?Users\\\\?\w|[A-Z]:/Users/\w)"
)


@facts
def _of_one_machine(module: Module) -> Iterator[tuple[int, str]]:
    """Yield the line and the beginning of each text that is a path in a person's folder."""
    for node in module.of(ast.Constant):
        if isinstance(node.value, str) and PERSONAL.match(node.value):
            docstring = isinstance(module.parents.get(node), ast.Expr)
            if not docstring:
                yield module.line(node), node.value[:60]


CHECKS = (
    Declared,
    ImportsDeclared,
    PythonStated,
    SetUpDescribed,
    FixedSources,
    NoPathsOfOneMachine,
)
