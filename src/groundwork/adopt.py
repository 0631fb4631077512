"""An existing repository on the standard: on a branch of its own, with every file kept."""

import json
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from . import detect
from .errors import UserError
from .merge import ANSWERS, GitError, Repository, git, joined
from .questions import Questions
from .standard import Standard

BRANCH = "groundwork-adopt"
# Where a file goes whose place the standard takes.
ASIDE = "adopted"
REPORT = f"{ASIDE}/REPORT.md"
# YAML that yamllint does not look at.
NOT_LINTED = ".yamlignore"
# The project's words, not the standard's.
KEPT = {"LICENSE"}
# Lists of patterns, in which both sides have their say.
JOINED = {".gitignore", ".dockerignore", ".gitattributes"}
# Tables of pyproject.toml that are about another way to package, or that the standard has.
PACKAGING = {"poetry", "setuptools", "setuptools_scm", "hatch", "pdm", "flit", "uv"}
SUPERSEDED = [
    *("setup.py", "setup.cfg", "Pipfile", "Pipfile.lock", "uv.lock"),
    *("environment.yml", "environment.yaml", "requirements.txt"),
]


# Asks one question: after which answers, its name, and the default.
Ask = Callable[[Questions, Mapping[str, str], str, str], str]


@dataclass
class Adoption:
    """What was made, and what is left to do."""

    version: str
    answers: dict[str, str]
    mapped: list[str]
    todo: list[str]

    def text(self) -> str:
        """Return it as Markdown."""
        rows = "".join(f"| {name} | {value} |\n" for name, value in self.answers.items())
        mapped = "".join(f"- {line}\n" for line in self.mapped)
        todo = "".join(f"{number}. {line}\n" for number, line in enumerate(self.todo, 1))
        return _shown(
            f"# Brought onto the standard, {self.version}\n\n| question | answer |\n| --- | --- |\n"
            f"{rows}\n## What was mapped\n\n{mapped}\n## What is left to do\n\n{todo}"
        )


def adopt(
    folder: Path, standard: Standard, given: Mapping[str, str], *, to: str = "", ask: Ask | None
) -> Adoption:
    """Make the branch `groundwork-adopt` with the standard around what a repository has.

    Nothing that is checked out changes, and no branch but that one. `ask` is called for what
    neither `given` nor the repository answers; without it the default is taken.

    Raises:
        UserError: it is no repository, is on the standard already, or an answer is refused.
    """
    try:
        repository = Repository(folder)
        tree = repository.tree()
    except (GitError, OSError):
        raise UserError(f"{folder} is not a git repository with a commit") from None
    if ANSWERS in repository.files(tree):
        raise UserError(
            f"{folder} is on the standard already; scripts/update.sh brings it up to date"
        )
    if repository.git("for-each-ref", f"refs/heads/{BRANCH}"):
        raise UserError(
            f"{folder} has a branch {BRANCH}; look at it, or remove it: git branch -D {BRANCH}"
        )
    version = to or standard.present()
    with TemporaryDirectory() as place:
        files, render = Path(place, "files"), Path(place, "render")
        repository.write(tree, files)
        wanted, packages = detect.dependencies(files), detect.packages(files)
        found = detect.answers(files, wanted, repository.folder.name, *_origin(repository))
        questions = Questions(standard.files(version))
        answers = _filled(questions, found, given, packages, ask)
        standard.start(version, render, answers)
        ours = repository.files(repository.tree_of(render))
        theirs = repository.files(tree)
        overlay = Overlay(repository, files, render, theirs, ours, wanted, packages)
        adoption, result = overlay.tree(version, answers)
    commit = repository.commit_project(result, f"Adopt the standard, {version}")
    git(repository.folder, "update-ref", f"refs/heads/{BRANCH}", commit, repository.nothing)
    return adoption


def _origin(repository: Repository) -> tuple[str, tuple[str, str]]:
    try:
        origin = repository.git("config", "remote.origin.url").strip()
    except GitError:
        origin = ""
    people = Counter(repository.git("log", "-n", "500", "--format=%an%x00%ae").splitlines())
    name, _, address = people.most_common(1)[0][0].partition("\0")
    return origin, (name, address)


def _filled(
    questions: Questions,
    found: Mapping[str, str],
    given: Mapping[str, str],
    packages: Mapping[str, str],
    ask: Ask | None,
) -> dict[str, str]:
    """Answer every question and return those that are asked, with their answers."""
    if unknown := [name for name in given if name not in questions.by_name]:
        raise UserError(f"the template asks no {unknown[0]!r}")
    answers: dict[str, str] = {}
    asked = []
    for name, question in questions.by_name.items():
        answer = questions.rendered(question["default"], answers)
        if name == "package_name" and answer in packages:
            answer += "_ml"
        if questions.asked(name, answers):
            asked.append(name)
            if name in given:
                answer = given[name]
                if said := questions.refusal(name, answers | {name: answer}):
                    raise UserError(f"{name}: {said}")
            elif name in found and not questions.refusal(name, answers | {name: found[name]}):
                answer = found[name]
            elif ask:
                answer = ask(questions, answers, name, answer)
        answers[name] = answer
    return {name: answers[name] for name in asked}


@dataclass
class Overlay:
    """The standard, as rendered, laid around a project's files."""

    repository: Repository
    files: Path  # the project's, as they are
    render: Path
    theirs: dict[str, str]
    ours: dict[str, str]
    wanted: detect.Wanted
    packages: dict[str, str]

    def __post_init__(self) -> None:
        """See what is there, and what has to give way."""
        if any(Path(name).parts[0] == ASIDE for name in self.theirs):
            raise UserError(f"the repository has a folder {ASIDE}, which this needs; rename it")
        self.moves = self._moves()
        for name in self.moves:
            if self.theirs[name].startswith("160000"):
                raise UserError(f"the submodule {name} is where the standard has files; move it")
        self.mapped: list[str] = []
        self.new_packages = False

    def tree(self, version: str, answers: dict[str, str]) -> tuple[Adoption, str]:
        """Return what was done, and git's name of the tree with all files."""
        result = dict(self.ours)
        for name, line in self.theirs.items():
            path = self.moves.get(name, name)
            result[path] = "\t".join([line.split("\t", 1)[0], path])
        texts = {name: self._both(name) for name in JOINED & self.theirs.keys() & self.ours.keys()}
        texts["pyproject.toml"] = self._pyproject()
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
        if self.new_packages and "\ngroups = " in lock:
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
        return {name: f"{ASIDE}/{name}" for name in sorted(moved)}

    def _read(self, name: str) -> str:
        """Return a file of the project's, or nothing where it is none, or a link to none."""
        path = self.files / name
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""

    def _both(self, name: str) -> str:
        standard = (self.render / name).read_text(encoding="utf-8")
        own = [line for line in self._read(name).splitlines() if line not in standard.splitlines()]
        return "\n".join([standard.rstrip(), "# This project's own.", *own, ""])

    def _pyproject(self) -> str:
        """Return the standard's pyproject.toml with what is the project's."""
        text = (self.render / "pyproject.toml").read_text(encoding="utf-8")
        content = tomllib.loads(text)
        for table, marker in (
            (self.wanted.main, "`poetry add` appends"),
            (self.wanted.dev, "`poetry add -G dev` appends"),
        ):
            end = re.search(rf"(?m)^.*{re.escape(marker)}.*\n", text)
            if end:
                lines = "".join(self._carried(table, content))
                text = text[: end.end()] + lines + text[end.end() :]
        for name, place in self.packages.items():
            source = f', from = "{place}"' if place else ""
            include = f', {{ include = "{name}"{source} }}]'
            text = re.sub(r"(?m)(?<=^packages = )(\[.*)\]$", rf"\g<1>{include}", text)
        text = self._unchecked(text) + _tables(self._read("pyproject.toml"), content)
        tomllib.loads(text)
        return text

    def _carried(self, table: dict[str, Requirement], content: dict[str, Any]) -> Iterator[str]:
        """Yield a line for each dependency that is new; note what became of every one."""
        packages = tomllib.loads((self.render / "poetry.lock").read_text("utf-8"))["package"]
        locked = {str(canonicalize_name(one["name"])): str(one["version"]) for one in packages}
        groups = content["dependency-groups"].values()
        direct = [*content["project"]["dependencies"], *(one for group in groups for one in group)]
        standard = {canonicalize_name(Requirement(one).name) for one in direct}
        for name, requirement in table.items():
            pin = self.wanted.pins.get(name)
            before = f"=={pin}" if pin else str(requirement.specifier) or "any version"
            there = locked.get(name)
            if name in standard:
                self.mapped.append(f"{name}: {before} with you, {there} in the standard")
                continue
            self.new_packages = True
            if there and not requirement.specifier.contains(there, prereleases=True):
                self.mapped.append(
                    f"{name}: {before} with you, {there} for the standard's packages"
                )
                requirement.specifier = SpecifierSet()
            elif pin and not there:
                requirement.specifier = SpecifierSet(f"=={pin}")
            written = str(requirement).replace('"', "'")
            self.mapped.append(f"{name}: carried over as `{written}`")
            yield f'    "{written}",\n'

    def _unchecked(self, text: str) -> str:
        """Keep linters and type checkers off the project's files until someone wants them on."""
        names = (self.moves.get(name, name) for name in self.theirs)
        python = {self._top(name) for name in names if name.endswith((".py", ".pyi", ".ipynb"))}
        if not python:
            return text
        listed = ", ".join(map(_quoted, sorted(python)))
        line = 'src = ["src"]\n'
        text = text.replace(line, f"{line}extend-exclude = [{listed}]\n", 1)
        typed = sorted(name for name in python if name.startswith(("src/", "scripts/")))
        if typed:
            ends = ("$" if name.endswith((".py", ".pyi", ".ipynb")) else "/" for name in typed)
            patterns = ", ".join(
                _quoted(f"^{re.escape(name)}{end}") for name, end in zip(typed, ends, strict=True)
            )
            line = 'files = ["src", "scripts"]\n'
            text = text.replace(line, f"{line}exclude = [{patterns}]\n", 1)
        return text

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
            *self.mapped,
            *(
                f"`{name}` stays in `{place or '.'}` and can be imported: pyproject.toml lists it"
                for name, place in self.packages.items()
            ),
            *(f"`{name}` is now `{ASIDE}/{name}`" for name in self._shown_moves()),
        ]

    def _shown_moves(self) -> list[str]:
        tests = ["tests/"] if any(map(_below_tests, self.moves)) else []
        return [*(name for name in self.moves if not _below_tests(name)), *tests]

    def _todo(self, answers: Mapping[str, str]) -> list[str]:
        aside = [f"{ASIDE}/{name}" for name in self._shown_moves() if not _below_tests(name)]
        tests = f"{ASIDE}/tests" if any(map(_below_tests, self.moves)) else "tests"
        tested = any(_below_tests(name) and name.endswith(".py") for name in self.theirs)
        superseded = [name for name in SUPERSEDED if name in self.theirs]
        model = f"src/{answers['package_name']}"
        lines = {
            f"`git switch --no-overwrite-ignore {BRANCH}`": True,
            "`scripts/lock.sh`: your packages beside the standard's": self.new_packages,
            "`scripts/setup.sh`": True,
            **{f"not carried over, see to it: {line}": True for line in self.wanted.unread},
            f"fold what you need of these into the standard's files: {_listed(aside)}": aside,
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


def _shown(text: str) -> str:
    """Return a text in which a file's name may not be one."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _quoted(text: str) -> str:
    return json.dumps(_shown(text), ensure_ascii=False)


def _listed(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _below_tests(name: str) -> bool:
    return name.startswith("tests/")


def _tables(pyproject: str, content: Mapping[str, Any]) -> str:
    """Return the text of the tables of tools that the standard does not configure."""
    known = PACKAGING | content["tool"].keys()
    kept = [
        part.rstrip() + "\n"
        for part in re.split(r"(?m)^(?=\[)", pyproject)
        if (tool := re.match(r"\[\[?tool\.\"?([\w-]+)", part)) and tool[1] not in known
    ]
    try:
        tomllib.loads("".join(kept))
    except tomllib.TOMLDecodeError:
        return ""
    return "".join(f"\n{part}" for part in kept)
