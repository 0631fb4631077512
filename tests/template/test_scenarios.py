"""What becomes of a project's edits when the standard moves on, by each way to update."""

import runpy
import subprocess
import sys
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import tomlkit
import yaml
from pytest_copie.plugin import Copie

from groundwork.update.answers import Answers
from groundwork.update.merge import merge
from groundwork.update.ownership import ANSWERS
from groundwork.update.repository import Repository
from groundwork.update.standard import Standard
from groundwork.update.writing import write
from tests.conftest import commit_all, files, git, rendered
from tests.versions import (
    CI_FILE,
    DROPPED,
    FLAVOR,
    GUIDE,
    MODEL,
    MOVED,
    NEWEST,
    RENAMED,
    VERSIONS,
    append,
    begin,
    change,
)

from .test_update import update

pytestmark = pytest.mark.slow

MINE = "mine, and not to be lost"
PACKAGE = """\
[[package]]
name = "humanize"
version = "4.13.0"
description = "Python humanize utilities"
optional = false
python-versions = ">=3.9"
groups = ["main"]
files = [
    {file = "humanize-4.13.0-py3-none-any.whl", \
hash = "sha256:b810820b31891813b1673e8fec7f1ed3312061eab2f26e3fa192c393d11ed25f"},
]

"""


@dataclass
class Edit:
    """What a user did, and what is to come of it."""

    do: Callable[[Path], None]
    # Files that are not as in a fresh project afterwards; those with the user's lines in them.
    own: list[str] = field(default_factory=list)
    # Files in which a person must decide.
    conflicts: list[str] = field(default_factory=list)
    # How often the user's line was written; more often is fine, less is a loss.
    times: int = 1
    before: dict[str, str] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    # Since when the standard changes what the edit is about.
    since: str = VERSIONS[1]


def nothing(_: Path) -> None:
    """Leave everything as it was rendered."""


def own_dependency(root: Path) -> None:
    end = "`poetry add` appends below\n"
    change(root / "pyproject.toml", end, f'{end}    "humanize (>=4,<5)", # {MINE}\n')
    lock = root / "poetry.lock"
    change(lock, '[[package]]\nname = "idna"', f'{PACKAGE}[[package]]\nname = "idna"')
    append(root / "requirements/main.txt", "humanize==4.13.0 --hash=sha256:b810")


def own_group(root: Path) -> None:
    change(
        root / "pyproject.toml",
        "[tool.poetry]\n",
        f"[tool.mine]\nwhose = '{MINE}'\n\n[tool.poetry]\n",
    )
    change(root / "pyproject.toml", "[dependency-groups]\n", "[dependency-groups]\nmine = []\n")


def owned_files(root: Path) -> None:
    for name in (MODEL, "params.yaml"):
        (root / name).write_text(f"{MINE}\n", "utf-8")


def elsewhere(root: Path) -> None:
    change(root / "tox.ini", "[tox]", f"# {MINE}\n[tox]")


def same_line(root: Path) -> None:
    append(root / "tox.ini", f"; {MINE}")


def deleted(root: Path) -> None:
    (root / GUIDE).unlink()
    (root / "notebooks/explore.ipynb").unlink()


def same_name(root: Path) -> None:
    append(root / "docs/arrives.md", MINE)


def own_files(root: Path) -> None:
    append(root / "docs/own.md", MINE)
    (root / "docs/own.bin").write_bytes(bytes(range(256)))
    (root / "own.sh").write_text(f"#!/bin/sh\n# {MINE}\n", "utf-8")
    (root / "own.sh").chmod(0o755)


def own_job(root: Path) -> None:
    append(root / CI_FILE, f"  mine: # {MINE}\n    runs-on: ubuntu-latest")


def edited_dropped(root: Path) -> None:
    append(root / DROPPED, MINE)


def edited_renamed(root: Path) -> None:
    change(root / RENAMED, "line 20\n", f"line 20\n{MINE}\n")


CLEAN = [own_group, owned_files, elsewhere, deleted, own_files, own_job, edited_dropped]


def everything(root: Path) -> None:
    for one in CLEAN:
        one(root)


OWN_FILES = ["docs/own.md", "docs/own.bin", "own.sh"]
GONE = [GUIDE, "notebooks/explore.ipynb"]
OWNED = [MODEL, "params.yaml"]
EDITS = {
    "nothing": Edit(nothing, times=0),
    "own dependency": Edit(
        own_dependency,
        own=["pyproject.toml", "poetry.lock", "requirements/main.txt"],
    ),
    "own dependency group": Edit(own_group, own=["pyproject.toml"]),
    "edited owned files": Edit(owned_files, own=OWNED, times=2),
    "edited standard file elsewhere": Edit(elsewhere, own=["tox.ini"]),
    "edited standard file on the same line": Edit(
        same_line, own=["tox.ini"], conflicts=["tox.ini"]
    ),
    "deleted files": Edit(deleted, own=GONE, times=0, since=NEWEST),
    "added file with a name that the template introduces": Edit(
        same_name,
        own=["docs/arrives.md"],
        conflicts=["docs/arrives.md"],
    ),
    "added files": Edit(own_files, own=OWN_FILES, times=2),
    "own CI job": Edit(own_job, own=[CI_FILE]),
    "edited file that the standard drops": Edit(edited_dropped, own=[DROPPED]),
    "edited file that the standard renames": Edit(
        edited_renamed, own=[RENAMED, MOVED], since=NEWEST
    ),
    "changed answer": Edit(nothing, times=0, answers={"scale": "ray"}),
    "answer that is offered no more": Edit(nothing, times=0, before={"ci": "travis"}, since=NEWEST),
    "all that is clean at once": Edit(
        everything,
        own=["pyproject.toml", "tox.ini", CI_FILE, *OWNED, *GONE, *OWN_FILES, DROPPED],
        times=8,
    ),
}


def by_script(moved: Path, project: Path, edit: Edit) -> None:
    """Do what scripts/update.sh does: test_update_script.py has the script itself."""
    cache = project.parent
    standard = Standard(str(moved), cache / "cache")
    answers = Answers((project / ANSWERS).read_text("utf-8"))
    for name, version, data in (("old", answers.version, {}), ("new", NEWEST, edit.answers)):
        (cache / name).mkdir()
        standard.render(version, answers, cache / name, **data)
    repository = Repository(project)
    merged = merge(repository, cache / "old", cache / "new")
    write(repository, merged.tree, merged.stages, cache / "applying")


def by_copier(_: Path, project: Path, edit: Edit) -> None:
    update(project, **edit.answers)


def by_renovate(_: Path, project: Path, edit: Edit) -> None:
    assert not edit.answers
    options = ["--skip-answered", "--defaults", "--vcs-ref", NEWEST]
    subprocess.run(
        [sys.executable, "-m", "copier", "update", *options, "--answers-file", ANSWERS],
        cwd=project,
        check=True,
        capture_output=True,
    )


def lines(root: Path) -> int:
    return sum(path.read_bytes().count(MINE.encode()) for path in files(root))


def test_the_versions_differ_in_rendered_code_of_the_framework_and_of_its_example(
    copie: Copie, moved: Path, tmp_path: Path
) -> None:
    """The tests below would prove little of new code that reaches no project."""
    old, new = (begin(copie, moved, tmp_path / version, version) for version in VERSIONS[1:])
    for name, line in ((MODEL, "# Another example."), (FLAVOR, "# Another flavor.")):
        before, after = ((root / name).read_text("utf-8") for root in (old, new))
        assert after == f"{before}\n{line}\n"


CASES = [
    *(
        pytest.param(by_script, version, name, id=f"script-{version}-{name}")
        for name, edit in EDITS.items()
        for version in VERSIONS[:-1]
        if edit.since > version
        and (version == VERSIONS[0] or edit.do not in {edited_dropped, everything})
    ),
    # Copier's own merge, which is not ours to test: what it does cleanly, all at once.
    *(
        pytest.param(
            by_copier,
            VERSIONS[0],
            name,
            id=f"copier-{name}",
            marks=[] if edit.do in {everything, same_line} else [pytest.mark.rare],
        )
        for name, edit in EDITS.items()
        if edit.do not in CLEAN
    ),
    *(
        pytest.param(by_renovate, VERSIONS[0], name, id=f"renovate-{name}")
        for name in (
            "all that is clean at once",
            "edited standard file on the same line",
            "answer that is offered no more",
        )
    ),
]


@pytest.mark.parametrize(("way", "version", "name"), CASES)
def test_an_update_keeps_every_line_and_asks_only_where_both_sides_changed_the_same(
    copie: Copie,
    moved: Path,
    tmp_path: Path,
    way: Callable[[Path, Path, Edit], None],
    version: str,
    name: str,
) -> None:
    edit = EDITS[name]
    project = begin(copie, moved, tmp_path / "project", version, **edit.before)
    edit.do(project)
    commit_all(project, "Edit")
    assert lines(project) == edit.times
    example = (project / MODEL).read_bytes()
    way(moved, project, edit)
    assert (project / MODEL).read_bytes() == example

    conflicts = {line.split("\t")[1] for line in git(project, "ls-files", "-u").splitlines()}
    assert conflicts == set(edit.conflicts)
    assert lines(project) >= edit.times
    if not conflicts:
        assert lines(project) == edit.times

    answers = yaml.safe_load((project / ANSWERS).read_text("utf-8"))
    assert answers["_commit"] == NEWEST
    fresh = rendered(
        copie,
        moved,
        tmp_path / "fresh",
        **{key: answers[key] for key in answers if not key.startswith("_")},
    )
    own = {*edit.own, *([RENAMED, DROPPED] if way is not by_script else [])}
    own |= {MODEL}  # checked above: as it was
    names = {str(path.relative_to(fresh)) for path in files(fresh)} | {
        str(path.relative_to(project)) for path in files(project)
    }
    for path in sorted(names - own):
        assert (project / path).read_bytes() == (fresh / path).read_bytes(), path
    assert answers["license"] == ("MIT" if version == "v1.0.0" else "Apache-2.0")


def test_an_optional_group_of_the_projects_own_stays_beside_one_that_the_standard_adds(
    project: Path, tmp_path: Path
) -> None:
    """Written as `poetry add -G mine` does, where the next version writes, too."""
    before = (project / "pyproject.toml").read_text("utf-8")
    mine = tomlkit.parse(before)
    mine["dependency-groups"]["mine"] = ["humanize>=4"]  # type: ignore[index]
    groups = mine["tool"]["poetry"]["group"]  # type: ignore[index]
    groups["mine"] = {"optional": True}
    groups["poetrys"] = {"dependencies": {"humanize": "^4"}}
    after = before
    for new in ('later = ["idna"]\n', "\n[tool.poetry.group.later]\noptional = true\n"):
        marker = "# <- end of the standard's groups; yours below\n"
        place = after.index(marker, after.index("[tool.poetry]") if "tool" in new else 0)
        after = after[:place] + new + after[place:]
    sides = {"mine": tomlkit.dumps(mine), "before": before, "after": after}
    for name, text in sides.items():
        (tmp_path / name).write_text(text, "utf-8")
    merged = tomllib.loads(git(tmp_path, "merge-file", "--stdout", *sides))
    assert {"mine", "later"} <= merged["dependency-groups"].keys()
    optional = {
        name for name, about in merged["tool"]["poetry"]["group"].items() if about.get("optional")
    }
    assert {"mine", "later", "wandb"} <= optional
    # Each is exported, whoever wrote it, and in whichever way.
    (tmp_path / "pyproject.toml").write_text(git(tmp_path, "merge-file", "--stdout", *sides))
    exports = project / "src/my_ml_project/ops/provenance/exports.py"
    listed = runpy.run_path(str(exports))["groups"](tmp_path)
    assert len(listed) == len({*listed})
    assert {"main", "dev", "wandb", "mine", "later", "poetrys"} <= {*listed}
