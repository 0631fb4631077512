"""This repository: the lock, what is generated, and what is shown of the data."""

import copy
import hashlib
import re
import subprocess
import tomllib
import warnings
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import nbformat
import pytest

from ..project import environment, lock, package, schema
from . import ROOT

PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
# What linters leave alone, such as the notebooks of an adopted repository, is not run either.
NOT_CHECKED = PYPROJECT["tool"]["ruff"].get("extend-exclude", [])
NOTEBOOKS = [
    path
    for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
    if str(path.relative_to(ROOT)) not in NOT_CHECKED
]
STANDARD = Path(package.__path__[0]) / "ops"
SCORE = (ROOT / "docs" / "ml-test-score.md").read_text(encoding="utf-8")


class EditedStandardWarning(UserWarning):
    """A file of the standard is not as the template's tests have proven it."""


def test_pyproject_lock_and_exports_agree():
    assert lock.problems(ROOT) == []


def test_what_is_installed_is_what_the_lock_says():
    assert lock.drifted(ROOT, "dev") == []


def test_the_page_of_the_environment_is_current():
    assert environment.problems(ROOT) == []


def weak_exceptions(text: str, today: date) -> list[str]:
    """Return the accepted vulnerabilities that have no owner, no date, or one that is past."""
    weak = []
    for one in tomllib.loads(text).get("IgnoredVulns", []):
        until = one.get("ignoreUntil", date.min)
        until = date(until.year, until.month, until.day)  # it may have a time, too
        owned = re.match(r"\S+@\S+: \S", one.get("reason", ""))
        if not owned or not today <= until <= today + timedelta(days=180):
            weak.append(one["id"])
    return weak


def test_vulnerabilities_are_accepted_for_a_time_and_by_somebody():
    """See docs/how-to/packages-and-updates.md."""
    path = ROOT / "osv-scanner.toml"
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    assert weak_exceptions(text, datetime.now(UTC).date()) == []


def undecided(root: Path) -> list[str]:
    """Return the files with places where a person has to decide between two edits."""
    # A marker is longer than 7 where git merged a file that had a conflict already.
    marker = "^(<{7,}|>{7,}) "
    command = ("git", "grep", "--no-index", "--exclude-standard", "-lE", marker, "--", ".")
    found = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert found.returncode in {0, 1}, found.stderr
    return found.stdout.splitlines()


def test_no_update_was_left_undecided():
    """Settle what this lists, then run scripts/lock.sh."""
    assert undecided(ROOT) == []


def left_behind(standard: Path) -> list[str]:
    """Return the files in ops/ that an earlier version of the standard had there.

    Where the standard moves or drops them, scripts/update.sh does so too, and `copier update`
    does not.
    """
    listed = (standard / "SHA256SUMS").read_text(encoding="utf-8")
    earlier = ""
    for command in (("log", "--patch", "--format="), ("diff-index", "--patch", "HEAD")):
        done = subprocess.run(
            ["git", *command, "--no-ext-diff", "--no-color", "--", "SHA256SUMS"],
            cwd=standard,
            capture_output=True,
            text=True,
            check=False,
        )
        if re.search("not a git repository|does not have any commits", done.stderr):
            return []  # there is no earlier version
        assert done.returncode == 0, done.stderr
        earlier += done.stdout
    found = []
    for path in standard.rglob("*.py"):
        name = path.relative_to(standard).as_posix()
        line = f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {name}"
        if f"  {name}\n" not in listed and f"-{line}\n" in earlier:
            found.append(name)
    return sorted(found)


def test_no_file_that_the_standard_dropped_was_left_in_place():
    names = left_behind(STANDARD)
    assert not names, f"delete them: (cd {STANDARD} && git rm {' '.join(names)})"


@pytest.mark.filterwarnings("default")
def test_files_of_the_standard_that_were_edited_are_named():
    """A warning: the template's tests prove these files as they are rendered, and no others."""
    listed = dict(
        reversed(line.split("  ", 1))
        for line in (STANDARD / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
    )
    present = {str(path.relative_to(STANDARD)): path for path in STANDARD.rglob("*.py")}
    edited = [
        name
        for name, path in present.items()
        if listed.get(name) != hashlib.sha256(path.read_bytes()).hexdigest()
    ]
    gone = [name for name in listed if name not in present]
    if edited or gone:
        warnings.warn(
            f"edited, added or removed in ops/: {', '.join(sorted([*edited, *gone]))}. The "
            "template has not tested these; test them here, or bring the change to the template",
            EditedStandardWarning,
            stacklevel=1,
        )
    assert listed


def outputs(notebook):
    """The text that each output of a notebook shows; of a picture, that there is one.

    Without fractions of numbers: their last digits depend on the processor.
    """
    texts = [
        "a picture" if "image/png" in data else data.get("text/plain") or output.get("text", "")
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        for data in [output.get("data", {})]
    ]
    return [re.sub(r"\d+\.\d+(e[+-]\d+)?", "#", text) for text in texts]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Jupyter's own
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_runs_and_shows_what_it_showed(path, monkeypatch, tmp_path):
    from nbclient import NotebookClient

    monkeypatch.setenv("ML_ROOT", str(ROOT))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    before = nbformat.read(path, as_version=4)
    again = copy.deepcopy(before)
    place = {"metadata": {"path": str(path.parent)}}
    NotebookClient(again, timeout=300, kernel_name="python3", resources=place).execute()
    mend = f"run .venv/bin/jupyter execute --inplace notebooks/{path.name}, look at it, and commit"
    assert outputs(again) == outputs(before), mend


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_shows_no_personal_value(path, split):
    text = "\n".join(outputs(nbformat.read(path, as_version=4)))
    present = (split.train[name].dropna().astype(str) for name in schema.PERSONAL)
    # A short number would be found in any figure.
    values = {value for column in present for value in column if len(value) > 3}
    assert not any(re.search(rf"\b{re.escape(value)}\b", text) for value in values)


def test_the_ml_test_score_adds_up():
    """Its answers are tests of the template, or yours, which pytest finds by their marker."""
    rows = re.findall(r"^\| (\d) \| .+ \| (0|0\.5|1) \|$", SCORE, re.MULTILINE)
    assert [int(number) for number, _ in rows] == [*range(1, 8)] * 4
    sections = [sum(float(points) for _, points in rows[at : at + 7]) for at in range(0, 28, 7)]
    (claimed,) = re.findall(r"^\| \*\*score\*\* \| \*\*(.+)\*\* \|$", SCORE, re.MULTILINE)
    assert float(claimed) == min(sections)


@pytest.mark.parametrize("marker", sorted(set(re.findall(r"`-m (\w+)`", SCORE))))
def test_a_test_of_yours_that_the_score_cites_is_there(marker):
    sources = (ROOT / "tests").rglob("test_*.py")
    assert any(f"pytest.mark.{marker}".encode() in path.read_bytes() for path in sources)
