"""`copier update` from a template that moves on: what is the project's stays, the rest comes."""

from pathlib import Path
from shutil import copytree

import copier
import pytest

from tests.combinations import DEFAULTS, OPTIONS, QUESTIONS, parsed, refusals, selected
from tests.conftest import ROOT, Render, commit_all, files, freeze, git

pytestmark = pytest.mark.slow

# The first of two lists; the second has what the standard dropped or renamed.
YOURS = (ROOT / "includes/ownership.yml").read_text("utf-8").partition("# Dropped")[0]
OWNED = [
    line.strip().removeprefix("/").replace("{{ package_name }}", "my_ml_project")
    for line in YOURS.splitlines()
    if line.startswith("    /")
]


def release(template: Path, tag: str, changes: dict[str, str]) -> None:
    """Append to files of the template and tag that."""
    for name, text in changes.items():
        with (template / name).open("a", encoding="utf-8") as file:
            file.write(text)
    commit_all(template, tag)
    git(template, "tag", tag)


def update(project: Path, **answers: object) -> None:
    copier.run_update(
        project,
        data=answers,
        defaults=True,
        quiet=True,
        overwrite=True,
        conflict="inline",
        unsafe=False,
    )


@pytest.fixture
def moving(template: Path, tmp_path: Path) -> Path:
    """A template of the test's own, to release from."""
    return copytree(template, tmp_path / "template", symlinks=True)


@pytest.fixture
def started(moving: Path, render: Render) -> Path:
    """A project made from it and committed, with every file that can be its own."""
    project = render("project", of=moving, data="dvc")
    git(project, "init", "--quiet", "--initial-branch", "main")
    commit_all(project, "Start")
    return project


def test_an_update_brings_the_standard_and_needs_no_trust(moving: Path, started: Path) -> None:
    release(moving, "v999.1.0", {"template/tox.ini": "\n; moved on\n"})
    update(started)
    assert (started / "tox.ini").read_text("utf-8").endswith("; moved on\n")
    assert "_commit: v999.1.0" in (started / ".copier-answers.yml").read_text("utf-8")
    assert git(started, "ls-files", "--unmerged") == ""


def test_files_that_are_the_projects_exist_at_the_start(started: Path) -> None:
    for name in OWNED:
        assert (started / name).is_file(), name


def source_of(template: Path, name: str) -> str:
    """Return the file of the template that `name` is rendered from."""
    folder, _, base = name.replace("my_ml_project", "{{ package_name }}").rpartition("/")
    named = {base, f"{base}.jinja", f"{{% if data == 'dvc' %}}{base}{{% endif %}}.jinja"}
    (found,) = (path for path in (template / "template" / folder).iterdir() if path.name in named)
    return str(found.relative_to(template))


def test_an_update_leaves_the_projects_own_files_alone(moving: Path, started: Path) -> None:
    mine = {name: f"mine, every byte of {name}\n" for name in OWNED}
    for name, text in mine.items():
        (started / name).write_text(text, "utf-8")
    commit_all(started, "Make them mine")
    moved = dict.fromkeys((source_of(moving, name) for name in OWNED), "\nthe template moved on\n")
    release(moving, "v999.1.0", moved)
    update(started)
    assert {name: (started / name).read_text("utf-8") for name in OWNED} == mine
    assert git(started, "status", "--porcelain").split() == ["M", ".copier-answers.yml"]


def test_an_update_does_not_bring_back_what_the_project_deleted(
    moving: Path, started: Path
) -> None:
    for name in OWNED:
        (started / name).unlink()
    commit_all(started, "Do without them")
    release(moving, "v999.1.0", {"template/tox.ini": "\n; moved on\n"})
    update(started)
    assert [name for name in OWNED if (started / name).exists()] == []


def test_edits_far_from_the_templates_merge(moving: Path, started: Path) -> None:
    path = started / "tox.ini"
    path.write_text("; mine\n" + path.read_text("utf-8"), "utf-8")
    commit_all(started, "A line at the top")
    release(moving, "v999.1.0", {"template/tox.ini": "\n; moved on\n"})
    update(started)
    text = path.read_text("utf-8")
    assert text.startswith("; mine\n")
    assert text.endswith("; moved on\n")


def test_an_updated_project_equals_a_fresh_one(moving: Path, started: Path, render: Render) -> None:
    release(
        moving,
        "v999.1.0",
        {
            "template/tox.ini": "\n; moved on\n",
            "template/new.md": "# New\n",
            ".editorconfig": "# x\n",
        },
    )
    update(started)
    fresh = render("fresh", of=moving, data="dvc")
    names = [path.relative_to(fresh) for path in files(fresh)]
    assert [path.relative_to(started) for path in files(started)] == names
    for name in names:
        assert (started / name).read_bytes() == (fresh / name).read_bytes(), name


def test_an_answer_can_be_changed_by_an_update(moving: Path, started: Path) -> None:
    release(moving, "v999.1.0", {"template/tox.ini": "\n; moved on\n"})
    update(started, license="Apache-2.0", python_version="3.13")
    assert "Apache License" in (started / "LICENSE").read_text("utf-8")
    assert (started / ".python-version").read_text("utf-8").strip() == "3.13"


@pytest.mark.parametrize(
    ("option", "choice"),
    [
        # A file for an answer, a part of a file, and several answers at once run always.
        pytest.param(
            option,
            choice,
            marks=[] if option in {"accelerator", "data", "deploy"} else [pytest.mark.rare],
        )
        for option in OPTIONS
        # Another framework is another example and another lock: another project. The test above
        # has another Python.
        if option not in {"framework", "python_version"}
        for choice in selected(option)
        if choice != DEFAULTS[option]
    ],
)
def test_an_answer_can_be_switched_and_switched_back(
    render: Render, option: str, choice: str
) -> None:
    framework = next(
        name
        for name in QUESTIONS.choices("framework")
        if not refusals(DEFAULTS | {"framework": name, option: choice})
    )
    project = render("project", framework=framework)
    git(project, "init", "--quiet", "--initial-branch", "main")
    (project / "own.md").write_text("mine\n", "utf-8")
    with (project / "README.md").open("a", encoding="utf-8") as page:
        page.write("\nMine.\n")
    commit_all(project, "Start")
    update(project, **{option: choice})
    assert git(project, "ls-files", "--unmerged") == ""

    fresh = render("fresh", framework=framework, **parsed({option: choice}))
    # What is the project's own comes with no update: `dvc repro` makes the dvc.lock.
    own_files = {Path(name) for name in OWNED} - {
        path.relative_to(project) for path in files(project)
    }
    names = {path.relative_to(fresh) for path in files(fresh)} - own_files
    assert {path.relative_to(project) for path in files(project)} == {*names, Path("own.md")}
    for name in names:
        own = b"\nMine.\n" if name == Path("README.md") else b""
        assert (project / name).read_bytes() == (fresh / name).read_bytes() + own, name
    # What is installed may change; what was resolved may not.
    commit_all(project, "Switch")
    assert git(project, "diff", "--name-only", "HEAD~", "--", "poetry.lock", "requirements") == ""

    update(project, **{option: DEFAULTS[option]})
    assert git(project, "ls-files", "--unmerged") == ""
    commit_all(project, "Switch back")
    assert git(project, "diff", "HEAD~2") == ""


def test_every_release_and_the_last_commit_update_to_the_template_as_it_stands(
    tmp_path: Path,
) -> None:
    """Cleanly where nothing was edited; where every file was, no line of it is lost."""
    template = tmp_path / "template"
    git(tmp_path, "clone", "--quiet", "--no-local", str(ROOT), str(template))
    git(template, "tag", "v998.0.0")
    releases = git(template, "tag", "--list", "v*").split()
    stands = freeze(tmp_path / "now")
    git(template, "fetch", "--quiet", str(stands), "v999.0.0:refs/tags/v999.0.0")
    for tag in releases:
        plain, edited = tmp_path / tag, tmp_path / f"{tag}-edited"
        copier.run_copy(str(template), plain, defaults=True, quiet=True, vcs_ref=tag, unsafe=False)
        git(plain, "init", "--quiet", "--initial-branch", "main")
        commit_all(plain, "Start")
        copytree(plain, edited)
        names = [path for path in files(edited) if path.name != ".copier-answers.yml"]
        for path in names:
            with path.open("a", encoding="utf-8") as file:
                file.write("\nmine: not to be lost\n")
        commit_all(edited, "Edit everything")
        for project in (plain, edited):
            update(project)
            answers = (project / ".copier-answers.yml").read_text("utf-8")
            assert "_commit: v999.0.0" in answers
        assert git(plain, "ls-files", "--unmerged") == "", tag
        lost = [path for path in names if b"not to be lost" not in path.read_bytes()]
        assert not lost, tag


def test_making_a_project_from_the_newest_tag_is_what_copier_does_unasked(
    moving: Path, render: Render, tmp_path: Path
) -> None:
    release(moving, "v999.1.0", {"template/tox.ini": "\n; moved on\n"})
    commit_all(moving, "Not released")
    copier.run_copy(str(moving), tmp_path / "p", defaults=True, quiet=True, unsafe=False)
    assert "_commit: v999.1.0\n" in (tmp_path / "p/.copier-answers.yml").read_text("utf-8")
    assert render("other").is_dir()
