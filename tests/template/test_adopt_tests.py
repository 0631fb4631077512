"""A repository's own tests, adopted: where pytest looks, and what it has to know of them."""

import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from groundwork.adopt.own_tests import own_tests
from groundwork.adopt.places import BRANCH
from groundwork.adopt.pyproject import Pyproject
from groundwork.adopt.wanted import PYTHONS, Wanted
from groundwork.errors import UserError
from tests.conftest import ROOT, git

from .test_adopt import FLAT, adopt, make  # noqa: F401 - a fixture

TEST = "def test_it():\n    pass\n"
STANDARD = (ROOT / "template/pyproject.toml.jinja").read_text("utf-8")
PYTEST = STANDARD[STANDARD.index("[tool.pytest.ini_options]") :].replace("{{ package_name }}", "x")
# Each shape: its files, and the settings that differ from the standard's.
SHAPES: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "no tests": ({"a.py": ""}, {}),
    "a package of tests": ({"tests/__init__.py": "", "tests/test_a.py": TEST}, {}),
    "tests that import what lies beside them": (
        {"tests/test_a.py": "from helpers import x\n" + TEST, "tests/helpers.py": "x = 1\n"},
        {"pythonpath": ["tests"]},
    ),
    "tests in the package, and a script named like one": (
        {"a/tests/test_a.py": TEST, "b/a_test.py": TEST, "test_model.py": "import nothing\n"},
        {"testpaths": ["tests", "a/tests", "b"]},
    ),
    "tests at the root": ({"test_a.py": TEST}, {"testpaths": ["tests", "test_a.py"]}),
    "some of the tests only": (
        {
            "tests/unit/test_a.py": TEST,
            "tests/slow/test_b.py": TEST,
            "pytest.ini": "[pytest]\ntestpaths = tests/unit\n",
        },
        {"testpaths": ["tests/contract", "tests/yours", "tests/unit"], "pythonpath": ["tests"]},
    ),
    "settings in setup.cfg, for the whole folder": (
        {
            "a/__init__.py": "",
            "a/tests/test_a.py": TEST,
            "README.rst": "",
            "setup.cfg": "[tool:pytest]\ntestpaths = .\naddopts =\n    -s --doctest-modules\n"
            '    --doctest-glob="*.rst" --cov=a --ignore setup.py\n',
        },
        {
            "testpaths": ["tests", "README.rst", "a"],
            "+addopts": ["--doctest-modules", "--doctest-glob=*.rst", "--ignore", "setup.py"],
        },
    ),
    "places among the options": (
        {
            "tests/test_a.py": TEST,
            "a/__init__.py": "",
            "b/__init__.py": "",
            "pytest.ini": "[pytest]\naddopts = -v --doctest-modules --cov b tests/ a/\n",
        },
        {
            "testpaths": ["tests", "a"],
            "pythonpath": ["tests"],
            "+addopts": ["--doctest-modules"],
        },
    ),
    "markers, named or not, and a plugin's settings": (
        {
            "tests/__init__.py": "",
            "tests/test_a.py": f"@pytest.mark.gpu\n@pytest.mark.net\n@pytest.mark.skip\n{TEST}",
            "pyproject.toml": '[tool.pytest.ini_options]\nmarkers = ["net: needs one"]\n'
            'asyncio_mode = "auto"\nxfail_strict = true\n',
        },
        {
            "+markers": ["net: needs one", "gpu: of this project's own tests"],
            "asyncio_mode": "auto",
            "xfail_strict": True,
            "-addopts": "--strict-config",
        },
    ),
    "files and functions of other names": (
        {
            "checks/check_a.py": "def check_it():\n    pass\n\n\nclass TestIt:\n    pass\n",
            "tox.ini": "[pytest]\npython_files = check_*.py\npython_functions = check\n",
        },
        {
            "testpaths": ["tests", "checks"],
            "python_files": ["test_*.py", "check_*.py"],
            "python_functions": ["test", "check"],
            "-addopts": "--strict-config",
        },
    ),
}


@pytest.mark.parametrize("shape", SHAPES)
def test_pytest_finds_and_runs_what_it_did(tmp_path: Path, shape: str) -> None:
    content, expected = SHAPES[shape]
    for name, text in content.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, "utf-8")
    packages = {"a": ""} if "a/__init__.py" in content else {}
    before = tomllib.loads(PYTEST)["tool"]["pytest"]["ini_options"]
    settings = own_tests(tmp_path, content, {}, packages).settings(PYTEST)
    after = tomllib.loads(settings)["tool"]["pytest"]["ini_options"]
    wanted = {key: value for key, value in expected.items() if key[0] not in "+-"}
    for key in ("addopts", "markers"):
        wanted[key] = [one for one in before[key] if one != expected.get(f"-{key}")]
        wanted[key] += expected.get(f"+{key}", [])
    if shape != "no tests":
        wanted["xfail_strict"] = expected.get("xfail_strict", False)
        assert "error:::tests" not in after["filterwarnings"]
    assert after | {"filterwarnings": []} == before | wanted | {"filterwarnings": []}


def test_a_folder_of_tests_is_as_it_was_with_the_standards_beside_it(
    make: Callable[[dict[str, str]], Path],  # noqa: F811
    moved: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    own = {
        "tests/__init__.py": "# Ours.\n",
        "tests/conftest.py": (
            "import pytest\n\n\n@pytest.fixture\ndef params():\n    return 'ours'\n"
        ),
        "tests/data/rows.csv": "1\n",
        "tests/test_a.py": (
            "from pathlib import Path\n\nimport churn\n\n\ndef test_it(params):\n"
            "    assert params == 'ours'\n"
            "    assert (Path(__file__).parent / 'data/rows.csv').read_text() == '1\\n'\n"
        ),
    }
    root = make({**FLAT, **own})
    assert adopt(root, moved) == 0
    assert "your own tests run with `scripts/test.sh --layer yours`" in capsys.readouterr().out
    git(root, "switch", "--quiet", BRANCH)
    for name, text in own.items():
        assert (root / name).read_text("utf-8") == text
    # test_adopt.py runs them, beside the standard's.
    assert "from . import *" in (root / "tests/contract/conftest.py").read_text("utf-8")
    assert "from ..contract import *" in (root / "tests/yours/conftest.py").read_text("utf-8")


def test_what_stands_in_the_place_of_the_standards_own_moves_as_a_whole(
    make: Callable[[dict[str, str]], Path],  # noqa: F811
    moved: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = make({**FLAT, "tests/project.py": "x = 1\n"})
    assert adopt(root, moved) == 0
    assert "`tests/` is now `adopted/tests/`" in capsys.readouterr().out
    text = git(root, "show", f"{BRANCH}:pyproject.toml")
    assert '"adopted/tests"' in text


def test_a_pin_can_be_given_up_and_requires_python_follows_the_projects(
    make: Callable[[dict[str, str]], Path],  # noqa: F811
    moved: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    content = {**FLAT, "requirements.txt": "humanize==0.1\nidna==2.0\n", "setup.py": SETUP}
    root = make(content)
    assert adopt(root, moved, "--relax", "Humanize") == 0
    report = capsys.readouterr().out
    assert "humanize: ==0.1 with you, given up by --relax: the version in docs/env" in report
    assert "idna: ==2.0 with you, 3." in report  # the standard has it
    assert "requires-python is `>=3.12,<3.14`: yours is `>=3.12`" in report
    assert "`--relax PACKAGE`" in report
    project = tomllib.loads(git(root, "show", f"{BRANCH}:pyproject.toml"))["project"]
    assert "humanize" in project["dependencies"]
    assert project["requires-python"] == ">=3.12,<3.14"


def test_only_a_pin_of_the_repository_can_be_given_up() -> None:
    with pytest.raises(UserError, match="asks for no such package"):
        Wanted().relax(["polars"])


STANDARDS = """\
[project]
name = "x"
dependencies = [
    # `poetry add` appends
]
[project.scripts]
[dependency-groups]
[tool]
"""


def carried_over(folder: Path, standard: str, asked: str, pins: list[str], there: str) -> Pyproject:
    """Bring a requirement with its pins to the standard, whose lock has the package as `there`."""
    name = Requirement(asked).name
    (folder / "pyproject.toml").write_text(standard, "utf-8")
    lock = f'[[package]]\nname = "{name}"\nversion = "{there}"\n'
    (folder / "poetry.lock").write_text(lock, "utf-8")
    wanted = Wanted()
    wanted.add("pyproject.toml", [asked])
    for pin in pins:
        wanted.pin(name, pin)
    return Pyproject(folder, wanted, {})


@pytest.mark.parametrize(
    ("asked", "pins", "expected"),
    [
        (">=2", ["2.1"], ["==2.1 with you, 2.5 for the standard's packages", ">=2"]),
        (">=2", ["2.1", "2.5"],
         ["==2.1 or ==2.5 with you, 2.5 for the standard's packages", ">=2"]),
        ("<2", ["1.9"], ["==1.9 with you, 2.5 for the standard's packages", ""]),
        ("<2", [], ["<2 with you, 2.5 for the standard's packages", ""]),
        (">=2", ["2.5"], [">=2"]),
        (">=2", [], [">=2"]),
    ],
)  # fmt: skip
def test_a_pin_that_the_standards_packages_overrule_is_reported(
    tmp_path: Path, asked: str, pins: list[str], expected: list[str]
) -> None:
    """The project's lock has a package that the standard has for another one's sake."""
    found = carried_over(tmp_path, STANDARDS, f"narwhals{asked}", pins, "2.5")
    text = found.text("", [])
    *said, carried = expected
    assert found.mapped == [
        *(f"narwhals: {line}" for line in said),
        f"narwhals: carried over as `narwhals{carried}`",
    ]
    assert tomllib.loads(text)["project"]["dependencies"] == [f"narwhals{carried}"]


@pytest.mark.parametrize(
    ("asked", "pins", "there", "said"),
    [
        (">=2", ["2.9"], "3.1", "==2.9"),
        (">=0.23", ["0.23.0"], "0.35.0", "==0.23.0"),
        ("", ["2009r"], "3.1", "==2009r"),
        ("<3", ["2.9"], "3.1", "<3"),
        ("<3", [], "3.1", "<3"),
        (">=2", ["2.9", "3.0"], "3.1", ""),
        (">=3", ["3.0"], "3.1", ""),
        (">=0.23", ["0.23.0"], "0.23.4", ""),
        (">=2", [], "3.1", ""),
    ],
)
def test_versions_between_which_code_may_have_to_change_are_a_step(
    tmp_path: Path, asked: str, pins: list[str], there: str, said: str
) -> None:
    """A range may take a version that the project never ran with, as its lock says."""
    text = STANDARDS.replace("    #", '    "mlflow>=0",\n    #', 1)
    found = carried_over(tmp_path, text, f"mlflow{asked}", pins, there)
    found.text("", [])
    step = f"mlflow ({said} with you, {there} in the standard)"
    assert found.outdated == ([step] if said else [])


@pytest.mark.parametrize(
    ("said", "expected"),
    [("^3.12", ["3.12", "3.13"]), ("~3.11", ["3.11"]), (">=3.8,!=3.9.*,<3.13", ["3.11", "3.12"]),
     ("3.12.*", ["3.12"]), ("*", ["3.11", "3.12", "3.13"]), ("<3.9", []), ("??", [*PYTHONS])],
)  # fmt: skip
def test_pythons_are_those_that_the_project_runs_on(said: str, expected: list[str]) -> None:
    wanted = Wanted()
    wanted.runs_on({"requires-python": said})
    assert wanted.pythons == expected


SETUP = "from setuptools import setup\n\nsetup(python_requires='>=3.12')\n"
SAID = """\
Resolving dependencies...

Because old (1.0) depends on numpy (<2)
 and churn depends on numpy (>=2,<3), old is forbidden.
So, because churn depends on old (==1.0), version solving failed.
"""


def test_a_lock_without_a_solution_names_both_sides() -> None:
    done = subprocess.run(
        ["bash", "-c", 'source template/scripts/lib.sh; cause resolve "$1"', "-", SAID],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: resolve: no versions fit together. Because old (1.0) depends")
    assert "churn depends on numpy (>=2,<3), old is forbidden. So, because churn depends" in line
