"""What the tests share: the template as it stands, frozen in a repository, and renders of it."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from shutil import copy2, copytree, ignore_patterns

import copier
import pytest
from pytest_copie.plugin import Copie

from groundwork.fleet import compiled
from groundwork.update.git import OF_HOOKS

pytest_plugins = ["tests.containers", "tests.hosts", "tests.machine", "tests.versions"]

ROOT = Path(__file__).parents[1]

# The developer's own settings and git configuration must not leak in.
os.environ |= {
    "COPIER_SETTINGS_PATH": str(Path(__file__).with_name("copier-settings.yml")),
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
    "GIT_AUTHOR_NAME": "Tester",
    "GIT_AUTHOR_EMAIL": "tester@example.com",
    "GIT_COMMITTER_NAME": "Tester",
    "GIT_COMMITTER_EMAIL": "tester@example.com",
}
for name in (*OF_HOOKS, "VIRTUAL_ENV", "PYTHONPATH"):
    os.environ.pop(name, None)
# With it every process of a built project compiles all of its packages again: twice the time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
# What a shell starts in the background ignores it and hands that on: no test could interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Hundreds of renders are made in this process: each text of the template is compiled once.
compiled.keep()

# What is laid over a render and runs there: the standard's own tests, and projects on other data.
collect_ignore = ["ops"]
collect_ignore_glob = ["data_shapes/*/*"]

Render = Callable[..., Path]
# The one Python that is sure to be there.
PRESENT_PYTHON = f"3.{sys.version_info.minor}"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail what is skipped in CI: there, all that can be tested is to be tested."""
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI must not do: {report.longrepr}"
    return report


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest first, then what is slow: none of minutes is to start when others end.

    Those of containers wait for their engine half of the time, beside those of options, which
    compute.
    """
    long = {"test_compose.py", "test_images.py", "test_options.py"}
    items.sort(
        key=lambda item: (item.path.name not in long, item.get_closest_marker("slow") is None)
    )


def pytest_xdist_auto_num_workers() -> int:
    """Return one worker more than there are cores: the tests of engines mostly wait for them."""
    return (os.cpu_count() or 1) + 1


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what tests have to tell: `record_property("told", …)`."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            if name == "told":
                terminalreporter.write_line(str(value))


def git(folder: Path, *arguments: str) -> str:
    """Run git in `folder` and return what it printed."""
    done = subprocess.run(
        ["git", "-C", folder, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout


def commit_all(folder: Path, message: str) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "--message", message)


def freeze(into: Path) -> Path:
    """Copy every file of the checkout that git does not ignore, and commit them as v999.0.0."""
    for name in git(ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split(
        "\0"
    ):
        if name and (ROOT / name).is_file():  # a file deleted but not yet committed is still listed
            (into / name).parent.mkdir(parents=True, exist_ok=True)
            copy2(ROOT / name, into / name)
    git(into, "init", "--quiet", "--initial-branch", "main")
    commit_all(into, "The template as it stands")
    git(into, "tag", "v999.0.0")
    return into


def rendered(
    copie: Copie, template: Path, into: Path, version: str = "HEAD", **answers: object
) -> Path:
    """Render into a folder by pytest-copie, which is where tests make projects."""
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # each file that it makes
        result = copie.copy(answers, template, version)
    assert result.exception is None, result.exception
    assert result.project_dir
    # An answer to what is not asked would be dropped without a word.
    assert {name: result.answers.get(name) for name in answers} == answers
    return result.project_dir.rename(into)


def copy_template(template: Path, into: Path, **answers: object) -> Path:
    """Render by Copier itself, without trust: `copier copy --defaults --data …`.

    For what pytest-copie, which trusts each template and gives answers as defaults, cannot show,
    and where hundreds of renders are made of a folder outside of git.
    """
    copier.run_copy(
        str(template), into, data=answers, defaults=True, quiet=True, vcs_ref="HEAD", unsafe=False
    )
    return into


def files(folder: Path) -> list[Path]:
    """Return every file below `folder`, git's own left out, sorted."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] != ".git"
    )


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as it stands, committed in a repository of its own."""
    return freeze(tmp_path_factory.mktemp("template"))


@pytest.fixture(scope="session")
def source(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template outside of git, which Copier reads in place: half the time of a clone."""
    folder = tmp_path_factory.mktemp("source") / "template"
    return copytree(template, folder, ignore=ignore_patterns(".git"))


@pytest.fixture(scope="session")
def project(copie_session: Copie, template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project rendered with the defaults. Tests read it and leave it as it is."""
    return rendered(copie_session, template, tmp_path_factory.mktemp("project") / "rendered")


@pytest.fixture
def render(copie: Copie, template: Path, tmp_path: Path) -> Render:
    """Render the template, or another one, into a folder of the test's own."""

    def run(name: str = "rendered", *, of: Path = template, **answers: object) -> Path:
        return rendered(copie, of, tmp_path / name, "HEAD", **answers)

    return run
