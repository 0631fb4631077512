"""The documentation: built strictly, true to the code, with no dead ends."""

import json
import re
import subprocess
import sys
import tomllib
from datetime import date
from pathlib import Path
from shutil import copytree, ignore_patterns

import pytest

from groundwork import reference
from groundwork.cli.main import main
from groundwork.template.reference import markdown
from tests import pictures
from tests.conftest import ROOT, git
from tests.projects import replace

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("name", reference.PAGES)
def test_a_generated_page_is_current(name: str) -> None:
    page = (ROOT / "docs/reference" / f"{name}.md").read_text("utf-8")
    assert reference.PAGES[name](ROOT) == page, "groundwork reference"


def test_the_command_writes_the_pages_that_differ(
    template: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = copytree(template, tmp_path / "copy", ignore=ignore_patterns(".git"))
    stale = copy / "docs/reference/metrics.md"
    current = stale.read_text("utf-8")
    stale.write_text("# Old\n", "utf-8")
    assert main(["--template", str(copy), "reference"]) == 0
    assert capsys.readouterr().out == "wrote docs/reference/metrics.md\n"
    assert stale.read_text("utf-8") == current


OPS = "template/src/{{ package_name }}/ops"


@pytest.mark.parametrize(
    ("page", "path", "old", "new", "row"),
    [
        ("settings", f"{OPS}/core/settings.py", "8000, ge=1", "8001, ge=1", "| `8001` |"),
        ("settings", "template/.env.example.jinja", "SERVICE_CPUS=2", "SERVICE_CPUS=3", "| `3` |"),
        ("settings", "frameworks/scikit-learn/params.yaml", "seed: 42", "seed: 43", "seed: 43"),
        ("metrics", f"{OPS}/serving/metrics.py", "Rows scored", "Scores", "counter |  | Scores |"),
        ("metrics", "includes/alerts.jinja", "for: 2m", "for: 3m", "`NotReady` | page | 3m |"),
        ("project", f"{OPS}/cli/commands.py", "Score a file", "Judge a file", "| Judge a file"),
        ("project", "template/scripts/setup.sh", "# Makes .venv", "# Builds", "\nBuilds from"),
        ("files", "includes/ownership.yml", "/benchmark.json\n", "", "`benchmark.json` | the st"),
    ],
)
def test_a_generated_page_changes_with_what_it_is_made_from(
    template: Path, tmp_path: Path, page: str, path: str, old: str, new: str, row: str
) -> None:
    copy = copytree(template, tmp_path / "copy", ignore=ignore_patterns(".git"))
    assert row not in reference.PAGES[page](copy)
    replace(copy / path, {old: new})
    assert row in reference.PAGES[page](copy)


def test_the_command_prints_that_reference(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--template", str(ROOT / "docs"), "questions"]) == 0
    assert capsys.readouterr().out == markdown(ROOT)


def test_the_reference_changes_with_a_question(template: Path) -> None:
    """The freshness test above would be worth nothing if the page left something out."""
    page = markdown(template)
    for text in (
        "Renaming later is tedious",
        "`my_ml_project`, derived",
        "- `Proprietary`: all rights",
    ):
        assert text in page


def test_the_site_builds_strictly(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "tutorial.html").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_files_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


def test_every_page_is_reached_from_the_first() -> None:
    reached, ahead = set(), [ROOT / "docs/index.md"]
    while ahead:
        page = ahead.pop().resolve()
        if page not in reached:
            reached.add(page)
            linked = re.findall(r"\]\(([^)#:]+\.md)", page.read_text("utf-8"))
            ahead += [page.parent / target for target in linked]
    assert set(ROOT.glob("docs/**/*.md")) <= reached


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_pages_name_exist(page: Path) -> None:
    """In code spans, where they begin with a folder of the repository."""
    names = (
        "scripts|examples|frameworks|includes|questions|template|tests|src/groundwork|benchmarks"
    )
    folders = f"(?:{names})"
    for name in re.findall(rf"`({folders}/[\w./-]+)`", page.read_text("utf-8")):
        rendered = ROOT / "template" / name
        found = (
            any(ROOT.glob(name.replace("/NAME", "/*")))
            or rendered.exists()
            or rendered.with_name(f"{rendered.name}.jinja").exists()
            or any(rendered.parent.glob(f"{{% if *{rendered.name}*"))  # a file of an option
        )
        assert found, name


@pytest.mark.parametrize("name", pictures.MADE_OF)
def test_a_picture_shows_what_the_pages_say_today(name: str) -> None:
    """Cheap: the texts of the modules that write the page, not the picture."""
    recorded = json.loads((ROOT / "docs/pictures/made-of.json").read_text("utf-8"))
    assert recorded[name] == pictures.inputs(ROOT, name), "nox -s pictures"


def test_a_picture_is_old_when_a_text_changes_and_not_when_code_does(
    template: Path, tmp_path: Path
) -> None:
    copy = copytree(template, tmp_path / "copy", ignore=ignore_patterns(".git"))
    before, module = pictures.inputs(copy, "report"), copy / pictures.MADE_OF["report"][0]
    with module.open("a", encoding="utf-8") as code:
        code.write("\n\ndef more() -> int:\n    return 1\n")
    assert pictures.inputs(copy, "report") == before
    replace(module, {"how the work goes": "how it goes"})
    assert pictures.inputs(copy, "report") != before


PICTURES = sorted(ROOT.glob("docs/**/*.png")) + sorted(ROOT.glob("docs/**/*.svg"))


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.name)
def test_a_picture_is_small_and_some_page_shows_it(path: Path) -> None:
    assert path.stat().st_size < 300_000
    shown = (re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page.read_text("utf-8")) for page in PAGES)
    assert path.name in {Path(target).name for targets in shown for target in targets}


def test_the_picture_of_the_layers_has_every_layer() -> None:
    drawn = (ROOT / "docs/pictures/layers.svg").read_text("utf-8")
    layers = {path.parent.name for path in (ROOT / OPS).glob("*/__init__.py")}
    assert layers
    assert layers <= {*re.findall(r'class="b"[^>]*>(\w+)</text>', drawn)}


DECISIONS = [
    path for path in sorted((ROOT / "docs/decisions").glob("*.md")) if path.stem != "index"
]
STATUS = re.compile(
    r"\A# [^\n]+\n\n\*\*Status\.\*\* "
    r"(?:Accepted|Superseded by \[[^\]]+\]\((?P<by>[\w-]+\.md)\)) on (?P<date>[\d-]+)\.\n\n"
)


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_every_decision_begins_with_its_status_and_a_date(page: Path) -> None:
    status = STATUS.match(page.read_text("utf-8"))
    assert status, "write under the title, for example: **Status.** Accepted on 2026-11-25."
    assert date.fromisoformat(status["date"]) >= date(2026, 11, 23), "before there was a template"
    if status["by"]:  # what stands in its place stands itself
        successor = STATUS.match((page.parent / status["by"]).read_text("utf-8"))
        assert successor
        assert successor["date"] >= status["date"]


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.stem)
def test_every_decision_is_listed(page: Path) -> None:
    for index in (ROOT / "docs/decisions/index.md", ROOT / "mkdocs.yml"):
        assert re.search(rf"\b{page.name}\b", index.read_text("utf-8"))


@pytest.mark.parametrize(
    "text",
    [
        "# A\n\n**Decided.** So.\n",
        "# A\n\n**Status.** Accepted.\n\n",
        "# A\n\n**Status.** Rejected on 2026-11-25.\n\n",
        "# A\n\n**Status.** Superseded on 2026-11-25.\n\n",
    ],
)
def test_a_page_without_status_or_date_is_noticed(text: str) -> None:
    assert not STATUS.match(text)


def test_every_nox_session_is_described() -> None:
    listed = re.findall(
        r"^\| `(\w+)` \|", (ROOT / "docs/reference/commands.md").read_text("utf-8"), re.MULTILINE
    )
    sessions = re.findall(
        r"^@nox\.session.*\ndef (\w+)", (ROOT / "noxfile.py").read_text("utf-8"), re.MULTILINE
    )
    assert sorted(listed) == sorted(sessions)


def test_the_changelog_has_every_release() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    for tag in git(ROOT, "tag", "--list", "v*").split():
        assert f"## {tag.removeprefix('v')}" in changelog
    assert re.fullmatch(r"\d+\.\d+\.\d+", version)
