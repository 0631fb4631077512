"""The standard, as rendered, laid around a project's files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from groundwork.errors import UserError
from groundwork.update.lockfile import joined
from groundwork.update.repository import Repository

from .pyproject import Pyproject
from .report import Adoption
from .wanted import Wanted

BRANCH = "groundwork-adopt"
# Where a file goes whose place the standard takes.
FOLDER = "adopted"
REPORT = f"{FOLDER}/REPORT.md"
# YAML that yamllint does not look at.
NOT_LINTED = ".yamlignore"
# The project's words, not the standard's.
KEPT = {"LICENSE"}
# Lists of patterns, in which both sides have their say.
JOINED = {".gitignore", ".dockerignore", ".gitattributes"}
SUPERSEDED = [
    *("setup.py", "setup.cfg", "Pipfile", "Pipfile.lock", "uv.lock"),
    *("environment.yml", "environment.yaml", "requirements.txt"),
]


@dataclass
class Overlay:
    """The standard, as rendered, laid around a project's files."""

    repository: Repository
    files: Path  # the project's, as they are
    render: Path
    theirs: dict[str, str]
    ours: dict[str, str]
    wanted: Wanted
    packages: dict[str, str]

    def __post_init__(self) -> None:
        """See what is there, and what has to give way."""
        if any(Path(name).parts[0] == FOLDER for name in self.theirs):
            raise UserError(f"the repository has a folder {FOLDER}, which this needs; rename it")
        self.moves = self._moves()
        for name in self.moves:
            if self.theirs[name].startswith("160000"):
                raise UserError(f"the submodule {name} is where the standard has files; move it")
        self.pyproject = Pyproject(self.render, self.wanted, self.packages)

    def tree(self, version: str, answers: dict[str, str]) -> tuple[Adoption, str]:
        """Return what was done, and git's name of the tree with all files."""
        result = dict(self.ours)
        for name, line in self.theirs.items():
            path = self.moves.get(name, name)
            result[path] = "\t".join([line.split("\t", 1)[0], path])
        texts = {name: self._both(name) for name in JOINED & self.theirs.keys() & self.ours.keys()}
        own = self._read("pyproject.toml")
        texts["pyproject.toml"] = self.pyproject.text(own, self._unchecked())
        yaml = [
            name for name in result if name not in self.ours and name.endswith((".yml", ".yaml"))
        ]
        if yaml:
            settings = (self.render / ".yamllint").read_text(encoding="utf-8")
            line = "ignore-from-file: .gitignore\n"
            both = f"ignore-from-file: [.gitignore, {NOT_LINTED}]\n"
            texts[".yamllint"] = settings.replace(line, both)
            texts[NOT_LINTED] = "".join(f"/{name}\n" for name in sorted(yaml))
        lock = self._read("poetry.lock")
        # A lock of an older Poetry has its packages without the groups that they belong to.
        if self.pyproject.new_packages and "\ngroups = " in lock:
            standard = (self.render / "poetry.lock").read_text(encoding="utf-8")
            texts["poetry.lock"] = joined(lock, standard)
        adoption = Adoption(version, answers, self._mapped(), self._todo(answers))
        texts[REPORT] = adoption.text()
        for name, text in texts.items():
            result[name] = self.repository.entry(text, name)
        return adoption, self.repository.changed("", put=result.values())

    def _moves(self) -> dict[str, str]:
        """Return where each file of the project goes whose place the standard takes."""
        folders = {str(parent) for name in self.ours for parent in Path(name).parents}
        moved = set()
        for name, line in self.theirs.items():
            taken = name in self.ours and line != self.ours[name] and name not in KEPT | JOINED
            # A file where the standard has a folder, and the other way round.
            around = any(str(parent) in self.ours for parent in Path(name).parents)
            if taken or around or name in folders:
                moved.add(name)
        if any(map(_below_tests, moved)):  # tests need what they stand among
            moved |= set(filter(_below_tests, self.theirs))
        return {name: f"{FOLDER}/{name}" for name in sorted(moved)}

    def _read(self, name: str) -> str:
        """Return a file of the project's, or nothing where it is none, or a link to none."""
        path = self.files / name
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    def _both(self, name: str) -> str:
        standard = (self.render / name).read_text(encoding="utf-8")
        own = [line for line in self._read(name).splitlines() if line not in standard.splitlines()]
        return "\n".join([standard.rstrip(), "# This project's own.", *own, ""])

    def _unchecked(self) -> list[str]:
        """Return the project's Python, which linters and type checkers leave alone at first."""
        names = (self.moves.get(name, name) for name in self.theirs)
        return sorted(
            {self._top(name) for name in names if name.endswith((".py", ".pyi", ".ipynb"))}
        )

    def _top(self, name: str) -> str:
        """Return the highest folder of a file in which the standard has nothing, or the file."""
        for parent in [*Path(name).parents][-2::-1]:
            if not any(other.startswith(f"{parent}/") for other in self.ours):
                return str(parent)
        return name

    def _mapped(self) -> list[str]:
        files = self.wanted.files
        return [
            *([f"dependencies were read from {', '.join(files)}"] if files else []),
            *self.pyproject.mapped,
            *(
                f"`{name}` stays in `{place or '.'}` and can be imported: pyproject.toml lists it"
                for name, place in self.packages.items()
            ),
            *(f"`{name}` is now `{FOLDER}/{name}`" for name in self._shown_moves()),
        ]

    def _shown_moves(self) -> list[str]:
        tests = ["tests/"] if any(map(_below_tests, self.moves)) else []
        return [*(name for name in self.moves if not _below_tests(name)), *tests]

    def _todo(self, answers: Mapping[str, str]) -> list[str]:
        moved = [f"{FOLDER}/{name}" for name in self._shown_moves() if not _below_tests(name)]
        tests = f"{FOLDER}/tests" if any(map(_below_tests, self.moves)) else "tests"
        tested = any(_below_tests(name) and name.endswith(".py") for name in self.theirs)
        superseded = [name for name in SUPERSEDED if name in self.theirs]
        model = f"src/{answers['package_name']}"
        lines = {
            f"`git switch --no-overwrite-ignore {BRANCH}`": True,
            "`scripts/lock.sh`: your packages beside the standard's": self.pyproject.new_packages,
            "`scripts/setup.sh`": True,
            **{f"not carried over, see to it: {line}": True for line in self.wanted.unread},
            f"fold what you need of these into the standard's files: {_listed(moved)}": moved,
            f"run your own tests with `.venv/bin/python -m pytest {tests}`, and move them into the"
            " layers below `tests/`": tested,
            f"remove what nothing reads any more: {_listed(superseded)}": superseded,
            f"put your model in place of the example: `data.py`, `schema.py`, `features.py` and"
            f" `model.py` in `{model}`": True,
            "take your files out of `extend-exclude` and `exclude` in pyproject.toml, and out of"
            f" `{NOT_LINTED}`, to have them checked": True,
            "`scripts/test.sh`, then merge; later versions come by `scripts/update.sh`": True,
        }
        return [line for line, needed in lines.items() if needed]


def _below_tests(name: str) -> bool:
    return name.startswith("tests/")


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
