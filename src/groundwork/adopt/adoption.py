"""An existing repository on the standard: on a branch of its own, with every file kept."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from groundwork.errors import UserError
from groundwork.template.questions import Questions
from groundwork.update.git import GitError, git
from groundwork.update.ownership import ANSWERS
from groundwork.update.repository import Repository
from groundwork.update.standard import Standard

from .answers import import_packages, stated
from .dependencies import dependencies
from .overlay import Overlay
from .places import BRANCH
from .report import Adoption

# Asks one question: after which answers, its name, and the default.
Ask = Callable[[Questions, Mapping[str, str], str, str], str]


def adopt(  # noqa: PLR0913 - all of them by name
    folder: Path,
    standard: Standard,
    given: Mapping[str, str],
    *,
    to: str = "",
    relax: Iterable[str] = (),
    ask: Ask | None,
    say: Callable[[str], None],
) -> Adoption:
    """Make the branch `groundwork-adopt` with the standard around what a repository has.

    Nothing that is checked out changes, and no branch but that one. `ask` is called for what
    neither `given` nor the repository answers; without it the default is taken. `say` is called
    with what is worked on.
    `relax` names packages that may have any version, whatever the repository asks for.

    Raises:
        UserError: it is no repository, is on the standard already, or an answer is refused.
    """
    try:
        repository = Repository(folder)
        tree = repository.tree()
    except (GitError, OSError) as error:
        if "dubious ownership" in str(error):
            raise UserError(
                f"{folder} belongs to another user, so git does not read it; become its owner, or"
                f" run git config --global --add safe.directory '{folder.resolve()}'"
            ) from None
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
        say(f"read {repository.folder.name}")
        files, render = Path(place, "files"), Path(place, "render")
        repository.write(tree, files)
        wanted, packages = dependencies(files), import_packages(files)
        wanted.relax(relax)
        found = stated(files, wanted, repository.folder.name, *_origin(repository))
        questions = Questions(standard.files(version))
        answers, origins = _filled(questions, found, given, packages, ask)
        say(f"render the standard at {version}")
        standard.start(version, render, answers)
        say("lay it around what is there")
        ours = repository.files(repository.tree_of(render))
        theirs = repository.files(tree)
        overlay = Overlay(repository, files, render, theirs, ours, wanted, packages)
        adoption, result = overlay.tree(version, answers, origins)
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
) -> tuple[dict[str, str], dict[str, str]]:
    """Answer every question; return the answers to those that are asked, and where each is from."""
    if unknown := [name for name in given if name not in questions.by_name]:
        raise UserError(f"the template asks no {unknown[0]!r}")
    answers: dict[str, str] = {}
    origins: dict[str, str] = {}
    for name, question in questions.by_name.items():
        answer = questions.rendered(question["default"], answers)
        if name == "package_name" and answer in packages:
            answer += "_ml"
        if questions.asked(name, answers):
            origins[name] = "default"
            if name in given:
                answer, origins[name] = given[name], "--data"
                if said := questions.refusal(name, answers | {name: answer}):
                    raise UserError(f"{name}: {said}")
            elif name in found and not questions.refusal(name, answers | {name: found[name]}):
                answer, origins[name] = found[name], "the repository"
            elif ask:
                answer, origins[name] = ask(questions, answers, name, answer), "you"
        answers[name] = answer
    return {name: answers[name] for name in origins}, origins
