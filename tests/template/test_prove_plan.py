"""What a repository declares for its proof, and what is guessed, in which order."""

from pathlib import Path

import pytest

from groundwork.audit.prove import interpreters, recipes
from groundwork.audit.prove.declared import Declared, declared
from groundwork.audit.prove.plan import plan
from groundwork.audit.prove.process import Ended, cause
from groundwork.audit.prove.recipes import recipe
from groundwork.audit.prove.variables import files_named, of_network, without_credentials
from groundwork.audit.settings import OWN
from groundwork.errors import UserError

MLPROJECT = """
entry_points:
  main:
    parameters: {rate: {type: float, default: 0.1}, depth: 3, data: path}
    command: python fit.py {rate}
"""


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    return folder


# Each is preferred to all that follow.
TRAINING = [
    ({"dvc.yaml": "stages: {train: {cmd: python x.py}}"}, "dvc repro --force train"),
    ({"MLproject": MLPROJECT}, "python fit.py 0.1"),
    ({"Makefile": "all: train\n\ntrain:\n\tpython x.py\n"}, "make train"),
    ({"train.py": ""}, "python train.py"),
    ({"src/train.py": ""}, "python src/train.py"),
    ({"scripts/train.py": ""}, "python scripts/train.py"),
    ({"scripts/train.sh": ""}, "sh scripts/train.sh"),
    ({"scripts/train_it.py": ""}, "python scripts/train_it.py"),
    ({"package/models/train_model.py": ""}, "python package/models/train_model.py"),
]


@pytest.mark.parametrize("number", range(len(TRAINING)))
def test_training_is_guessed_in_order(tmp_path: Path, number: int) -> None:
    for files, _ in reversed(TRAINING[number:]):
        write(tmp_path, files)
    assert plan(tmp_path).train.shell == TRAINING[number][1]
    assert plan(tmp_path).train.source.startswith("guessed: ")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "none was found"),
        ({"scripts/train_a.py": "", "scripts/train_b.py": ""}, "any of scripts/train_a.py, scri"),
        ({"dvc.yaml": "stages: {evaluate: {cmd: x}}"}, "none was found"),
        ({"dvc.yaml": "stages: ["}, "none was found"),
        ({"MLproject": MLPROJECT.replace("{rate}", "{data}")}, "none was found"),
        ({"Makefile": "train := x\n"}, "none was found"),
        ({"tests/train.py": ""}, "none was found"),
    ],
)
def test_what_is_no_training_is_not_guessed(
    tmp_path: Path, files: dict[str, str], words: str
) -> None:
    found = plan(write(tmp_path, files)).train
    assert found.shell == ""
    assert words in found.source


OF_UNITTEST = "import unittest\nclass T(unittest.TestCase):\n    def test_it(self): pass\n"


@pytest.mark.parametrize(
    ("files", "shell"),
    [
        ({"pytest.ini": "", "Makefile": "test:\n"}, "python -m pytest"),
        ({"pyproject.toml": "[tool.pytest.ini_options]"}, "python -m pytest"),
        ({"tests/test_a.py": "def test_a(): pass", "tox.ini": ""}, "python -m pytest"),
        ({"tests/test_a.py": OF_UNITTEST, "Makefile": "test:\n"}, "make test"),
        ({"tests/test_a.py": OF_UNITTEST}, "python -m unittest discover -s tests"),
        ({"test_a.py": OF_UNITTEST}, "python -m unittest discover"),
        ({".venv/test_a.py": OF_UNITTEST}, ""),
        ({}, ""),
    ],
)
def test_tests_are_guessed(tmp_path: Path, files: dict[str, str], shell: str) -> None:
    assert plan(write(tmp_path, files)).tests.shell == shell


def test_tox_installs_first(tmp_path: Path) -> None:
    tests = plan(write(tmp_path, {"tox.ini": "", "tests/test_a.py": OF_UNITTEST})).tests
    assert tests.first.endswith(" run --notest")
    assert tests.shell.endswith(" run --skip-pkg-install")


def test_options_go_before_declarations_and_those_before_guesses(tmp_path: Path) -> None:
    write(tmp_path, {"train.py": "", "pyproject.toml": '[tool.groundwork.audit]\ntrain = "a"\n'})
    found = plan(tmp_path)
    assert str(found.train) == "a (declared in pyproject.toml)"
    write(tmp_path, {"groundwork-audit.toml": 'train = "b"\nvolatile-metrics = ["c"]\n'})
    found = plan(tmp_path)
    assert str(found.train) == "b (declared in groundwork-audit.toml)"
    assert found.declared.volatile_metrics == ("c",)
    write(tmp_path, {".groundwork-audit.toml": 'train = "e"\n'})
    assert str(plan(tmp_path).train) == "e (declared in .groundwork-audit.toml)"
    assert str(plan(tmp_path, train="c\n  d").train) == "c d (given by --train)"


def test_a_file_of_exceptions_hides_no_declaration(tmp_path: Path) -> None:
    write(tmp_path, dict.fromkeys(OWN, "exceptions = []\n"))
    write(tmp_path, {"pyproject.toml": '\ufeff[tool.groundwork.audit]\ntrain = "a"\n'})
    assert str(plan(tmp_path).train) == "a (declared in pyproject.toml)"


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("groundwork-audit.toml", "train = 1", "train of the audit must be a string, not 1"),
        (
            "groundwork-audit.toml",
            'output = ["a"]',
            "the audit has no output; it has",
        ),
        (
            "pyproject.toml",
            "[tool.groundwork.audit]\nTrain = 'a'",
            "the audit has no Train;",
        ),
        ("groundwork-audit.toml", 'outputs = "a"', "outputs of the audit must be a list of str"),
        ("groundwork-audit.toml", "train =", "groundwork-audit.toml cannot be read"),
        (".groundwork-audit.toml", "train = 1", "train of the audit must be a string, not 1"),
        ("pyproject.toml", "[tool]\ngroundwork = 1", "needs a table, not groundwork"),
    ],
)
def test_a_declaration_that_cannot_be_used_is_one_line(
    tmp_path: Path, name: str, text: str, words: str
) -> None:
    with pytest.raises(UserError) as raised:
        declared(write(tmp_path, {name: text}))
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


PROJECT = '[project]\nname = "a"\n[project.optional-dependencies]\ntest = []\ngpu = []\n'
LOCKS = [
    ({"uv.lock": ""}, "uv.lock", 'uv sync --locked --python "$PYTHON" --extra test', True),
    ({"poetry.lock": ""}, "poetry.lock", "check --lock", True),
    ({"pdm.lock": ""}, "pdm.lock", "pdm lock --check", True),
    ({"Pipfile.lock": ""}, "Pipfile.lock", "uv tool run pipenv verify", True),
    ({"requirements.txt": "a==1 --hash=sha256:0"}, "requirements.txt", "--require-hashes", True),
    ({"pyproject.toml": PROJECT}, "pyproject.toml", "uv pip install -e '.[test]'", False),
]


@pytest.mark.parametrize("number", range(len(LOCKS)))
def test_the_environment_follows_the_most_exact_file(tmp_path: Path, number: int) -> None:
    for files, *_ in LOCKS[number:]:
        write(tmp_path, files)
    _, source, words, locked = LOCKS[number]
    made = recipe(tmp_path, Declared())
    assert (made.source, made.locked) == (source, locked)
    assert any(words in command for command in made.commands)


@pytest.mark.parametrize(
    ("files", "source", "locked"),
    [
        ({"requirements.txt": "a==1\n# b\n-c x\nd==2; python_version > '3'\n"}, "{}", True),
        ({"requirements.txt": "a>=1\n"}, "{}", False),
        ({"requirements.txt": "a==1", "requirements-dev.txt": "b"}, "{}, requirements-dev.txt", 0),
        ({"requirements/base.txt": "a==1"}, "requirements/base.txt", True),
    ],
)
def test_requirements_are_installed_with_those_of_tests(
    tmp_path: Path, files: dict[str, str], source: str, *, locked: bool
) -> None:
    made = recipe(write(tmp_path, files), Declared())
    assert made.source == source.format("requirements.txt")
    assert made.locked == bool(locked)


CONDA = "dependencies: [numpy=2, pytorch, pip, {pip: [tiny]}]"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"environment.yml": CONDA}, "environment.yml was not installed: micromamba, mamba or con"),
        ({"environment.yaml": CONDA, "setup.py": ""}, "environment.yaml was not installed: "),
        ({"environment.yml": CONDA, "conda-lock.yml": ""}, "conda-lock.yml was not installed: a p"),
        ({"pixi.lock": "", "pyproject.toml": PROJECT}, "pixi.lock was not installed: a proof runs"),
    ],
)
def test_nothing_else_is_installed_in_place_of_conda(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], words: str
) -> None:
    monkeypatch.setattr(recipes, "which", {}.get)
    with pytest.raises(UserError) as raised:
        recipe(write(tmp_path, files), Declared())
    assert str(raised.value).startswith(words)
    assert "\n" not in str(raised.value)


def test_conda_is_used_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, {"environment.yml": "", "conda/bin/conda": "#!/bin/sh\n"})
    (tmp_path / "conda/bin/conda").chmod(0o755)
    monkeypatch.setattr(recipes, "which", {"conda": str(tmp_path / "conda/bin/conda")}.get)
    made = recipe(tmp_path, Declared())
    assert made.commands[0].endswith("conda env create --yes --prefix .venv --file environment.yml")
    assert tmp_path / "conda" in made.visible


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({".python-version": "3.12\n"}, "==3.12.*"),
        ({".python-version": "3.12.1\n", "pyproject.toml": PROJECT}, "==3.12.1"),
        ({"runtime.txt": "python-3.9.18"}, "==3.9.18"),
        ({".python-version": "my-env\n"}, ""),
        ({"pyproject.toml": '[project]\nrequires-python = ">=3.10"'}, ">=3.10"),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.9"'}, ">=3.9,<4"),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "~3.9.1"'}, ">=3.9.1,==3.9.*"),
        ({"pyproject.toml": '[tool.poetry.dependencies]\npython = "3.11.*"'}, "==3.11.*"),
        ({}, ""),
    ],
)
def test_the_python_that_a_repository_asks_for(
    tmp_path: Path, files: dict[str, str], wanted: str
) -> None:
    assert interpreters.wanted(write(tmp_path, files))[0] == wanted


def test_a_python_that_is_not_here_is_one_line(tmp_path: Path) -> None:
    write(tmp_path, {".python-version": "not 3"})
    write(tmp_path, {"pyproject.toml": '[project]\nrequires-python = "three"'})
    with pytest.raises(UserError, match="'three' does not say which Python is wanted"):
        interpreters.choose(tmp_path)


def test_installs_get_what_reaches_an_index_and_nothing_else(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    given = {
        "PIP_INDEX_URL": "https://index.example.com/simple",
        "UV_INDEX_INTERNAL_PASSWORD": "x",
        "https_proxy": "http://proxy.example.com",
        "UV_FIND_LINKS": f"{wheels} https://wheels.example.com",
        "PIP_EXTRA_INDEX_URL": f"{wheels.as_uri()} file:///nowhere",
    }
    other = {"UV_PUBLISH_TOKEN": "x", "PIP_CONFIG_FILE": "/x", "HF_TOKEN": "x", "PYTHONPATH": "/"}
    assert of_network(given | other) == given
    assert files_named(given) == {wheels}


OF_POETRY = """
  - Installing tiny (1.0)

    | Unable to find it (1.0)
    |
    |   2. Try regenerating
    |
    | If any of those solutions worked, clear your caches.
    | You can also run your poetry command with -v to see more information.
"""
OF_PDM = """
pdm.exceptions.CandidateNotFound: No tiny

[InstallationError]: Some failed.
WARNING: Add '-v' to see the detailed traceback
"""


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("", "it printed nothing"),
        ("a\nValueError: b\n\n", "ValueError: b"),
        ("FAILED a.py::b - c\n== 1 failed in 1s ==\n", "FAILED a.py::b - c; 1 failed in 1s"),
        ("ERROR: no\nERROR: no\n", "ERROR: no"),
        (OF_POETRY, "Unable to find it (1.0); 2. Try regenerating"),
        (OF_PDM, "pdm.exceptions.CandidateNotFound: No tiny; [InstallationError]: Some failed."),
        ("x\n  \u00d7 No solution:\n  ╰─▶ Because a\n      b\n", "No solution: Because a b"),
    ],
)
def test_the_cause_of_a_failure_is_one_line(log: str, expected: str) -> None:
    assert cause(log) == expected


@pytest.mark.parametrize("offline", [False, True])
def test_only_of_a_command_without_network_it_is_said_that_there_is_none(*, offline: bool) -> None:
    ended = Ended(1, 0, "gaierror: Temporary failure in name resolution", offline=offline)
    assert ("there is no network after the install" in ended.why()) == offline


def test_a_log_has_no_credentials() -> None:
    shown = without_credentials("at https://me:secret@x.example.com/a")
    assert shown == "at https://***@x.example.com/a"
    assert without_credentials("docker://a@sha256:1") == "docker://a@sha256:1"
