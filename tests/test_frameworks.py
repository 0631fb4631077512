"""What holds for the frameworks' folders, beside what their projects' own tests say."""

import subprocess

import pytest

from .conftest import ROOT

FRAMEWORKS = ROOT / "frameworks"
# The two networks learn from the same pictures: their projects differ in the model alone.
PICTURES = ("pytorch", "tensorflow")
ALIKE = (
    "src/data.py",
    "src/schema.py",
    "src/features.py",
    "tests/test_features.py",
    "tests/test_rules.py",
    "tests/example.py",
    "data/manifest.json",
    "request.json",
    "explore.ipynb",
)


@pytest.mark.parametrize("name", ALIKE)
def test_what_two_frameworks_share_is_the_same_in_both(name: str) -> None:
    one, other = (FRAMEWORKS / framework / name for framework in PICTURES)
    assert one.read_text(encoding="utf-8") == other.read_text(encoding="utf-8")


def test_the_simpler_model_and_the_metrics_are_the_same_in_both() -> None:
    """Their models would not compare otherwise."""
    one, other = (
        (FRAMEWORKS / framework / "src" / "model.py").read_text(encoding="utf-8")
        for framework in PICTURES
    )
    for begin, end in (("def baseline(", "def predict("), ("def decide(", "")):
        part = one[one.index(begin) : one.index(end) if end else None]
        assert part in other


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "name a framework; see record.sh --help"),
        (["--into", "somewhere"], 2, "--into takes DEST and one framework; see record.sh --help"),
        (["nosuch"], 1, "there is no frameworks/nosuch"),
    ],
)
def test_a_wrong_call_of_record_is_one_line(arguments: list[str], status: int, said: str) -> None:
    script = ROOT / "scripts/record.sh"
    done = subprocess.run([script, *arguments], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", f"error: {said}\n")
