"""Whole proofs of small repositories: which promise is kept, and which only looks so."""

import base64
import hashlib
import json
import subprocess
import zipfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from groundwork.audit.prove import image, recipes, training
from groundwork.audit.prove.environment import find_uv
from groundwork.audit.prove.proof import STEPS, Wishes, prove
from groundwork.audit.prove.step import Limits, Step
from groundwork.cli.main import main
from tests.conftest import PRESENT_PYTHON, Render, commit_all, git
from tests.containers import BASE, TOGETHER, Engine, installed

from .test_prove_sandbox import alive, server, writable

LIMITS = Limits(60, 20, 20, 60, memory=1 << 30)
Make = Callable[[dict[str, Any]], Path]

TRAIN = """
import pathlib, random
import tiny
random.seed(7)
pathlib.Path("model.txt").write_text(str([random.random(), sorted({"a", "b"}), tiny.VALUE]))
"""
TESTS = """
import pathlib, unittest
class Model(unittest.TestCase):
    def test_the_package_is_here(self):
        import tiny
        self.assertEqual(tiny.VALUE, 1)
"""


def wheel(folder: Path, version: str) -> str:
    """Make a wheel of the package tiny, and return its digest."""
    info = f"tiny-{version}.dist-info"
    contents = {
        "tiny.py": "VALUE = 1\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: tiny\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
    }
    record = ""
    for name, text in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=")
        record += f"{name},sha256={digest.decode()},{len(text)}\n"
    contents[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n"
    path = folder / f"tiny-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in contents.items():
            archive.writestr(name, text)
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one wheel, tiny 1.0."""
    folder = tmp_path_factory.mktemp("wheels")
    wheel(folder, "1.0")
    return folder


@pytest.fixture(autouse=True)
def _at_once(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for the clock's next second only where a test is of the clock."""
    if "clock" not in request.node.name:
        monkeypatch.setattr(training, "_APART", 0)


@pytest.fixture
def outside() -> Iterator[list[Path]]:
    """Folders of the host where anything may be written."""
    with writable() as folders:
        yield folders


@pytest.fixture
def make(tmp_path: Path, wheels: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Commit a repository that keeps its promises, but for the files that a test gives."""
    installed("bwrap")
    digest = hashlib.sha256((wheels / "tiny-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    monkeypatch.setenv("UV_NO_INDEX", "1")

    def run(given: dict[str, Any]) -> Path:
        folder = tmp_path / "repository"
        files = {
            "requirements.txt": f"tiny==1.0 --hash=sha256:{digest}\n",
            "train.py": TRAIN,
            "tests/__init__.py": "",
            "tests/test_model.py": TESTS,
        } | given
        for name, text in files.items():
            if text is not None:
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_text(dedent(text), "utf-8")
        git(folder, "init", "--quiet", "--initial-branch", "main")
        commit_all(folder, "All")
        return folder

    return run


def run(
    folder: Path, limits: Limits = LIMITS, *, tests: str = "", skip: Iterable[str] = ()
) -> dict[str, Step]:
    wishes = Wishes(tests=tests, skip=frozenset(skip))
    return {step.name: step for step in prove(folder, limits, wishes)}


def states(steps: dict[str, Step]) -> dict[str, str]:
    return {name: step.state for name, step in steps.items()}


GOOD = dict.fromkeys(STEPS[:4], "passed")


def test_a_repository_that_keeps_its_promises_passes(make: Make) -> None:
    folder = make({})
    steps = run(folder)
    assert states(steps) == GOOD
    assert steps["environment"].message.startswith("requirements.txt: 1 packages, Python 3.")
    assert steps["tests"].message.endswith("(guessed: tests for unittest): Ran 1 test OK")
    assert steps["training"].message == "python train.py (guessed: train.py) ran twice"
    assert steps["outputs"].message == "1 of 1 equal: model.txt"
    assert git(folder, "status", "--porcelain", "--ignored") == ""


def trains(body: str, **more: str) -> dict[str, str]:
    start = "import os, pathlib, random, sys, time\nmodel = pathlib.Path('model.txt')\n"
    return {"train.py": start + dedent(body)} | {
        name.replace("__", "/") + ".py": text for name, text in more.items()
    }


UNSEEDED = trains(
    "import helper; random.seed(7); model.write_text(helper.fit())",
    helper="import random\ndef fit():\n    return str(random.Random().random())\n",
)
CLOCK = trains("model.write_text(f'trained at {int(time.time())}')")
SETS = trains("model.write_text(str({f'feature {n}' for n in range(20)}))")
PLACE = trains("model.write_text(str(pathlib.Path(__file__).resolve()))")
TEMPORARY = trains("import tempfile; model.write_text(tempfile.gettempdir())")
TOO = "they differ in the same folder and with the same PYTHONHASHSEED, too"
DECIDES = "the folder, TMPDIR or PYTHONHASHSEED decides"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        pytest.param(UNSEEDED, TOO, id="no seed in a helper"),
        pytest.param(CLOCK, TOO, id="clock"),
        pytest.param(SETS, DECIDES, id="order of a set"),
        pytest.param(PLACE, DECIDES, id="folder"),
        pytest.param(TEMPORARY, DECIDES, id="TMPDIR", marks=pytest.mark.rare),
    ],
)
def test_training_that_differs_fails(make: Make, files: dict[str, str], words: str) -> None:
    steps = run(make(files))
    assert states(steps) == GOOD | {"outputs": "failed"}
    assert steps["outputs"].message.startswith("1 of 1 differ: model.txt; ")
    assert words in steps["outputs"].message


@pytest.mark.parametrize(
    ("requirement", "words"),
    [
        ("tiny==1.0 --hash=sha256:" + "0" * 64, "Hash mismatch for `tiny==1.0`"),
        ("tiny==2.0", "there is no version of tiny==2.0"),
        ("tiny", ""),
    ],
)
def test_a_lock_must_install(make: Make, requirement: str, words: str) -> None:
    steps = run(make({"requirements.txt": requirement + "\n"}), skip=["tests"])
    environment = steps["environment"]
    if not words:
        assert "no exact versions, so another day may bring other ones" in environment.message
        return
    assert states(steps) == {
        "environment": "failed",
        "training": "not done",
        "outputs": "not done",
    }
    assert words in environment.message
    assert "\n" not in environment.message


def index(folder: Path, wheels: Path, attributes: str = "") -> None:
    """Make a package index of the wheel."""
    name = "tiny-1.0-py3-none-any.whl"
    (folder / "tiny").mkdir(parents=True)
    (folder / "tiny" / name).write_bytes((wheels / name).read_bytes())
    link = f'<a href="{name}" {attributes}>{name}</a>'
    (folder / "tiny/index.html").write_text(link, "utf-8")


@pytest.mark.parametrize(("requirement", "state"), [("tiny==1.0", "passed"), ("tiny>=1", "failed")])
def test_a_version_that_was_withdrawn_is_named(
    make: Make,
    wheels: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    requirement: str,
    state: str,
) -> None:
    index(tmp_path / "index", wheels, 'data-yanked="broken"')
    folder = make({"requirements.txt": f"{requirement}\n"})
    monkeypatch.delenv("UV_FIND_LINKS")
    monkeypatch.delenv("UV_NO_INDEX")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with server(tmp_path / "index") as port:
        monkeypatch.setenv("UV_DEFAULT_INDEX", f"http://127.0.0.1:{port}/")
        (environment,) = run(folder, skip=STEPS[1:]).values()
    assert environment.state == state
    assert "yanked" in environment.message


def case(body: str) -> dict[str, str]:
    text = "import os, pathlib, unittest, urllib.request\nclass T(unittest.TestCase):\n"
    return {"tests/test_model.py": f"{text}    def test_it(self):\n        {body}\n"}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("pathlib.Path({there!r}).read_text()", "FileNotFoundError"),
        ("pathlib.Path.home().joinpath('.netrc').read_text()", "FileNotFoundError"),
        ("os.environ['KEY_OF_THE_AUTHOR']", "KeyError: 'KEY_OF_THE_AUTHOR'"),
        pytest.param(
            "urllib.request.urlopen('http://127.0.0.1:{port}/')",
            "Connection refused",
            marks=pytest.mark.rare,
        ),
        ("urllib.request.urlopen('http://index.example.com/')", "no network after the install"),
    ],
    ids=["file", "home", "variable", "local service", "network"],
)
def test_tests_that_pass_only_where_their_author_is_fail(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, words: str
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home/.netrc").write_text("there", "utf-8")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("KEY_OF_THE_AUTHOR", "there")
    with server(tmp_path / "home") as port:
        text = body.format(there=str(tmp_path / "home/.netrc"), port=port)
        steps = run(make(case(text)), skip=["training"])
    assert states(steps) == {"environment": "passed", "tests": "failed"}
    assert words in steps["tests"].log + steps["tests"].message


def test_a_repository_changes_nothing_outside_its_copy(
    make: Make,
    outside: list[Path],
    tmp_path: Path,
) -> None:
    there = [*outside, tmp_path / "repository"]
    attempts = trains(f"""
        model.write_text("model")
        links = [str(path) for path in pathlib.Path().glob("link*")]
        for folder in {[str(path) for path in there]} + links + [".venv", "..", "../.."]:
            for name in ("file", "train.py", "new"):
                try:
                    pathlib.Path(folder, name).write_text("changed")
                    os.unlink(pathlib.Path(folder, name))
                except OSError:
                    pass
    """)
    attempts |= {"pyproject.toml": '[tool.groundwork.audit]\nsetup = "python3 train.py"\n'}
    for folder in outside:
        (folder / "file").write_text("as it was", "utf-8")
    folder = make(attempts)
    for number, target in enumerate(outside):
        (folder / f"link{number}").symlink_to(target)
    (folder / ".venv").symlink_to(outside[0])
    commit_all(folder, "Links")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    steps = run(folder, tests="python3 train.py")
    assert states(steps) == GOOD
    for one in outside:
        assert [path.name for path in one.iterdir()] == ["file"]
        assert (one / "file").read_text("utf-8") == "as it was"
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


HANGS = trains("time.sleep(600)")
EATS = trains("x = bytearray(2 << 30)")
LEAVES = trains("""
    import subprocess
    model.write_text("model")
    subprocess.Popen(["setsid", "sleep", "98765"], stdout=subprocess.DEVNULL)
""")


@pytest.mark.parametrize(
    ("files", "why"),
    [
        (HANGS, "it was stopped after 1 s, its time limit"),
        (EATS, "it ran out of memory: a process may use 1 GiB"),
        (LEAVES, ""),
    ],
    ids=["hangs", "memory", "leaves a process"],
)
def test_what_takes_too_much_is_stopped_and_nothing_runs_on(
    make: Make, files: dict[str, str], why: str
) -> None:
    limits = Limits(60, 20, 1 if files is HANGS else 20, 60, memory=1 << 30)
    steps = run(make(files), limits, skip=["tests"])
    expected = "failed" if why else "passed"
    assert steps["training"].state == expected
    if why:
        assert steps["training"].message == f"python train.py (guessed: train.py): {why}"
        assert steps["outputs"].state == "not done"
    assert alive("98765") == []


LOGS = trains("""
    model.write_text("model")
    pathlib.Path("logs").mkdir()
    pathlib.Path("logs/a.log").write_text(str(time.time()))
""")


@pytest.mark.parametrize(
    ("declared", "state", "words"),
    [
        ("", "failed", "1 of 2 differ: logs/a.log"),
        ('volatile = ["logs/**"]', "passed", "not compared: logs/a.log (declared volatile)"),
        ('outputs = ["*.txt"]', "passed", "not compared: logs/a.log (not among the outputs)"),
        ('outputs = ["model.bin"]', "failed", "training wrote nothing that matches model.bin"),
        ('volatile = ["**"]', "not done", "training wrote no file to compare"),
    ],
)
def test_what_may_differ_is_declared(make: Make, declared: str, state: str, words: str) -> None:
    steps = run(
        make(LOGS | {"groundwork-audit.toml": f"tests = 'true'\n{declared}\n"}),
        skip=["tests"],
    )
    assert steps["outputs"].state == state
    assert words in steps["outputs"].message


SKIPPED = "import unittest\n@unittest.skip('x')\nclass T(unittest.TestCase):\n  def test(self): 1\n"


@pytest.mark.parametrize(
    ("files", "states_", "words"),
    [
        ({"tests/test_model.py": SKIPPED}, {"tests": "not done"}, "no test ran: Ran 1 test OK"),
        ({"tests/test_model.py": None}, {"tests": "not done"}, "no tests were found"),
        (
            {"train.py": None},
            {"training": "not done", "outputs": "not done"},
            "no training to run: none was found; declare train, or give --train",
        ),
        (trains("print(1)"), {"outputs": "not done"}, "training wrote no file to compare"),
    ],
)
def test_what_could_not_be_done_is_said_and_has_not_passed(
    make: Make, files: dict[str, str], states_: dict[str, str], words: str
) -> None:
    steps = run(make(files))
    assert states(steps) == GOOD | states_
    assert any(words in step.message for step in steps.values() if step.state == "not done")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"requirements.txt": None}, "it has no lock, requirements or package"),
        (
            {"requirements.txt": None, "environment.yml": "dependencies: [{pip: [tiny]}]"},
            "environment.yml was not installed: micromamba, mamba or conda is not here",
        ),
        ({".python-version": "3.99"}, ".python-version wants Python ==3.99.*, and there is only"),
    ],
)
def test_without_an_environment_nothing_is_done(
    make: Make,
    files: dict[str, str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(recipes, "which", {}.get)  # no conda
    assert main(["prove", str(make(files)), "--json"]) == 1
    steps = json.loads(capsys.readouterr().out)
    assert {step["name"]: step["state"] for step in steps} == dict.fromkeys(STEPS[:4], "not done")
    assert words in steps[0]["message"]


@pytest.mark.parametrize(
    ("body", "state", "words"),
    [
        ("mkdir .venv", "passed", "environment.yml: 0 packages; no exact versions, so another"),
        (
            "echo 'Could not resolve host: conda.example.com'; exit 1",
            "failed",
            "environment.yml: exit status 1: Could not resolve host: conda.example.com",
        ),
    ],
)
def test_an_environment_of_conda_is_what_conda_makes(
    make: Make,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    state: str,
    words: str,
) -> None:
    conda = tmp_path / "conda/bin/conda"
    conda.parent.mkdir(parents=True)
    conda.write_text(f"#!/bin/sh\n{body}\n", "utf-8")
    conda.chmod(0o755)
    monkeypatch.setattr(recipes, "which", {"conda": str(conda)}.get)
    folder = make({"requirements.txt": None, "environment.yml": "dependencies: [numpy]"})
    (environment,) = run(folder, skip=STEPS[1:]).values()
    assert environment.state == state
    assert words in environment.message
    assert "no network" not in environment.message


@pytest.mark.parametrize(("version", "state"), [("1.0", "passed"), ("0.9", "failed")])
def test_a_lock_of_uv_must_fit_the_project(
    make: Make, wheels: Path, tmp_path: Path, version: str, state: str
) -> None:
    text = '[project]\nname = "a"\nversion = "0"\nrequires-python = ">=3.11"\n'
    locked = tmp_path / "locked"
    locked.mkdir()
    (locked / "pyproject.toml").write_text(f'{text}dependencies = ["tiny"]\n', "utf-8")
    make({})  # what finds the wheel
    words = [str(find_uv()), "lock", "--quiet", "--project", str(locked)]
    subprocess.run(words, check=True)
    lock = (locked / "uv.lock").read_text("utf-8")
    assert str(wheels) in lock or "tiny" in lock
    project = f'{text}dependencies = ["tiny>={version}"]\n'
    if state == "passed":
        project = f'{text}dependencies = ["tiny"]\n'
    folder = make({"uv.lock": lock, "pyproject.toml": project})
    steps = run(folder, skip=STEPS[2:])
    assert steps["environment"].state == state
    assert steps["environment"].message.startswith("uv.lock: ")
    assert ("needs to be updated" in steps["environment"].message) == (state == "failed")


PDM_PROJECT = """
[project]
name = "a"
version = "0"
requires-python = ">=3.11"
[project.optional-dependencies]
gpu = ["tiny"]
[dependency-groups]
dev = ["tiny"]
[tool.pdm]
distribution = false
"""
# What `pdm lock` writes for it; gpu is not among the groups that it locks unless asked to.
PDM_LOCK = """
[metadata]
groups = ["default", "dev"]
strategy = ["inherit_metadata"]
lock_version = "4.5.1"
content_hash = "sha256:9ddf21407130651a09754dd5eb762c63395bc8b85874f31c17da1b24f77f934f"
[[metadata.targets]]
requires_python = ">=3.11"
[[package]]
name = "tiny"
version = "1.0"
groups = ["dev"]
files = [{file = "tiny-1.0-py3-none-any.whl", hash = "sha256:DIGEST"}]
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("", "", "pdm.lock: 1 packages, Python 3."),
        ("DIGEST", "0" * 64, "pdm.lock: exit status 1: pdm.exceptions.CandidateNotFound: No "),
        pytest.param('"1.0"', '"2.0"', "No candidate is found for `tiny`", marks=pytest.mark.rare),
        pytest.param("9ddf", "0000", "doesn't satisfy the project", marks=pytest.mark.rare),
        pytest.param("groups =", "groups", "[TOMLDecodeError]", marks=pytest.mark.rare),
    ],
    ids=["as locked", "other file", "no such version", "of another project", "broken"],
)
def test_a_lock_of_pdm_must_fit_and_install(
    make: Make,
    wheels: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    old: str,
    new: str,
    words: str,
) -> None:
    digest = hashlib.sha256((wheels / "tiny-1.0-py3-none-any.whl").read_bytes()).hexdigest()
    lock = PDM_LOCK.replace(old, new) if old else PDM_LOCK
    folder = make({"pyproject.toml": PDM_PROJECT, "pdm.lock": lock.replace("DIGEST", digest)})
    # PDM itself is from this machine's index, and installs from another one.
    monkeypatch.delenv("UV_FIND_LINKS")
    monkeypatch.delenv("UV_NO_INDEX")
    index(tmp_path / "index", wheels)
    monkeypatch.setenv("PDM_PYPI_URL", (tmp_path / "index").as_uri())
    steps = run(folder, skip=["training"])
    state = "failed" if old else "passed"
    assert states(steps) == {"environment": state, "tests": "not done" if old else "passed"}
    assert words in steps["environment"].message
    assert "\n" not in steps["environment"].message


@pytest.mark.slow
@TOGETHER
@pytest.mark.parametrize(("command", "state"), [("true", "passed"), ("false", "failed")])
def test_an_image_must_build(
    make: Make,
    buildah: Engine,
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    state: str,
) -> None:
    for name, value in buildah.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(image, "_ENGINES", ("buildah",))
    before = buildah.ok("images", "--quiet")
    folder = make({"Dockerfile": f"FROM {BASE}\nRUN {command}\n", "requirements.txt": None})
    steps = run(folder, skip=STEPS[1:4])
    assert steps["image"].state == state
    assert ("RUN false" in steps["image"].log) == (state == "failed")
    assert buildah.ok("images", "--quiet") == before


def test_without_an_engine_an_image_is_not_done(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image, "_ENGINES", ())
    folder = make({"Dockerfile": "FROM nowhere\n", "requirements.txt": None})
    steps = run(folder, skip=STEPS[1:4])
    assert steps["image"].state == "not done"
    assert steps["image"].message.startswith("no engine: ")


@pytest.mark.slow
@pytest.mark.rare
def test_a_rendered_project_passes(render: Render) -> None:
    folder = render(python_version=PRESENT_PYTHON)
    git(folder, "init", "--quiet", "--initial-branch", "main")
    commit_all(folder, "All")
    steps = run(folder, Limits(900, 900, 900, 900), skip=["image"])
    assert states(steps) == GOOD
    assert "6 of 6 equal" in steps["outputs"].message


def test_only_what_is_committed_is_proven(make: Make) -> None:
    folder = make(trains("model.write_text(pathlib.Path('data.csv').read_text())"))
    (folder / "data.csv").write_text("1", "utf-8")
    steps = run(folder, skip=["tests"])
    assert "left out, as it is not committed: data.csv" in steps["environment"].message
    assert steps["training"].state == "failed"
    assert "No such file or directory: 'data.csv'" in steps["training"].message


@pytest.mark.parametrize("as_json", [False, True])
def test_the_command_prints_each_step_and_fails_unless_all_passed(
    make: Make, capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    folder = make({"Dockerfile": "FROM nowhere\n"})
    words = ["prove", str(folder), "--skip", "tests", "--skip", "image", "--train"]
    options = ["--json"] if as_json else []
    assert main([*words, "echo 1 >model.txt", *options]) == 0
    out, _ = capsys.readouterr()
    if as_json:
        steps = json.loads(out)
        assert [step["state"] for step in steps] == ["passed"] * 3
        assert steps[1]["message"] == "echo 1 >model.txt (given by --train) ran twice"
    else:
        assert [line.split()[:2] for line in out.splitlines()] == [
            ["passed", f"{name}:"] for name in ("environment", "training", "outputs")
        ]
        assert main([*words, "false"]) == 1
        out, _ = capsys.readouterr()
        assert "false (given by --train): exit status 1: it printed nothing" in out


def test_a_step_that_there_is_not_cannot_be_skipped(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prove", ".", "--skip", "everything"]) == 1
    assert capsys.readouterr().err.startswith("error: --skip everything: there is no such step")
