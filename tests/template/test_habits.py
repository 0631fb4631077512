"""Machines and habits: odd folders, git's hooks, settings of uv and pip, and an old bash."""

import json
import os
import re
import subprocess
import sys
import tarfile
import threading
from collections.abc import Generator
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from zipfile import ZipFile

import pytest
import yaml
from pytest_copie.plugin import Copie

from groundwork.audit.prove.environment import find_uv
from groundwork.update.git import OF_HOOKS
from tests.conftest import ROOT, Render, commit_all, git, rendered

pytestmark = [pytest.mark.xdist_group("habits")]

SCRIPTS = [
    *sorted((ROOT / "scripts").glob("*.sh")),
    *sorted((ROOT / "template/scripts").glob("*.sh*")),
    ROOT / ".ci/run",
]
# What would change what a script does, or what uv and pip install.
HABITS = {
    "CDPATH": "/usr:/tmp",
    "PIP_REQUIRE_VIRTUALENV": "1",
    "PIP_USER": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "UV_EXCLUDE_NEWER": "2020-01-01",
    "UV_REQUIRE_HASHES": "1",
    "UV_WORKING_DIR": "/usr",
}
OF_A_HOOK = {
    "GIT_DIR": "/nowhere/.git",
    "GIT_INDEX_FILE": "/nowhere/index",
    "GIT_WORK_TREE": "/nowhere",
}


def test_what_a_hook_of_git_sets_is_said_alike_for_scripts_companion_and_projects() -> None:
    scripts = (ROOT / "template/scripts/lib.sh").read_text("utf-8")
    (unset,) = re.findall(r"(?ms)^unset (.+?[^\\])$", scripts)
    (package,) = (ROOT / "template/src").iterdir()
    project = (package / "ops/provenance/git.py").read_text("utf-8")
    assert {*re.findall(r"\bGIT_\w+", unset)} == OF_HOOKS
    assert {*re.findall(r'"(GIT_\w+)"', project)} == OF_HOOKS


def run(folder: Path, *command: object, **variables: str) -> str:
    """Run a command of a project under all habits; return what it printed."""
    done = subprocess.run(
        list(map(str, command)),
        cwd=folder,
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | HABITS | {"ML_PORT": "8765"} | variables,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_script_starts_the_same_whatever_its_caller_has_set(path: Path, tmp_path: Path) -> None:
    """By what each script does before it reads its arguments."""
    text = path.read_text("utf-8")
    found = re.search(r"(?m)^(source .*lib\.sh\"|unset PYTHONDONTWRITEBYTECODE.*)$", text)
    assert found or path.name == "lib.sh"
    start = text[: found.end()] if found else f"source '{path}'"
    for own in ("${BASH_SOURCE[0]}", "$0"):
        start = start.replace(own, str(path))
    script = tmp_path / "start.sh"
    script.write_text(f'{start}\nenv\necho "at=${{ROOT:-}}"\n', "utf-8")
    done = subprocess.run(
        ["bash", script],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | HABITS | (OF_A_HOOK if path.parent.name == "scripts" else {}),
    )
    left = dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
    assert left["at"] in {"", str(ROOT), str(ROOT / "template")}
    kept = {"PIP_REQUIRE_VIRTUALENV", "PIP_USER"}  # for the programs that a user calls
    if path.parent.name == ".ci":
        kept |= {name for name in HABITS if name.startswith("UV_")}
    assert not (HABITS.keys() | OF_A_HOOK.keys()) & left.keys() - kept


# What bash 3.2, which macOS has, does not know: beside these, an empty array is unset there.
NEWER = re.compile(
    r"mapfile|readarray|(declare|local) -[Anu]|\$\{\w+(,,|\^\^|@[A-Z])|&>>|\|&|coproc"
)


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_script_is_one_for_bash_3_2(path: Path) -> None:
    """Run with a real one as well where BASH_3_2 names it, as far as its syntax goes."""
    text = path.read_text("utf-8")
    assert not NEWER.search(text), NEWER.search(text)
    for name in set(re.findall(r"\b(\w+)=\(\)", text)):
        asked = re.search(rf"\$\{{#{name}\[@\]\}}\"? -(gt|eq) 0", text)
        bare = re.sub(rf'\$\{{{name}\[@\]\+"\$\{{{name}\[@\]\}}"\}}', "", text)
        assert asked or f"${{{name}[@]}}" not in bare, f"{name} may be empty"
    if old := os.environ.get("BASH_3_2"):
        subprocess.run([old, "-n", path], check=True)


def write_wheel(folder: Path, name: str, file: str, content: str) -> str:
    """Write a wheel of version 1 with one file; return its SHA-256."""
    path = folder / f"{name}-1-py3-none-any.whl"
    about = f"{name}-1.dist-info"
    with ZipFile(path, "w") as wheel:
        wheel.writestr(file, content)
        wheel.writestr(f"{about}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
        wheel.writestr(
            f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{about}/RECORD", "")
    return sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize(("digest", "says"), [("right", ""), ("0" * 64, "does not have the hash")])
def test_uv_is_fetched_with_pip_as_users_set_it_and_checked(
    tmp_path: Path, digest: str, says: str
) -> None:
    right = write_wheel(tmp_path, "uv", "uv-1.data/scripts/uv", "#!/bin/sh\n")
    if digest == "right":
        digest = right
    project = tmp_path / "it's a project"
    for name in ("scripts", "requirements"):
        (project / name).mkdir(parents=True)
    (project / "scripts/lib.sh").write_bytes((ROOT / "template/scripts/lib.sh").read_bytes())
    (project / "requirements/dev.txt").write_text(f"uv==1 \\\n    --hash=sha256:{digest}\n")
    script = 'find_uv || step "fetch uv" bootstrap_uv "$1" && [ -f "$UV_KEPT" ]'
    done = subprocess.run(
        ["bash", "-c", f"source scripts/lib.sh; {script}", "-", sys._base_executable],  # type: ignore[attr-defined] # noqa: SLF001
        cwd=project,
        check=False,
        capture_output=True,
        text=True,
        env=HABITS
        | {"PATH": "/usr/bin:/bin", "HOME": str(project), "PIP_NO_INDEX": "1"}
        | {"PIP_FIND_LINKS": str(tmp_path)},
    )
    assert done.returncode == (1 if says else 0), done.stderr
    assert says in done.stderr
    assert done.stderr.count("\n") == bool(says)


@pytest.mark.parametrize(("digest", "says"), [("right", ""), ("0" * 64, "hash")])
@pytest.mark.parametrize("home", [True, False])
def test_poetry_and_copier_come_by_their_hashes_into_a_place_of_one_user(
    tmp_path: Path, digest: str, says: str, *, home: bool
) -> None:
    right = write_wheel(tmp_path, "poetry", "poetry.py", "print('Poetry 1')\n")
    project = tmp_path / "it's a project"
    (project / "scripts").mkdir(parents=True)
    (project / "scripts/lib.sh").write_bytes((ROOT / "template/scripts/lib.sh").read_bytes())
    pin = f"poetry==1 --hash=sha256:{right if digest == 'right' else digest}\n"
    (project / "scripts/tools.txt").write_text(pin)
    environment = HABITS | {"UV_OFFLINE": "1", "UV_FIND_LINKS": str(tmp_path)}
    environment |= {"PATH": "/usr/bin:/bin", "UV_NO_CACHE": "1", "UV": str(find_uv())}
    if home:
        environment["HOME"] = str(tmp_path)
    place = (tmp_path if home else project / "var") / ".cache/groundwork/tools"
    script = "source scripts/lib.sh; PYTHON=$1; poetry --version"
    done = subprocess.run(
        ["bash", "-c", script, "-", sys._base_executable],  # type: ignore[attr-defined] # noqa: SLF001
        cwd=project,
        check=False,
        capture_output=True,
        text=True,
        env=environment,
    )
    assert bool(done.returncode) is bool(says), done.stderr
    assert says in done.stderr.lower()
    assert done.stdout == ("" if says else "Poetry 1\n")
    assert bool([*place.glob("*/bin/python")]) is not bool(says)


def health_checks(project: Path) -> dict[str, list[str]]:
    """Return the commands of the images' and the services' health checks that ask by HTTP."""
    images = re.findall(r'CMD (\["python", "-c", .*)', (project / "Dockerfile").read_text("utf-8"))
    services = yaml.safe_load((project / "compose.yaml").read_text("utf-8"))["services"]
    found = {f"image {number}": json.loads(image) for number, image in enumerate(images)}
    for name, service in services.items():
        kind, *command = service["healthcheck"]["test"]
        if "http://127" in command[-1]:
            found[name] = ["sh", "-c", *command] if kind == "CMD-SHELL" else command
    return found


def test_a_health_check_goes_past_the_proxy(render: Render, tmp_path: Path) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    commands = health_checks(render())
    assert len(commands) >= 7  # two images, and these services
    (tmp_path / "wget").write_text('#!/bin/sh\n[ -z "$http_proxy" ]\n', "utf-8")
    (tmp_path / "wget").chmod(0o755)
    (tmp_path / "python").symlink_to(sys.executable)  # images have one of this name
    path = f"{tmp_path}:{os.environ['PATH']}"
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = f"127.0.0.1:{server.server_port}"
        for name, command in commands.items():
            done = subprocess.run(
                [re.sub(r"127\.0\.0\.1:\d+", here, word) for word in command],
                check=False,
                capture_output=True,
                text=True,
                env={"PATH": path, "http_proxy": "http://127.0.0.1:9"},
            )
            assert done.returncode == 0, f"{name}: {done.stderr}"
        server.shutdown()


@pytest.fixture(scope="module")
def project(
    copie_session: Copie, template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Generator[Path]:
    """A trained project in an odd folder, below one that has settings of uv."""
    above = tmp_path_factory.mktemp("above")
    (above / "pyproject.toml").write_text('[tool.uv]\nexclude-newer = "2020-01-01"\n', "utf-8")
    root = rendered(copie_session, template, above / "o'brien C# 50% done a?b")
    git(root, "init", "--quiet", "--initial-branch", "main")
    commit_all(root, "Start")
    run(root, "scripts/setup.sh", "--quiet")
    for command in ("prepare", "train", "promote"):
        run(root, ".venv/bin/my-ml-project", command)
    yield root
    run(root, "scripts/deploy.sh", "local", "stop")


@pytest.mark.slow
def test_a_project_works_in_any_folder(project: Path) -> None:
    assert "version 1" in run(project, ".venv/bin/my-ml-project", "status")
    assert (project / "var/mlflow.db").is_file()
    assert {path.name for path in project.parent.iterdir()} == {project.name, "pyproject.toml"}
    run(project, "scripts/deploy.sh", "local")
    assert "answering" in run(project, "scripts/deploy.sh", "local", "status")


@pytest.fixture
def linked(project: Path, tmp_path: Path) -> Generator[Path]:
    """A linked worktree of the project, whose hook runs the commands in the file `hook`."""
    folder = tmp_path / "linked"
    git(project, "worktree", "add", "--quiet", "--detach", str(folder))
    (folder / ".venv").symlink_to(project / ".venv")
    hook = tmp_path / "hooks/pre-commit"
    hook.parent.mkdir()
    hook.write_text(f'#!/bin/sh\nset -ex\nroot="{project}"\n. "{tmp_path}/hook"\n', "utf-8")
    hook.chmod(0o755)
    yield folder
    git(project, "worktree", "remove", "--force", str(folder))


@pytest.mark.slow
@pytest.mark.parametrize(
    "commands",
    [
        'ML_ROOT="$PWD" ML_VAR_DIR="$root/var" .venv/bin/my-ml-project reproduce',
        # The fixtures of a project's suite make repositories.
        (
            "echo 'from tests.conftest import *; copy_project(Path(\"copy\"))' |"
            " .venv/bin/python -; rm -r copy"
        ),
        'scripts/lock.sh --diff HEAD; "$root/scripts/build.sh"',
    ],
    ids=["reproduce", "the suite", "scripts"],
)
def test_a_hook_of_git_works_on_the_repository_that_it_is_given(
    project: Path, linked: Path, tmp_path: Path, commands: str
) -> None:
    (tmp_path / "hook").write_text(commands, "utf-8")
    before = git(project, "status", "--porcelain")
    (linked / "README.md").write_text("changed", "utf-8")
    git(linked, "-c", f"core.hooksPath={tmp_path}/hooks", "commit", "-am", "Changed")
    assert git(linked, "show", "--name-only", "--format=").split() == ["README.md"]
    assert git(linked, "status", "--porcelain", "--untracked-files=no") == ""
    assert git(project, "config", "core.bare") == "false\n"
    assert git(project, "status", "--porcelain") == before


@pytest.mark.slow
def test_a_build_has_what_links_lead_to_and_the_files_of_submodules(
    project: Path, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other/shared.py").write_text("SHARED = 1\n", "utf-8")
    git(tmp_path / "other", "init", "--quiet")
    commit_all(tmp_path / "other", "Start")
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(project), str(clone))
    package = clone / "src/my_ml_project"
    (package / "linked.py").symlink_to("data.py")
    (clone / "dangling").symlink_to("nowhere")
    (package / "folder").symlink_to("../../docs")
    (package / "secret.py").symlink_to(tmp_path / "outside.py")
    (tmp_path / "outside.py").write_text("SECRET = 1\n", "utf-8")
    add = ("submodule", "--quiet", "add", str(tmp_path / "other"), "src/my_ml_project/other")
    git(clone, "-c", "protocol.file.allow=always", *add)
    commit_all(clone, "Links and a submodule")
    printed = run(clone, "scripts/build.sh")
    left_out = {line.rpartition(" ")[2] for line in printed.splitlines() if "left out" in line}
    assert left_out == {"dangling", "src/my_ml_project/secret.py"}
    (archive,) = (clone / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as file:
        built = {name.partition("src/my_ml_project/")[2] for name in file.getnames()}
    assert {"linked.py", "folder/runbook.md", "other/shared.py"} <= built
    assert "secret.py" not in built
    manifest = json.loads((clone / "dist/manifest.json").read_text("utf-8"))
    assert manifest["commit"] == git(clone, "rev-parse", "HEAD").strip()


@pytest.mark.slow
@pytest.mark.parametrize("script", ["build.sh", "update.sh"])
def test_a_checkout_of_another_user_is_one_line(project: Path, script: str) -> None:
    done = subprocess.run(
        [project / "scripts" / script],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"GIT_TEST_ASSUME_DIFFERENT_OWNER": "1"},
    )
    assert done.returncode == 1
    assert re.fullmatch(r"error: .*belongs to another user.*\n", done.stderr), done.stderr
