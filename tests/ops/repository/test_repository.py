"""The files that tools outside this project read: owners, hooks, ignores, updates."""

import hashlib
import json
import os
import re
import subprocess
import tomllib
from datetime import date
from pathlib import Path

import pytest
import yaml

from ...contract.test_repository import left_behind, undecided, weak_exceptions
from ..conftest import ROOT
from ..project import package

OWNERS = (ROOT / "CODEOWNERS").read_text(encoding="utf-8").splitlines()
# What decides about a model has to be reviewed by someone named.
DECISIVE = (
    *(f"src/{package.__name__}/{name}.py" for name in ("data", "schema", "features", "model")),
    "params.yaml",
    "data/manifest.json",
    "poetry.lock",
    "requirements/main.txt",
    *(name for name in (".github/workflows/ci.yml", ".gitlab-ci.yml") if (ROOT / name).exists()),
)


def owners(path: str) -> list[str]:
    """Who CODEOWNERS asks about `path` besides the owner of everything."""
    found = []
    for line in OWNERS:
        if not line or line.startswith("#"):
            continue
        pattern, *people = line.split()
        prefix = pattern.lstrip("/")
        if path == prefix or (pattern.endswith("/") and path.startswith(prefix)):
            found = people
    return found


@pytest.mark.parametrize("path", DECISIVE)
def test_what_decides_about_a_model_has_an_owner(path):
    assert (ROOT / path).exists() or path.startswith("data/")
    assert owners(path)


def test_owners_are_asked_about_nothing_that_is_gone():
    for line in OWNERS:
        if line.startswith("/"):
            assert (ROOT / line.split()[0].lstrip("/")).exists(), line


@pytest.mark.parametrize("length", [7, 8, 9])
def test_what_an_update_left_undecided_is_found(tmp_path, length):
    begin, middle, end = (sign * length for sign in "<=>")
    text = f"{begin} yours\na\n{middle}\nb\n{end} theirs\n"
    (tmp_path / "tox.ini").write_text(text, "utf-8")
    (tmp_path / "page.md").write_text("A title\n=======\n>>> code\n", "utf-8")
    assert undecided(tmp_path) == ["tox.ini"]


def write_standard(root, modules, listed):
    """Write modules, and those of them that the standard lists."""
    for name, text in modules.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    sums = (f"{hashlib.sha256(modules[name].encode()).hexdigest()}  {name}\n" for name in listed)
    (root / "SHA256SUMS").write_text("".join(sums), "utf-8")


@pytest.mark.parametrize("committed", [False, True])
def test_modules_that_the_standard_moved_and_copier_left_are_named(tmp_path, committed):
    def run_git(*arguments):
        identity = ("-c", "user.name=a", "-c", "user.email=a@b.org")
        subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True)

    modules = {"train.py": "a = 1\n", "edited.py": "a = 2\n", "core/train.py": "a = 1\n"}
    write_standard(tmp_path, modules, ["train.py", "edited.py"])
    assert left_behind(tmp_path) == []
    run_git("init", "--quiet")
    run_git("add", ".")
    run_git("commit", "--quiet", "--message", "Start")
    assert left_behind(tmp_path) == []
    own = {"own.py": "a = 3\n", "edited.py": "a = 'mine'\n"}
    write_standard(tmp_path, modules | own, ["core/train.py"])
    if committed:
        run_git("commit", "--quiet", "--all", "--message", "Update")
    assert left_behind(tmp_path) == ["train.py"]


def test_hooks_run_the_tools_that_the_lock_pins():
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert [repo["repo"] for repo in config["repos"]] == ["local"]
    development = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    for hook in config["repos"][0]["hooks"]:
        program = hook["entry"].split()[0]
        if program.startswith(".venv/bin/"):
            package = Path(program).name.removesuffix("-hook")
            assert re.search(rf"^{package}(-py)?==", development, re.MULTILINE)
        else:
            assert (ROOT / program).is_file()


def test_tox_covers_every_python_of_the_lock():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    low, high = map(int, re.fullmatch(r">=3\.(\d+),<3\.(\d+)", project["requires-python"]).groups())
    listed = re.search(r"^env_list = (.+)$", (ROOT / "tox.ini").read_text("utf-8"), re.MULTILINE)
    assert listed[1].split(", ") == [f"py3{minor}" for minor in range(low, high)]
    assert re.fullmatch(r"3\.\d+(\.\d+)?\n", (ROOT / ".python-version").read_text("utf-8"))


def test_dependency_changes_are_notified():
    config = json.loads((ROOT / "renovate.json").read_text(encoding="utf-8"))
    managers = {"poetry", "pep621", "github-actions", "gitlabci", "copier"}
    assert managers <= set(config["enabledManagers"])
    assert config["vulnerabilityAlerts"]["enabled"] is True
    (packages,) = [rule for rule in config["packageRules"] if "postUpgradeTasks" in rule]
    for command in packages["postUpgradeTasks"]["commands"]:
        assert os.access(ROOT / command, os.X_OK)


ACCEPTED = {"id": '"GHSA-1"', "ignoreUntil": "2026-06-30", "reason": '"a@b.org: not reached"'}


@pytest.mark.parametrize(
    ("changed", "today", "weak"),
    [
        ({}, "2026-06-30", []),
        ({}, "2026-07-01", ["GHSA-1"]),  # a moved clock: it has expired
        ({}, "2025-12-31", ["GHSA-1"]),  # too far ahead
        ({"ignoreUntil": None}, "2026-06-30", ["GHSA-1"]),
        ({"reason": None}, "2026-06-30", ["GHSA-1"]),
        ({"reason": '"not reached"'}, "2026-06-30", ["GHSA-1"]),
    ],
)
def test_an_accepted_vulnerability_expires_and_has_an_owner(changed, today, weak):
    entry = {name: value for name, value in {**ACCEPTED, **changed}.items() if value}
    text = "[[IgnoredVulns]]\n" + "".join(f"{name} = {value}\n" for name, value in entry.items())
    assert weak_exceptions(text, date.fromisoformat(today)) == weak


# Made up, and put together here: no scanner of this file finds them.
HEXADECIMAL = hashlib.md5(b"a key").hexdigest()
AWS, GITHUB = f"AKIA{HEXADECIMAL[:16].upper()}", f"ghp_{HEXADECIMAL}Zy9X"
PLANTED = {
    "an AWS key": ("src/keys.py", f'KEY = "{AWS}"', True),
    "a GitHub token": ("deploy/run.sh", f"export GH_TOKEN={GITHUB}", True),
    "a private key": ("id.txt", "-----BEGIN RSA PRIVATE" + " KEY-----", True),
    "a password": ("config.yaml", "database_password: 7f" + "Qz9!pLw", True),
    "a key of hexadecimal digits": ("b.json", f'{{"key": "{HEXADECIMAL}"}}', True),
    "a key in a notebook": ("a.ipynb", f'{{"source": ["key = \\"{AWS}\\""]}}', True),
    "a key in a file named as an export": ("requirements/keys.py", f'KEY = "{AWS}"', True),
    "a digest": ("a.json", f'{{"data": "{hashlib.sha256(b"rows").hexdigest()}"}}', False),
    "a name of a variable": ("a.sh", 'export GH_TOKEN="$TOKEN"', False),
    "a known false alarm": ("a.py", f'KEY = "{AWS}"  # pragma: allowlist secret', False),
}


def hook_for_secrets(folder, wanted):
    """Return the status and the words of the hook on files with lines that are planted or not."""
    for name in (".pre-commit-config.yaml", ".venv"):
        (folder / name).symlink_to(ROOT / name)
    for path, line, found in PLANTED.values():
        if found in wanted:
            (folder / path).parent.mkdir(exist_ok=True)
            (folder / path).write_text(f"{line}\n", encoding="utf-8")
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    (folder / ".git/info/exclude").write_text("/.venv\n", encoding="utf-8")
    subprocess.run(["git", "add", "--all"], cwd=folder, check=True)
    command = [".venv/bin/pre-commit", "run", "--all-files", "secrets"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_a_secret_is_found_before_it_is_committed(tmp_path):
    """By the hook, which scripts/test.sh runs over all files, so CI does."""
    status, said = hook_for_secrets(tmp_path, {True, False})
    places = re.findall(r"Location: +(.+):1$", said, re.MULTILINE)
    assert sorted(places) == sorted(path for path, _, found in PLANTED.values() if found)
    assert status == 1


def test_what_looks_like_a_secret_only_is_committed(tmp_path):
    status, said = hook_for_secrets(tmp_path, {False})
    assert status == 0, said


@pytest.mark.parametrize(
    ("licence", "allowed"),
    [
        ("License-Expression: MIT", True),
        ("Classifier: License :: OSI Approved :: BSD License", True),
        ("License-Expression: AGPL-3.0-only", False),
        ("License-Expression: MIT AND LicenseRef-Proprietary", False),
        ("License: Limited to evaluation", False),
        ("Summary: says nothing of a licence", False),
    ],
)
def test_a_package_of_a_licence_that_is_not_allowed_is_named(tmp_path, licence, allowed):
    about = tmp_path / "planted-1.0.dist-info" / "METADATA"
    about.parent.mkdir()
    about.write_text(f"Metadata-Version: 2.4\nName: planted\nVersion: 1.0\n{licence}\n", "utf-8")
    command = [".venv/bin/pip-licenses", "--summary"]  # as scripts/test.sh and the hook call it
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode == 0) is allowed, done.stderr
    assert ("package planted:1.0" in done.stderr) is not allowed


@pytest.mark.parametrize(
    ("path", "ignored"),
    [
        ("data/train.csv", True),
        ("data/manifest.json", False),
        ("var/mlflow.db", True),
        (".env", True),
        (".env.example", False),
        (".venv/bin/python", True),
        ("dist/a.whl", True),
        ("src/x/__pycache__/y.pyc", True),
        ("poetry.lock", False),
    ],
)
def test_git_keeps_what_belongs_in_the_repository(tmp_path, path, ignored):
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    (tmp_path / ".gitignore").write_bytes((ROOT / ".gitignore").read_bytes())
    command = ["git", "-C", tmp_path, "check-ignore", "--quiet", "--no-index", path]
    assert (subprocess.run(command, check=False).returncode == 0) is ignored
