"""What keeps the template, beyond `scripts/test.sh`. `nox --list` shows it; the slow ones are off.

The sessions use .venv as `scripts/test.sh --setup` makes it, so that nothing is installed twice and
the tools have the versions of the lock.
"""

import os
from pathlib import Path

import nox

ROOT = Path(__file__).parent
BIN = ROOT / ".venv" / "bin"

# With it every process of a session compiles its modules again: twice the time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
nox.needs_version = ">=2025.2.9"
nox.options.default_venv_backend = "none"
nox.options.sessions = ["lint", "tests"]


@nox.session
def tests(session: nox.Session) -> None:
    """Run the template's tests; arguments go to pytest."""
    session.run("scripts/test.sh", "--", *session.posargs, external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, types, shell scripts and YAML, of the template and of a render."""
    session.run(
        "scripts/test.sh", "--", "tests/template/test_lint.py", *session.posargs, external=True
    )


@nox.session
def docs(session: nox.Session) -> None:
    """Write the generated pages of docs/reference and build all pages into site/."""
    session.run("scripts/test.sh", "--setup", external=True)
    session.run(BIN / "groundwork", "reference", external=True)
    with (ROOT / "docs/reference/checks.md").open("w", encoding="utf-8") as page:
        session.run(BIN / "groundwork", "checks", stdout=page, external=True)
    session.run(BIN / "mkdocs", "build", "--strict", *session.posargs, external=True)


@nox.session
def pictures(session: nox.Session) -> None:
    """Take the pictures of docs/pictures anew, from a real project. Needs Chromium."""
    session.run("scripts/test.sh", "--setup", external=True)
    session.run(BIN / "python", "scripts/pictures.py", *session.posargs, external=True)


@nox.session
def lock(session: nox.Session) -> None:
    """Move every lock, or those named, to the newest versions; what moved is in var/moved.txt."""
    session.run("scripts/test.sh", "--setup", external=True)
    told = ROOT / "var/moved.txt"
    told.parent.mkdir(exist_ok=True)
    command = (BIN / "groundwork", "lock", "--upgrade", *session.posargs)
    with told.open("w", encoding="utf-8") as moved:
        session.run(*command, stdout=moved, external=True)
    session.run("scripts/environment.sh", external=True)  # the page that tells what is locked
    session.run("cat", told, external=True)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure rendering, set-up and the way to a reproduced model, as ratios. Takes minutes."""
    session.run("scripts/test.sh", "--setup", external=True)
    session.run(BIN / "python", "benchmarks/bench.py", *session.posargs, external=True)


@nox.session
def bench_images(session: nox.Session) -> None:
    """Measure builds of the images, and their sizes. Needs Docker."""
    session.run("scripts/test.sh", "--setup", external=True)
    session.run(BIN / "python", "benchmarks/images.py", *session.posargs, external=True)


@nox.session
def bench_serving(session: nox.Session) -> None:
    """Compare the service with `mlflow models serve`, in turn. Needs wrk."""
    session.run("scripts/test.sh", "--setup", external=True)
    session.run(BIN / "python", "benchmarks/serving.py", *session.posargs, external=True)


@nox.session
def bench_pressure(session: nox.Session) -> None:
    """Measure how long good clients of the service wait beside bad ones."""
    session.run("scripts/test.sh", "--setup", external=True)
    session.run(BIN / "python", "benchmarks/pressure.py", *session.posargs, external=True)


@nox.session
def bench_audit(session: nox.Session) -> None:
    """Time `groundwork audit` over 2,000 files, as a ratio to parsing them."""
    session.run("scripts/test.sh", "--setup", external=True)
    session.run(BIN / "python", "benchmarks/audit.py", *session.posargs, external=True)


@nox.session
def bench_fleet(session: nox.Session) -> None:
    """Compare `groundwork fleet --update` with a loop of `copier update`, over 100 projects."""
    session.run("scripts/test.sh", "--setup", external=True)
    session.run(BIN / "python", "benchmarks/fleet.py", *session.posargs, external=True)
