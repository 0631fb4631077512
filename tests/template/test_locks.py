"""The locks that the template ships, and its own: current, hashed, exported, tied to no index."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
import yaml
from packaging.markers import Marker

from groundwork import template as checkout
from groundwork.cli.main import main
from groundwork.errors import UserError
from groundwork.locks import resolve
from groundwork.locks.check import check, index_hosts
from groundwork.locks.pins import moves, pins
from groundwork.locks.project import OWN, groups
from tests.conftest import ROOT, Render, files, git

LOCKS = resolve.targets(ROOT, [])
KINDS = [OWN, "scikit-learn"]  # where a test breaks a lock, one of each kind is enough


@pytest.fixture
def copied(template: Path, tmp_path: Path) -> Path:
    """A template of the test's own, to break."""
    return copytree(template, tmp_path / "template", symlinks=True)


def in_lock(root: Path, name: str) -> Path:
    return root if name == OWN else root / "frameworks" / name


# What docs/explanation/locks.md promises: the ends of wheels' names, and how markers see a machine.
PLATFORMS = {
    "linux": (r"manylinux\w*_x86_64", "linux", "x86_64"),
    "macos": (r"macosx_\d+_\d+_(arm64|universal2)", "darwin", "arm64"),
    "windows": ("win_amd64", "win32", "AMD64"),
    "linux on ARM": (r"manylinux\w*_aarch64", "linux", "aarch64"),
}
# Of one platform alone by the markers of what requires it, or pure Python without a wheel.
ELSEWHERE = re.compile(r"nvidia-.*|cuda-bindings|triton|pywin32|antlr4-python3-runtime")


def installed(package: dict[str, Any], here: dict[str, str]) -> bool:
    """Whether the lock's own markers let a package be installed on such a machine."""
    markers = package.get("markers", {})
    if isinstance(markers, str):
        return Marker(markers).evaluate(here)
    return any(
        group not in markers or Marker(markers[group]).evaluate(here) for group in package["groups"]
    )


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("name", [name for name in LOCKS if name != OWN])
def test_packages_have_wheels_where_the_docs_promise_them(name: str, platform: str) -> None:
    wheel, system, machine = PLATFORMS[platform]
    here = {"sys_platform": system, "platform_machine": machine}
    lock = tomllib.loads((in_lock(ROOT, name) / "poetry.lock").read_text("utf-8"))
    without = {
        package["name"]
        for package in lock["package"]
        if not any(
            re.search(rf"-any\.whl|[-.]{wheel}[.\w]*\.whl", file["file"])
            for file in package["files"]
        )
        and not ELSEWHERE.fullmatch(package["name"])
        and installed(package, here)
    }
    assert without == set()


@pytest.mark.parametrize("name", LOCKS)
def test_lock_and_exports_are_as_poetry_makes_them(name: str) -> None:
    assert check(ROOT, name) == []


@pytest.mark.parametrize(
    "answers", [{}, {"license": "Proprietary", "package_name": "b", "python_version": "3.13"}]
)
def test_poetry_accepts_an_untouched_render(render: Render, answers: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "poetry", "check", "--lock", "--strict"],
        cwd=render(**answers),
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", KINDS)
def test_a_requirement_without_its_hash_is_found(copied: Path, name: str) -> None:
    export = in_lock(copied, name) / "requirements/main.txt"
    text = export.read_text("utf-8")
    export.write_text(re.sub(r" \\\n( +--hash=\S+( \\\n)?)+", "", text, count=1), "utf-8")
    package = text.split(" ")[0]
    assert check(copied, name) == [
        "requirements/main.txt is not what the lock exports",
        f"requirements/main.txt: {package} has no hash",
    ]


@pytest.mark.parametrize("name", KINDS)
def test_a_dependency_that_the_lock_does_not_know_is_found(
    copied: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copied / ("pyproject.toml" if name == OWN else f"frameworks/{name}/dependencies.txt")
    text = path.read_text("utf-8")
    path.write_text(
        re.sub(r'^( +"[^"]+",)$', r'\1\n    "zipp>=3",', text, count=1, flags=re.MULTILINE), "utf-8"
    )
    assert main(["--template", str(copied), "lock", "--check", name]) == 1
    assert "poetry.lock" in capsys.readouterr().out


def test_no_tracked_file_names_a_package_index() -> None:
    """A lock or a setting that does so would work on one company's network only."""
    host = re.compile(
        r"(index-url|find-links)[ =]\S*//|\bpypi\.\w|files\.python\w+\."
        r"|\[package\.source\]|\[\[tool\.poetry\.source"
    )
    allowed = {
        "docs/how-to/mirror.md",
        "tests/template/test_adopt_dependencies.py",
        "src/groundwork/locks/resolve.py",
        "tests/template/test_locks.py",
    }
    for name in git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split(
        "\0"
    ):
        if name and name not in allowed and (ROOT / name).is_file():
            for line in (ROOT / name).read_text("utf-8", errors="replace").splitlines():
                assert not host.search(line), f"{name}: {line}"


def test_no_rendered_file_names_a_package_index(project: Path) -> None:
    for path in files(project):
        for line in path.read_text("utf-8").splitlines():
            assert not re.search(r"\bpypi\.\w", line), path


def test_index_settings_in_an_export_or_lock_are_found() -> None:
    for line in (
        "--index-url https://x/simple",
        "--extra-index-url https://x",
        "-i https://x",
        "--find-links /x",
        "[package.source]",
        'url = "https://x/simple"',
    ):
        assert index_hosts(f"numpy==2 \\\n    --hash=sha256:0\n{line}\n")
    assert index_hosts("numpy==2 \\\n    --hash=sha256:0\n") == []


def test_moves_are_told_package_by_package() -> None:
    before = {"kept": ("1.0",), "moved": ("1.0",), "gone": ("3.0",), "split": ("1.0",)}
    after = {"kept": ("1.0",), "moved": ("1.1",), "new": ("2.0",), "split": ("2.0", "1.0")}
    assert list(moves(before, after)) == [
        "gone 3.0 removed",
        "moved 1.0 → 1.1",
        "new added at 2.0",
        "split 1.0 → 2.0, 1.0",
    ]


def test_a_failing_resolution_is_one_line_and_changes_nothing(
    copied: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No index answers, so nothing can be resolved."""
    monkeypatch.setenv("POETRY_PYPI_MIRROR_URL", "http://127.0.0.1:9/simple/")
    monkeypatch.setenv("POETRY_CACHE_DIR", str(copied.parent / "cache"))
    before = {path: path.read_bytes() for path in files(copied)}
    assert main(["--template", str(copied), "lock", "--upgrade", "scikit-learn"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: poetry lock failed: ")
    assert error.count("\n") == 1
    assert {path: path.read_bytes() for path in files(copied)} == before


class Poetry:
    """Stands in for Poetry, which needs an index: filelock moves on, a package comes."""

    def __init__(self, copied: Path) -> None:
        self.text = (copied / "frameworks/scikit-learn/poetry.lock").read_text("utf-8")
        self.started_from: dict[str, str | None] = {}
        self.fails_for = ""

    def run(self, project: Path, command: str) -> None:
        assert command == "lock"
        path = project / "poetry.lock"
        self.started_from[project.name] = path.read_text("utf-8") if path.exists() else None
        if project.name == self.fails_for:
            raise UserError("poetry lock failed: no")
        moved = re.sub(r'(?<=\nname = "filelock"\nversion = ")[^"]+', "99.0", self.text)
        new = f'[[package]]\nname = "brand-{project.name}"\nversion = "1.0"\n\n'
        path.write_text(moved.replace("[metadata]", f"{new}[metadata]"), "utf-8")

    def export(self, project: Path) -> None:
        for group in groups(project):
            text = f"exported {group}\n"
            (project / f"requirements/{group}.txt").write_text(text, "utf-8")


@pytest.fixture
def poetry(copied: Path, monkeypatch: pytest.MonkeyPatch) -> Poetry:
    stand_in = Poetry(copied)
    monkeypatch.setattr(resolve, "poetry", stand_in.run)
    monkeypatch.setattr(resolve, "export", stand_in.export)
    return stand_in


def test_what_is_resolved_lands_in_the_frameworks_folder(
    copied: Path, capsys: pytest.CaptureFixture[str], poetry: Poetry
) -> None:
    home = copied / "frameworks/scikit-learn"
    (home / "requirements/former.txt").touch()
    assert main(["--template", str(copied), "lock", "--upgrade", "scikit-learn"]) == 0
    told = capsys.readouterr().out.splitlines()
    assert told[:2] == ["scikit-learn:", "  brand-scikit-learn added at 1.0"]
    assert re.fullmatch(r"  filelock [\d.]+ → 99\.0", told[2])
    assert poetry.started_from == {"scikit-learn": None}
    assert pins(home / "poetry.lock")["filelock"] == ("99.0",)
    assert (home / "requirements/dev.txt").read_text("utf-8") == "exported dev\n"
    assert (home / "requirements/ray.txt").read_text("utf-8") == "exported ray\n"
    assert not (home / "requirements/former.txt").exists()
    assert "brand_scikit_learn" in (copied / "includes/dependencies.txt").read_text("utf-8").split()
    assert "?? " not in git(copied, "status", "--porcelain")


def test_frameworks_that_are_upgraded_together_share_their_pins(
    copied: Path, poetry: Poetry
) -> None:
    assert main(["--template", str(copied), "lock", "--upgrade"]) == 0
    fresh = (copied / "frameworks/scikit-learn/poetry.lock").read_text("utf-8")
    assert poetry.started_from.pop(OWN) is None
    assert poetry.started_from.pop("scikit-learn") is None
    assert sorted(poetry.started_from) == [name for name in LOCKS if name not in KINDS]
    assert set(poetry.started_from.values()) == {fresh}


def test_one_that_fails_keeps_all_from_being_written(
    copied: Path, capsys: pytest.CaptureFixture[str], poetry: Poetry
) -> None:
    poetry.fails_for = "xgboost"
    assert main(["--template", str(copied), "lock"]) == 1
    assert capsys.readouterr().err == "error: poetry lock failed: no\n"
    assert set(poetry.started_from) == set(LOCKS)
    assert git(copied, "status", "--porcelain") == ""


def test_a_framework_is_locked_before_it_has_any_other_file(
    copied: Path, capsys: pytest.CaptureFixture[str], poetry: Poetry
) -> None:
    home = copied / "frameworks/brand-new"
    home.mkdir()
    (home / "dependencies.txt").write_text('    "zipp>=3",\n', "utf-8")
    path = copied / "questions/stack.yml"
    choice = '\\g<0>\n    "Brand new: it learns by itself": brand-new'
    path.write_text(
        re.sub(r"(?<=default: scikit-learn\n)  choices:", choice, path.read_text("utf-8"))
    )
    assert check(copied, "brand-new") == [
        "poetry.lock is missing; groundwork lock brand-new makes it"
    ]
    assert main(["--template", str(copied), "lock", "brand-new"]) == 0, capsys.readouterr().err
    assert poetry.started_from["brand-new"] == poetry.text
    assert (home / "requirements/wandb.txt").exists()


def test_each_group_of_a_project_is_rendered(project: Path) -> None:
    shipped = {path.name for path in (project / "requirements").glob("*.txt")}
    assert shipped == {f"{group}.txt" for group in groups(project)}


def test_a_file_that_a_render_lacks_is_one_line(copied: Path, tmp_path: Path) -> None:
    (copied / "frameworks/scikit-learn/params.yaml").unlink()
    with pytest.raises(UserError, match=r"^the template includes .*/params\.yaml, which does not"):
        checkout.render(copied, tmp_path / "p", framework="scikit-learn")


def test_an_unknown_lock_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--template", str(ROOT), "lock", "--check", "keras"]) == 1
    assert (
        capsys.readouterr().err
        == f"error: there is no lock named 'keras'; there are {', '.join(LOCKS)}\n"
    )


def test_outside_a_checkout_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--template", str(tmp_path), "questions"]) == 1
    error = capsys.readouterr().err
    assert "is not inside a checkout of the template" in error
    assert error.count("\n") == 1


def test_every_framework_has_a_folder_that_the_questions_offer() -> None:
    questions = checkout.load(ROOT)[1]
    assert checkout.frameworks(ROOT) == sorted(questions["framework"]["choices"].values())


RECIPES = dict(
    zip(
        ("github-workflows", "gitlab-ci"),
        re.findall(
            r"```yaml\n(.+?)```",
            (ROOT / "docs/how-to/change-the-locks.md").read_text("utf-8"),
            re.DOTALL,
        ),
        strict=True,
    )
)


@pytest.mark.parametrize("schema", RECIPES)
def test_a_recipe_is_what_its_service_reads(schema: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yml"
    path.write_text(RECIPES[schema], "utf-8")
    command = ["check_jsonschema", "--builtin-schema", f"vendor.{schema}", str(path)]
    done = subprocess.run(
        [sys.executable, "-m", *command], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def steps(recipe: str) -> str:
    """What a recipe runs, as one script that pushes to the folder beside it."""
    job = yaml.safe_load(recipe)
    lines = job["locks"]["script"] if "locks" in job else []
    lines += [step.get("run", "") for step in job.get("jobs", {}).get("lock", {}).get("steps", [])]
    return re.sub(r'"https://[^"]+"', "../remote", "\n".join(lines))


@pytest.mark.parametrize("moved", ["2.1", ""])
@pytest.mark.parametrize("service", RECIPES)
def test_a_recipe_proposes_what_moved(service: str, moved: str, tmp_path: Path) -> None:
    """Stand-ins for nox and gh; git is real, and pushes to a folder."""
    work, told = tmp_path / "work", tmp_path / "told"
    stand_ins = {
        "work/scripts/test.sh": "",
        "work/.venv/bin/nox": "mkdir var; echo 'numpy 2.0 → 2.1' >var/moved.txt"
        + (f"; echo {moved} >poetry.lock" if moved else ""),
        "bin/gh": f'echo "$@" >>{told}; [ "$2" = create ] && cat "${{!#}}" >>{told}',
    }
    git(tmp_path, "init", "-q", "--bare", "remote")
    git(tmp_path / "remote", "config", "receive.advertisePushOptions", "true")
    git(tmp_path, "init", "-q", "work")
    for name, script in stand_ins.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/usr/bin/env bash\n{script}\n", "utf-8")
        path.chmod(0o755)
    (work / ".gitignore").write_text("var/\n.venv/\n", "utf-8")
    (work / "poetry.lock").write_text("2.0\n", "utf-8")
    git(work, "add", "-A")
    git(work, "commit", "-q", "-m", "start")
    done = subprocess.run(
        ["bash", "-e", "-c", steps(RECIPES[service])],
        check=False,
        cwd=work,
        env=os.environ | {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert bool(git(tmp_path / "remote", "branch", "--list", "locks")) == bool(moved)
    if moved:
        message = git(tmp_path / "remote", "log", "-1", "--format=%B", "locks")
        said = message + (told.read_text("utf-8") if told.exists() else "")
        assert "Newest versions that fit" in said
        assert "numpy 2.0 → 2.1" in said
