"""The steps of scripts/update.sh, which hand over what they made in a folder WORK.

WORK/template holds the clone of the template, WORK/old and WORK/new are renders, WORK/merged what
is to become of the project.
"""

import os
import shlex
import signal
import sys
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from groundwork.errors import UserError

from .answers import Answers
from .audit import audit
from .drift import drift, executed, said
from .imports import broken
from .lockfile import PYPROJECT, resolved
from .merge import merge
from .ownership import ANSWERS, among, ownership
from .repository import Repository
from .standard import SIGNERS, Standard
from .writing import require_whole, write

# Ends what was stopped while it wrote: `sh WORK/finish PROJECT`. It is the code that began that
# which knows how.
FINISH = """\
cd "${{0%/*}}/code/src" && exec {python} -Es -m groundwork.update.finish "$1" "${{0%/*}}/applying"
"""


class Update:
    """An update of a project that is under way."""

    def __init__(self, project: str, work: str) -> None:
        """Find the project's repository, and what it says about its template."""
        self.work = Path(work)
        self.repository = Repository(Path(project))
        self.answers = Answers(Path(project, ANSWERS).read_text(encoding="utf-8"))

    @cached_property
    def standard(self) -> Standard:
        """The template, as scripts/update.sh has cloned it."""
        return Standard(self.answers.source, self.work / "template")

    def require_package(self) -> None:
        """Raise UserError where the package has not the name that the answers give it."""
        name = self.answers.content.get("package_name")
        if name and not (self.repository.folder / "src" / name).is_dir():
            raise UserError(
                f"{ANSWERS} calls the package {name}, and there is no src/{name}: "
                "if you renamed it, write its name there as package_name, and commit that"
            )


def newer(update: Update) -> None:
    """Print the newest version of the template, if the project has an older one."""
    print(update.standard.newer(update.answers.version))


def render(update: Update, name: str, version: str, *data: str) -> None:
    """Render the standard with the project's answers, and those in `data`, to WORK/`name`."""
    folder = update.work / name
    folder.mkdir()
    if name == "new":
        require_whole(update.repository)
        update.require_package()
        update.standard.verify(version, update.repository.folder / SIGNERS)
    given = dict(text.split("=", 1) for text in data)
    update.standard.render(version, update.answers, folder, **given)
    stored = Answers((folder / ANSWERS).read_text(encoding="utf-8")).content
    for question in given:
        if question not in stored:
            raise UserError(f"the template asks this project no '{question}'")


def changes(update: Update) -> None:
    """Print which of the standard's files are not as its version has them."""
    repository = update.repository
    render(update, "old", update.answers.version)
    found = drift(repository, update.work / "old", repository.worked_on())
    print(
        f"On {update.answers.version} of the standard, with {len(found)} of its files changed here"
    )
    for change in found:
        print(f"  {said(change)}")


def audited(update: Update) -> None:
    """Audit the project by the companion of its version. Raises UserError where a check fails."""
    template = update.standard.files(update.answers.version)
    if audit(template, update.repository.folder, update.work / "audit"):
        raise UserError("checks fail; each is named above, with what to do")


def merged(update: Update) -> None:
    """Merge the two renders; print "same", "lock" or "ready".

    That is: it changes nothing; scripts/lock.sh has to run, on the files in WORK/tree; or neither.
    WORK/broken and WORK/executed get what there is to say before a script of the new version runs,
    WORK/summary and WORK/decide what there is to say when all is done: the last where a person has
    to decide.
    """
    repository, work = update.repository, update.work
    result = merge(repository, work / "old", work / "new")
    _write(work / "merged", "\0".join([repository.head, result.tree, *result.stages]))
    kept = [f"  no longer the standard's, kept as yours: {path}\n" for path in result.kept]
    new = Answers((work / "new" / ANSWERS).read_text(encoding="utf-8"))
    _write(
        work / "summary",
        "".join([*kept, f"Updated from {update.answers.version} to {new.version}"]),
    )
    _write(work / "executed", executed(repository, work / "old", work / "new"))
    standard = repository.tree_of(work / "new")
    imports = [f"  {one}\n" for one in broken(repository, repository.tree(), result.tree, standard)]
    title = "Imports of your code that this version does not have; change them after the update:\n"
    _write(work / "broken", "".join([title, *imports] if imports else []))
    dependencies = PYPROJECT in result.conflicts
    then = "scripts/lock.sh and scripts/test.sh" if dependencies else "scripts/test.sh"
    if result.conflicts:
        names = " ".join(result.conflicts)
        _write(
            work / "decide",
            f"decide between the two edits in: {names}; then git add them and run {then}",
        )
    if result.tree == repository.tree():
        print("same")
    elif resolved(repository, result.tree, work / "new"):
        print("ready")
    else:
        repository.write(result.tree, work / "tree")
        print("ready" if dependencies else "lock")


def applied(update: Update) -> None:
    """Change the project's files to what was merged, with the lock that was made in WORK/tree."""
    repository, work = update.repository, update.work
    text = (work / "merged").read_bytes().decode("utf-8", "surrogateescape")
    repository.head, tree, *stages = text.split("\0")
    if (work / "tree").is_dir():
        generated = ownership(work / "new").get("generated", [])
        tree = _with_lock(repository, tree, work / "tree", generated)
    _write(work / "finish", FINISH.format(python=shlex.quote(os.path.realpath(sys.executable))))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # it takes a moment
    write(repository, tree, stages, work / "applying")


STEPS: dict[str, Callable[..., None]] = {
    "newer": newer,
    "render": render,
    "changes": changes,
    "audit": audited,
    "merge": merged,
    "apply": applied,
}


def _write(path: Path, text: str) -> None:
    path.write_bytes(text.encode("utf-8", "surrogateescape"))


def _with_lock(repository: Repository, tree: str, folder: Path, generated: list[str]) -> str:
    """Return a tree with what scripts/lock.sh wrote in a copy of it."""
    made = [
        path
        for place in generated
        for path in ((folder / place).rglob("*") if place.endswith("/") else [folder / place])
        if path.is_file()
    ]
    texts = {
        path.relative_to(folder).as_posix(): path.read_bytes().decode("utf-8", "surrogateescape")
        for path in made
    }
    gone = [name for name in repository.files(tree) if among(name, generated)]
    put = [repository.entry(text, name) for name, text in texts.items()]
    return repository.changed(tree, drop=gone, put=put)
