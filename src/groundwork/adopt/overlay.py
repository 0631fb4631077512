"""The standard, as rendered, laid around a project's files."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from groundwork.errors import UserError
from groundwork.update.lockfile import joined
from groundwork.update.repository import Repository

from .answers import distribution, license_files
from .formats.entry_points import commands
from .ignoring import filtered, hidden, reopened
from .own_tests import FIXTURES, own_tests
from .places import FOLDER, NOT_LINTED, REPORT, below_tests
from .pyproject import Pyproject
from .report import Adoption
from .todo import todo
from .wanted import Wanted

# The project's, not the standard's: its words, and what its tests share.
KEPT = {"LICENSE", "tests/__init__.py", "tests/conftest.py"}
# Settings of tools that would silently take the place of those in pyproject.toml.
TAKES_OVER = {
    *("pytest.ini", ".pytest.ini", "mypy.ini", ".mypy.ini", "ruff.toml", ".ruff.toml"),
    *(".coveragerc", "uv.toml"),
}
# Lists of patterns, in which both sides have their say.
JOINED = {".gitignore", ".dockerignore", ".gitattributes"}


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
        self.pyproject = Pyproject(
            self.render,
            self.wanted,
            self.packages,
            commands(self.files),
            distribution(self.files),
        )
        self.tests = own_tests(self.files, self.theirs, self.moves, self.packages)

    def tree(
        self, version: str, answers: dict[str, str], origins: dict[str, str]
    ) -> tuple[Adoption, str]:
        """Return what was done, and git's name of the tree with all files."""
        result = dict(self.ours)
        for name, line in self.theirs.items():
            path = self.moves.get(name, name)
            result[path] = "\t".join([line.split("\t", 1)[0], path])
        texts = {name: self._both(name) for name in JOINED & self.theirs.keys() & self.ours.keys()}
        if ".gitignore" in texts:
            texts[".gitignore"] += self._seen_again(result, texts[".gitignore"])
        if ".gitattributes" in texts:
            texts[".gitattributes"] += self._unfiltered(result, texts[".gitattributes"])
        own = self._read("pyproject.toml")
        standard = self.pyproject.text(own, self._unchecked())
        texts["pyproject.toml"] = self.tests.settings(standard)
        if "tests/conftest.py" in self.theirs.keys() - self.moves.keys():
            texts |= {name: text for name, text in FIXTURES.items() if name not in result}
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
        adoption = Adoption(version, answers, origins, self._mapped(), todo(self, answers))
        texts[REPORT] = adoption.text()
        for name, text in texts.items():
            result[name] = self.repository.entry(text, name)
        return adoption, self.repository.changed("", put=result.values())

    def _moves(self) -> dict[str, str]:
        """Return where each file of the project goes whose place the standard takes."""
        folders = {str(parent) for name in self.ours for parent in Path(name).parents}
        moved = set()
        spelled = {name.casefold(): name for name in self.ours}
        for name, line in self.theirs.items():
            # On macOS and Windows a file whose name differs by case only is the same file.
            twin = spelled.get(name.casefold(), name) != name
            taken = name in self.ours and line != self.ours[name] and name not in KEPT | JOINED
            # A file where the standard has a folder, and the other way round.
            around = any(str(parent) in self.ours for parent in Path(name).parents)
            if taken or twin or around or name in folders or name in TAKES_OVER:
                moved.add(name)
        if any(map(below_tests, moved)):  # tests need what they stand among
            moved |= set(filter(below_tests, self.theirs))
        return {name: f"{FOLDER}/{name}" for name in sorted(moved)}

    def _read(self, name: str) -> str:
        """Return a file of the project's, or nothing where it is none, or a link to none."""
        path = self.files / name
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    def _both(self, name: str) -> str:
        standard = (self.render / name).read_text(encoding="utf-8")
        own = [line for line in self._read(name).splitlines() if line not in standard.splitlines()]
        return "\n".join([standard.rstrip(), "# This project's own.", *own, ""])

    def _seen_again(self, result: Mapping[str, str], both: str) -> str:
        """Return lines by which neither side's patterns hide files that the other one has."""
        nested = [name for name in result if name.endswith("/.gitignore")]
        below = {name: self.repository.text(result[name]) for name in nested}
        before = {".gitignore": self._read(".gitignore"), **below}
        # What the project itself ignored and has all the same stays as it was.
        forced = {*hidden(before, self.theirs)}
        names = [name for name in result if name not in forced]
        lines = reopened({".gitignore": both, **below}, names)
        return "\n".join(["# Seen all the same.", *lines, ""]) if lines else ""

    def _unfiltered(self, result: Mapping[str, str], both: str) -> str:
        """Return lines by which the project's filters leave the standard's files as they are."""
        nested = [name for name in result if name.endswith("/.gitattributes")]
        below = {name: self.repository.text(result[name]) for name in nested}
        standard = [name for name, line in result.items() if self.ours.get(name) == line]
        names = filtered({".gitattributes": both, **below}, [*standard, REPORT])
        lines = [f"/{name} !filter !diff !merge" for name in names]
        return "\n".join(["# Stored as they are.", *lines, ""]) if lines else ""

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
            *(f"`{name}` is now `{FOLDER}/{name}`" for name in self.shown_moves()),
            *self.tests.mapped(),
            *(f"`{name}` stays as it is" for name in license_files(self.files)),
        ]

    def shown_moves(self) -> list[str]:
        """Return what moved, with tests/ as one."""
        tests = ["tests/"] if any(map(below_tests, self.moves)) else []
        return [*(name for name in self.moves if not below_tests(name)), *tests]
