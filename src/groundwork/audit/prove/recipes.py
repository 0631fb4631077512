"""How an environment is made from what a repository gives: the commands, for each kind of it."""

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from shutil import which
from typing import Any

from groundwork.errors import UserError

from . import groundwork
from .declared import Declared, read_toml
from .interpreters import Interpreter, choose
from .variables import of_network

# Of these names are the groups and extras that hold what tests need.
_OF_TESTS = ("dev", "develop", "development", "test", "tests", "testing")
# A lock of conda's goes before what it was made of, which would install other versions.
_OF_CONDA = ("conda-lock.yml", "pixi.lock", "environment.yml", "environment.yaml")
_DECLARE = "declare setup in [tool.groundwork.audit]"
# uv itself, whose place varies, comes from PATH.
_VENV = 'uv venv --quiet --allow-existing --python "$PYTHON" .venv'


@dataclass(frozen=True)
class Recipe:
    """The commands that make an environment, run one by one with the network.

    `source` is the file or files they follow, and `locked` tells whether those name exact
    versions. `visible` are folders of tools that the commands need.
    """

    source: str
    commands: tuple[str, ...]
    locked: bool = True
    variables: dict[str, str] = field(default_factory=dict)
    visible: tuple[Path, ...] = ()
    python: Interpreter | None = None


def recipe(folder: Path, declared: Declared) -> Recipe:
    """Return how the environment of a repository is made. Raises UserError where it cannot be."""
    if declared.setup:
        return _with_python(folder, Recipe(f"setup in {declared.source}", (declared.setup,)))
    if groundwork.is_project(folder):
        return _with_python(folder, Recipe("scripts/setup.sh", ("scripts/setup.sh",)))
    for name, make in _KINDS.items():
        if (folder / name).is_file():
            return _with_python(folder, make(folder))
    files = _requirements(folder)
    if files:
        return _with_python(folder, _of_requirements(folder, files))
    for name in _OF_CONDA:
        if (folder / name).is_file():
            return _of_conda(name)
    if _is_package(folder):
        extras = _extras(folder)
        what = shlex.quote(f".[{','.join(extras)}]" if extras else ".")
        groups = "".join(f" --group {name}" for name in _groups(folder))
        source = "pyproject.toml" if (folder / "pyproject.toml").is_file() else "setup.py"
        commands = (_VENV, f"uv pip install -e {what}{groups}")
        return _with_python(folder, Recipe(source, commands, locked=False))
    raise UserError(f"it has no lock, requirements or package; {_DECLARE}")


def _with_python(folder: Path, made: Recipe) -> Recipe:
    python = choose(folder)
    variables = {"PYTHON": str(python.program), "UV_PYTHON_DOWNLOADS": "never"}
    # So wide that no tool breaks what it prints of a cause into lines.
    variables |= {"UV_NO_PROGRESS": "1", "COLUMNS": "400"}
    return Recipe(
        made.source,
        made.commands,
        made.locked,
        variables | made.variables,
        (*made.visible, python.prefix),
        python,
    )


def _of_uv(folder: Path) -> Recipe:
    options = [f"--extra {name}" for name in _extras(folder)]
    options += [f"--group {name}" for name in _groups(folder)]
    return Recipe("uv.lock", (" ".join(['uv sync --locked --python "$PYTHON"', *options]),))


def _of_poetry(_: Path) -> Recipe:
    mirror = " --with poetry-plugin-pypi-mirror" if "POETRY_PYPI_MIRROR_URL" in of_network() else ""
    poetry = f"uv tool run{mirror} 'poetry>=2' --no-interaction --no-ansi"
    commands = (_VENV, f"{poetry} check --lock", f"{poetry} sync --all-extras --all-groups")
    return Recipe("poetry.lock", commands, variables={"POETRY_VIRTUALENVS_IN_PROJECT": "true"})


def _of_pdm(_: Path) -> Recipe:
    # With the versions of its dependencies that its makers have tested: newer ones break it.
    pdm = "uv tool run --from 'pdm[locked]' pdm"
    # Without a choice it installs the groups that are locked; others it would reject.
    commands = (_VENV, f"{pdm} use -f .venv", f"{pdm} lock --check", f"{pdm} sync")
    return Recipe("pdm.lock", commands, variables={"PDM_CHECK_UPDATE": "0"})


def _of_pipenv(_: Path) -> Recipe:
    pipenv = "uv tool run pipenv"
    variables = {"PIPENV_VENV_IN_PROJECT": "1", "PIPENV_IGNORE_VIRTUALENVS": "1"}
    commands = (_VENV, f"{pipenv} verify", f"{pipenv} sync --dev")
    return Recipe("Pipfile.lock", commands, variables=variables)


_KINDS: dict[str, Callable[[Path], Recipe]] = {
    "uv.lock": _of_uv,
    "poetry.lock": _of_poetry,
    "pdm.lock": _of_pdm,
    "Pipfile.lock": _of_pipenv,
}


def _of_requirements(folder: Path, files: list[str]) -> Recipe:
    texts = [(folder / name).read_text("utf-8", "replace") for name in files]
    hashed = all("--hash=" in text for text in texts)
    options = ["--require-hashes"] if hashed else []
    options += [f"-r {shlex.quote(name)}" for name in files]
    commands = [_VENV, " ".join(["uv pip install", *options])]
    if _is_package(folder) and not any(
        re.search(r"^(-e )?\.", text, re.MULTILINE) for text in texts
    ):
        commands.append("uv pip install --no-deps -e .")
    exact = hashed or all(map(_exact, texts))
    return Recipe(", ".join(files), tuple(commands), locked=exact)


def _exact(text: str) -> bool:
    lines = (re.split(r"\s#|;", line)[0].strip() for line in text.splitlines())
    return all("==" in line for line in lines if line and line[0] not in "#-")


def _requirements(folder: Path) -> list[str]:
    """Return the requirements files to install: what is needed to run, then to test."""
    found = []
    for name in ("", *_OF_TESTS):
        for path in (
            f"requirements{name and '-'}{name}.txt",
            f"requirements{name and '_'}{name}.txt",
            f"{name or 'main'}-requirements.txt",
            f"requirements/{name or 'main'}.txt",
        ):
            if path not in found and (folder / path).is_file():
                found.append(path)
    if found:
        return found
    names = [*folder.glob("requirements*.txt"), *folder.glob("requirements/*.txt")]
    return sorted(path.relative_to(folder).as_posix() for path in names)


def _of_conda(name: str) -> Recipe:
    # Its packages by their names in an index, or its pip list alone, would be another environment.
    if not name.startswith("environment"):
        raise UserError(f"{name} was not installed: a proof runs no conda-lock or pixi; {_DECLARE}")
    program = next(filter(None, map(which, ("micromamba", "mamba", "conda"))), None)
    if not program:
        raise UserError(f"{name} was not installed: micromamba, mamba or conda is not here")
    path = Path(program).resolve()
    command = f"{shlex.quote(program)} env create --yes --prefix .venv --file {name}"
    variables = {"CONDA_PKGS_DIRS": "/cache/conda"}
    visible = (Path(program), path.parents[1] if path.parent.name != "usr" else path)
    return Recipe(name, (command,), locked=False, variables=variables, visible=visible)


def _is_package(folder: Path) -> bool:
    table = read_toml(folder / "pyproject.toml")
    return "build-system" in table or "project" in table or (folder / "setup.py").is_file()


def _extras(folder: Path) -> list[str]:
    project = read_toml(folder / "pyproject.toml").get("project", {})
    return _of_tests(project.get("optional-dependencies", {}))


def _groups(folder: Path) -> list[str]:
    return _of_tests(read_toml(folder / "pyproject.toml").get("dependency-groups", {}))


def _of_tests(table: dict[str, Any]) -> list[str]:
    return [name for name in table if name.lower() in _OF_TESTS]


def lines_of_yanked(log: str) -> Iterator[str]:
    """Yield what uv says of packages that their makers have withdrawn."""
    yield from re.findall(r"^warning: (.*\byanked\b.*?)\.?$", log, re.MULTILINE)
