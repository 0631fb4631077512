"""Compare `groundwork fleet --update` over many projects with a loop of `copier update`.

Usage: fleet.py [PROJECTS]

A hundred projects by default, every one with edits of its own and five of them broken. The same
copies are updated both ways, one way after the other.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = ROOT / ".venv/bin"
IDENTITY = ("-c", "user.name=bench", "-c", "user.email=bench@example.com")
AIM = 5


def run(*command: object, cwd: Path = ROOT, fine: tuple[int, ...] = (0,)) -> str:
    """Run a command quietly and return what it printed; what it said is shown if it fails."""
    done = subprocess.run(
        [str(part) for part in command], cwd=cwd, check=False, capture_output=True, text=True
    )
    if done.returncode not in fine:
        sys.exit(f"error: {' '.join(map(str, command))} failed: {done.stdout}{done.stderr}")
    return done.stdout


def commit(folder: Path, message: str) -> None:
    """Commit all of a folder."""
    run("git", "add", "--all", cwd=folder)
    run("git", *IDENTITY, "commit", "--quiet", "--message", message, cwd=folder)


def prepare(place: Path, number: int) -> list[Path]:
    """Make a template with two versions and projects of the first; the last five are broken."""
    template, first = place / "template", place / "first"
    run("git", "clone", "--quiet", "--no-local", ROOT, template)
    run("git", "tag", "v1.0.0", cwd=template)
    for name in ("tox.ini", "scripts/lib.sh", "docs/runbook.md.jinja"):
        with (template / "template" / name).open("a", encoding="utf-8") as file:
            file.write("\n# Moved on.\n")
    commit(template, "Move on")
    run("git", "tag", "v1.1.0", cwd=template)
    options = ("--defaults", "--quiet", "--vcs-ref", "v1.0.0")
    run(BIN / "copier", "copy", *options, template, first)
    run("git", "init", "--quiet", "--initial-branch", "main", cwd=first)
    commit(first, "Start")
    projects = []
    for index in range(number):
        project = place / f"project-{index:03}"
        shutil.copytree(first, project)
        (project / "docs/own.md").write_text(f"Project {index}.\n", "utf-8")
        answers = project / ".copier-answers.yml"
        text = answers.read_text("utf-8")
        if index >= number - 5:
            text = text.replace("v1.0.0", "v0.0.1")
        answers.write_text(text, "utf-8")
        commit(project, "Make it mine")
        projects.append(project)
    return projects


def main(number: int) -> None:
    """Measure both, in the same minutes on the same machine, and print the ratio."""
    os.environ["COPIER_SETTINGS_PATH"] = str(ROOT / "tests/copier-settings.yml")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        projects = prepare(place, number)
        start = time.perf_counter()
        out = run(BIN / "groundwork", "fleet", "--update", *projects, fine=(1,))
        fleet = time.perf_counter() - start
        updated, failed = out.count("updated: branch"), out.count("failed: ")
        if (updated, failed) != (number - 5, 5):
            sys.exit(f"error: {updated} updated and {failed} failed:\n{out}")
        start = time.perf_counter()
        for project in projects:
            run(BIN / "copier", "update", "--defaults", "--quiet", cwd=project, fine=(0, 1))
        loop = time.perf_counter() - start
    verdict = "as aimed" if loop / fleet >= AIM else f"under the aim of {AIM}"
    print(
        f"{number} projects, 5 of them broken, on {os.cpu_count()} processors:\n"
        f"  groundwork fleet --update    {fleet:6.1f} s, {updated} branches, {failed} told\n"
        f"  a loop of copier update      {loop:6.1f} s\n"
        f"  {loop / fleet:.1f} times as fast, {verdict}"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else 100)
