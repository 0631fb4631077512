"""Every command in the documentation is run, in order, or has a reason why it cannot run here."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, commit_all, git
from tests.machine import Machine
from tests.pages import Block, blocks, script
from tests.projects import MINUTES

LISTED: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("commands.yml").read_text("utf-8"))
NEEDS = {
    "a catalog on a server",
    "a cluster",
    "a container engine and registry",
    "a GPU",
    "a package index",
    "a second host",
    "an account",
    "files that the reader writes",
    "hours",
    "the template's address",
}
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(ROOT.glob("docs/**/*.md"))]
HERE = [page for page, test in LISTED["run"].items() if test == Path(__file__).name]
# The address that the pages give the template; here it is the clone's.
SHARED = "https://git.example.com/platform/groundwork.git"
# Where a page begins. All others are about the tutorial's project.
FROM_THE_CLONE = {
    "docs/how-to/look-after-many-projects.md",
    "docs/how-to/adopt-a-repository.md",
    "docs/how-to/offer-it-in-a-catalog.md",
    "docs/tutorial-own-table.md",
}


def left_out(page: str) -> set[str]:
    """Return the first lines of the blocks of a page that are not run."""
    return {one["begins"] for one in LISTED["not_run"].get(page, [])}


def unlisted(page: str, text: str) -> list[Block]:
    """Return the blocks of a page that are neither run nor listed."""
    if page in LISTED["run"]:
        return []
    return [block for block in blocks(text) if block.begins not in left_out(page)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_is_run_or_has_a_reason(page: Path) -> None:
    name, text = str(page.relative_to(ROOT)), page.read_text("utf-8")
    assert not unlisted(name, text), "run it, or list it with a reason in commands.yml"
    begun = [block.begins for block in blocks(text)]
    assert left_out(name) <= {*begun}, "commands.yml lists a block that is not there"
    assert text.count("```sh") + text.count("```{.sh") == len(begun), "a block that is not read"


def test_a_page_that_is_listed_exists() -> None:
    known = {str(page.relative_to(ROOT)) for page in PAGES}
    assert {*LISTED["run"], *LISTED["not_run"]} <= known


def test_every_reason_is_one_that_counts() -> None:
    for listed in LISTED["not_run"].values():
        for one in listed:
            assert one["needs"] in NEEDS, one
            assert not one.get("instead") or (ROOT / one["instead"]).is_file(), one


def test_a_new_block_is_noticed() -> None:
    text = "# How\n\n1. Do\n\n    ```sh\n    new command\n    and more\n    ```\n"
    assert unlisted("docs/how-to/gpu.md", text) == [Block("new command\nand more", fails=False)]


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("```sh\ntrue\n```", True),
        ("```sh\nfalse\n```", False),
        ("```sh\nfalse\ntrue\n```", False),
        ("```{.sh .fails}\ntrue\nfalse\n```", True),
        ("```{.sh .fails}\ntrue\n```", False),
    ],
)
def test_a_command_that_goes_wrong_stops_the_page(tmp_path: Path, text: str, passes: bool) -> None:  # noqa: FBT001
    page = tmp_path / "page.md"
    page.write_text(f"{text}\n\n```sh\ntouch {tmp_path}/end\n```\n", "utf-8")
    done = subprocess.run(["bash", "-c", script(page)], check=False, capture_output=True)
    assert (done.returncode == 0) is passes
    assert (tmp_path / "end").exists() is passes


def prepare(page: str, machine: Machine) -> None:
    """Make what a page presupposes."""
    work = machine.home / "work"
    match page:
        case "docs/how-to/look-after-many-projects.md":
            run(machine, "scripts/test.sh --setup", machine.clone)
            git(machine.clone, "clone", "--quiet", str(machine.project), str(work / "sugar"))
            (machine.clone / "projects.txt").write_text(f"{work / 'sugar'}\n", "utf-8")
        case "docs/teams/sixty-days.md" | "docs/how-to/adopt-a-repository.md":
            churn = work / "churn"
            if churn.exists():  # the pages do the same
                git(churn, "branch", "--quiet", "-D", "groundwork-adopt")
                return
            churn.mkdir()
            (churn / "requirements.txt").write_text("scikit-learn\nhttpx\n", "utf-8")
            (churn / "train.py").write_text("import sklearn\n", "utf-8")
            git(churn, "init", "--quiet", "--initial-branch", "main")
            commit_all(churn, "As it was")
        case "docs/how-to/offer-it-in-a-catalog.md":
            git(machine.clone, "tag", "v1.2.0")
        case "docs/how-to/update-a-project.md":
            with (machine.clone / "template/docs/runbook.md.jinja").open("a") as page_of_it:
                page_of_it.write("\nA newer version.\n")
            commit_all(machine.clone, "A newer version")
            git(machine.clone, "tag", "v1000.0.0")


def run(machine: Machine, commands: str, folder: Path) -> str:
    """Run commands as somebody whom git knows; return what they printed."""
    git_settings = {
        "user.name": "Ada",
        "user.email": "ada@example.com",
        f"url.{machine.clone}.insteadOf": SHARED,
    }
    given = {"GIT_CONFIG_COUNT": str(len(git_settings)), "CLONE": str(machine.clone)}
    for place, (name, value) in enumerate(git_settings.items()):
        given |= {f"GIT_CONFIG_KEY_{place}": name, f"GIT_CONFIG_VALUE_{place}": value}
    done = subprocess.run(
        ["bash", "-c", commands],
        cwd=folder,
        env=machine.environment | given,
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=40 * MINUTES,
    )
    assert done.returncode == 0, done.stdout[-8000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.rare
@pytest.mark.xdist_group("project")
def test_the_pages_lead_where_they_say(machine: Machine) -> None:
    """One after the other, in the tutorial's project, as a reader does them."""
    for page in HERE:
        prepare(page, machine)
        folder = machine.clone if page in FROM_THE_CLONE else machine.project
        try:
            run(machine, script(ROOT / page, left_out(page)), folder)
        except AssertionError as error:
            raise AssertionError(f"{page}: {error}") from None
