"""Which commands test and train: what is declared, else a guess, in a fixed order."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from .declared import Declared, declared, read_toml
from .groundwork import OUTPUTS, command_line, is_project


@dataclass(frozen=True)
class Command:
    """What a shell runs, and in words where it comes from. Without a command: why there is none.

    `first` prepares it, with the network.
    """

    shell: str
    source: str
    first: str = ""

    def __str__(self) -> str:
        """Return it in one line, with where it comes from."""
        return f"{' '.join(self.shell.split())} ({self.source})"


@dataclass(frozen=True)
class Plan:
    """All that is done with a repository."""

    declared: Declared
    tests: Command
    train: Command


def plan(folder: Path, *, tests: str = "", train: str = "") -> Plan:
    """Return the plan for a repository; `tests` and `train` go before all that it says.

    Raises UserError where what it declares cannot be used.
    """
    found = declared(folder)
    if is_project(folder) and not found.outputs:
        found = replace(found, outputs=OUTPUTS)
    return Plan(
        found,
        _given(tests, found.tests, found.source, "--tests") or _guess_tests(folder),
        _given(train, found.train, found.source, "--train") or _guess_training(folder),
    )


def _given(option: str, said: str, source: str, name: str) -> Command | None:
    if option:
        return Command(option, f"given by {name}")
    return Command(said, f"declared in {source}") if said else None


def _guess_tests(folder: Path) -> Command:  # noqa: PLR0911 - one for each guess
    if is_project(folder):
        return Command("scripts/test.sh", "guessed: a Groundwork project")
    modules = sorted({*folder.glob("**/test_*.py"), *folder.glob("**/*_test.py")})
    modules = [path for path in modules if ".venv" not in path.parts]
    if (folder / "pytest.ini").is_file() or "pytest" in read_toml(folder / "pyproject.toml").get(
        "tool", {}
    ):
        return Command("python -m pytest", "guessed: pytest is configured")
    of_pytest = re.compile(r"^\s*(import|from) pytest\b|^(async )?def test", re.MULTILINE)
    if any(of_pytest.search(_text(path)) for path in modules):
        return Command("python -m pytest", "guessed: tests for pytest")
    if _target(folder, "test"):
        return Command("make test", "guessed: the target of Makefile")
    if (folder / "tox.ini").is_file():
        tox = "$(command -v tox || echo uv tool run tox)"
        return Command(
            f"{tox} run --skip-pkg-install", "guessed: tox.ini is there", f"{tox} run --notest"
        )
    if modules:
        where = (
            f" -s {modules[0].relative_to(folder).parts[0]}" if modules[0].parent != folder else ""
        )
        return Command(f"python -m unittest discover{where}", "guessed: tests for unittest")
    return Command("", "no tests were found; declare how to run them, or give --tests")


def _guess_training(folder: Path) -> Command:  # noqa: PLR0911 - one for each guess
    if is_project(folder):
        return Command(command_line(folder), "guessed: a Groundwork project")
    stages = _yaml(folder / "dvc.yaml").get("stages")
    if isinstance(stages, dict) and "train" in stages:
        return Command("dvc repro --force train", "guessed: the stage of dvc.yaml")
    for command in _entry_point(_yaml(folder / "MLproject")):
        return Command(command, "guessed: main of MLproject")
    if _target(folder, "train"):
        return Command("make train", "guessed: the target of Makefile")
    for name in ("train.py", "src/train.py", "scripts/train.py", "scripts/train.sh"):
        if (folder / name).is_file():
            return _script(name)
    scripts = [*folder.glob("scripts/train*.py"), *folder.glob("scripts/train*.sh")]
    if not scripts:
        scripts = [*folder.glob("**/train.py"), *folder.glob("**/train_model.py")]
    names = sorted(path.relative_to(folder).as_posix() for path in scripts)
    names = [name for name in names if not name.startswith((".venv/", "tests/"))]
    if len(names) == 1:
        return _script(names[0])
    found = f"any of {', '.join(names)} may be it" if names else "none was found"
    return Command("", f"no training to run: {found}; declare train, or give --train")


def _script(name: str) -> Command:
    return Command(f"{'sh' if name.endswith('.sh') else 'python'} {name}", f"guessed: {name}")


def _target(folder: Path, name: str) -> bool:
    return any(
        re.search(rf"^{name}\s*:(?!=)", _text(folder / file), re.MULTILINE)
        for file in ("Makefile", "makefile", "GNUmakefile")
    )


def _entry_point(project: dict[str, object]) -> Iterator[str]:
    """Yield the command of the entry point main, if it has one and all parameters a default."""
    points = project.get("entry_points")
    main = points.get("main") if isinstance(points, dict) else None
    if not isinstance(main, dict) or not isinstance(main.get("command"), str):
        return
    values = {
        name: value.get("default") if isinstance(value, dict) else None
        for name, value in (main.get("parameters") or {}).items()
    }
    command = main["command"]
    needed = re.findall(r"\{(\w+)\}", command)
    if all(values.get(name) is not None for name in needed):
        yield re.sub(r"\{(\w+)\}", lambda match: str(values[match[1]]), command)


def _yaml(path: Path) -> dict[str, object]:
    try:
        found = yaml.safe_load(_text(path))
    except yaml.YAMLError:
        return {}
    return found if isinstance(found, dict) else {}


def _text(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.is_file() else ""
