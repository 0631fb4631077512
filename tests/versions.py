"""Three versions of the template, made to see what updates do.

A bumped package, a new, a dropped and a renamed file, a changed default, a removed choice, a new
question, new framework code.
"""

import tomllib
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest
from pytest_copie.plugin import Copie

from .conftest import commit_all, git, rendered

# With the dates of their commits.
DATES = {"v1.0.0": "2026-01-01", "v1.1.0": "2026-02-01", "v1.2.0": "2026-03-02"}
VERSIONS = [*DATES]
NEWEST = VERSIONS[-1]
DROPPED, RENAMED, MOVED = "docs/dropped.md", "docs/renamed.md", "docs/moved.md"
GUIDE = "docs/how-to/your-own-data.md"
CI_FILE = ".github/workflows/ci.yml"
MODEL = "src/my_ml_project/model.py"
FLAVOR = "src/my_ml_project/ops/core/flavor.py"
# A release of idna from before the lock's: its version, and the hashes of its sdist and its wheel.
OLDER = (
    "3.10",
    "12f65c9b470abda6dc35cf8e63cc574b1c52b11df2c86030af0ac09b01b13ea9",
    "946d195a0d259cbba61165e88e65941f16e9b36ea6ddb97f00452bae8b1287d3",
)


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text, f"{path} has no {old!r}"
    path.write_text(text.replace(old, new), "utf-8")


def append(path: Path, line: str) -> None:
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")


def locked(template: Path) -> tuple[str, ...]:
    """Return what OLDER says, of the release of idna that scikit-learn's lock has."""
    lock = tomllib.loads((template / "frameworks/scikit-learn/poetry.lock").read_text("utf-8"))
    (package,) = (one for one in lock["package"] if one["name"] == "idna")
    hashes = {one["file"][-3:]: one["hash"].removeprefix("sha256:") for one in package["files"]}
    return package["version"], hashes[".gz"], hashes["whl"]


def bump(template: Path, old: tuple[str, ...], new: tuple[str, ...]) -> None:
    """Put one release of idna in the place of another, in the lock and in the exports."""
    home = template / "frameworks/scikit-learn"
    for path in [home / "poetry.lock", *home.glob("requirements/*.txt")]:
        text = path.read_text("utf-8")
        for was, becomes in zip(old, new, strict=True):
            for around in ('name = "idna"\nversion = "{}"', "idna-{}", "idna=={}", "sha256:{}"):
                text = text.replace(around.format(was), around.format(becomes))
        path.write_text(text, "utf-8")


def retire(template: Path, name: str) -> None:
    """Say that a file is no longer the standard's, as CONTRIBUTING.md asks."""
    ownership = template / "includes/ownership.yml"
    end = "    {%- endif %}\n"
    text = ownership.read_text("utf-8").removesuffix(end)
    ownership.write_text(f"{text}    /{name}\n{end}", "utf-8")


def release(template: Path, version: str) -> None:
    """Commit what is there as a version."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GIT_COMMITTER_DATE", f"{DATES[version]}T12:00:00+00:00")
        commit_all(template, version)
    git(template, "tag", version)


@pytest.fixture(scope="session")
def moved(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template's repository, with three versions."""
    root = tmp_path_factory.mktemp("moved") / "template"
    copytree(template, root, symlinks=True, ignore=ignore_patterns(".git"))
    git(root, "init", "--quiet", "--initial-branch", "main")
    delivery = root / "questions/delivery.yml"
    rendered = root / "template"

    present = locked(root)
    bump(root, present, OLDER)
    (rendered / DROPPED).write_text("dropped\n" * 9, "utf-8")
    (rendered / RENAMED).write_text("".join(f"line {n}\n" for n in range(40)), "utf-8")
    travis = '    "travis: Travis CI": travis\n'
    change(delivery, '    "none: none": none\n', f'    "none: none": none\n{travis}')
    release(root, "v1.0.0")

    bump(root, OLDER, present)
    (rendered / "docs/arrives.md").write_text("The standard's.\n", "utf-8")
    (rendered / DROPPED).unlink()
    retire(root, DROPPED)
    change(root / "questions/project.yml", "default: MIT", "default: Apache-2.0")
    append(rendered / "tox.ini", "; one")
    release(root, "v1.1.0")

    (rendered / RENAMED).rename(rendered / MOVED)
    retire(root, RENAMED)
    change(delivery, travis, "")
    follows = "{{ {'travis': 'github'}.get(ci, 'github') if ci is defined else 'github' }}"
    change(delivery, "  default: github\n", f'  default: "{follows}"\n')
    append(
        root / "questions/project.yml",
        "\nteam:\n  type: str\n  help: Whose is it?\n  default: platform",
    )
    (rendered / "docs/team.md.jinja").write_text("Of {{ team }}.\n", "utf-8")
    # One is the project's own from its start, the other the standard's.
    for name, line in (("model.py", "# Another example."), ("flavor.py", "# Another flavor.")):
        path = root / "frameworks/scikit-learn/src" / name
        path.write_text(path.read_text("utf-8") + f"\n{line}\n", "utf-8")
    append(rendered / "src/{{ package_name }}/ops/core/errors.py", "\n# Another framework.")
    append(rendered / "tox.ini", "; two")
    append(rendered / GUIDE, "One thing more.")
    release(root, NEWEST)
    return root


def begin(copie: Copie, moved: Path, into: Path, version: str, **answers: str) -> Path:
    """Start a project from a version, committed."""
    rendered(copie, moved, into, version, **answers)
    git(into, "init", "--quiet", "--initial-branch", "main")
    commit_all(into, "Start")
    return into
