"""Whole projects, built for real, on a machine that has git and Python and nothing else."""

import json
import os
import re
import signal
import subprocess
from time import sleep

import pytest

from tests.conftest import git
from tests.machine import Machine
from tests.projects import MINUTES

from .test_questions import possible, words

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("project")]


def test_the_tutorial_leads_where_it_says(machine: Machine) -> None:
    for line in (
        r"  registered: version 1, challenger",
        r"  digest: [0-9a-f]{64}",
        r"  reproduced: exact",
        r"Done in \d+\.\d s",
        r"registered: version 2, challenger",
        r"reproduced: exact",
        r"error: .*minimum: roc_auc .*at least 0.95",
        r"champion: version 2",
        r"\{'predictions': .*",
    ):
        assert re.search(f"^{line}$", machine.told, re.MULTILINE), machine.told


def test_each_step_is_timed(machine: Machine) -> None:
    for step in (
        "fetch uv",
        "prepare the template",
        "render",
        "commit",
        "scripts/setup.sh",
        "scripts/test.sh",
        "prepare",
        "train",
        "reproduce",
    ):
        assert re.search(rf"^  {step} +\d+\.\d s$", machine.told, re.MULTILINE), step


def test_the_first_commit_leaves_no_name_behind(machine: Machine) -> None:
    """Git knew nobody, so the template signed it, without writing that into any configuration."""
    first = git(machine.project, "log", "--max-parents=0", "--format=%an <%ae>").strip()
    assert first == "Groundwork <groundwork@localhost>"
    assert "user" not in (machine.project / ".git/config").read_text("utf-8")
    assert not (machine.home / ".gitconfig").exists()


def test_the_clone_stays_clean(machine: Machine) -> None:
    assert git(machine.clone, "status", "--porcelain") == ""


def test_nothing_is_written_outside_the_caches(machine: Machine) -> None:
    """Tools may keep settings of their own, Jupyter in .ipython; projects and scripts do not."""
    own = {".cache", ".config", ".local", ".ipython"}
    assert {path.name for path in machine.home.iterdir()} <= own


def test_every_name_that_the_environment_takes_is_reserved(machine: Machine) -> None:
    """Dependencies often call their packages and commands otherwise than they are called."""
    script = (
        "import json, importlib.metadata as m; own = m.distribution('blood-sugar').name\n"
        "names = {e.name for d in m.distributions() if d.name != own for e in d.entry_points"
        " if e.group == 'console_scripts'}\n"
        "names |= {n for n, d in m.packages_distributions().items() if d != [own]}\n"
        "print(json.dumps(sorted(names)))"
    )
    done = subprocess.run(
        [machine.project / ".venv/bin/python", "-c", script],
        check=True,
        capture_output=True,
        text=True,
    )
    taken = possible(name.replace("-", "_") for name in json.loads(done.stdout))
    assert taken - words("reserved") - words("dependencies") == set()


def start(machine: Machine, environment: dict[str, str]) -> subprocess.Popen[str]:
    """Start new.sh with a relative DEST, from a folder that is neither here nor there."""
    # In the background of a script, interrupts are ignored, which whatever is started inherits.
    heeding = ("env", "--default-signal=INT")
    return subprocess.Popen(
        [*heeding, "../groundwork/scripts/new.sh", "again/"],
        cwd=machine.home.parent / "elsewhere",
        env=environment,
        text=True,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def test_interrupted_at_every_other_step_and_offline_it_finishes(machine: Machine) -> None:
    """With the caches that the tutorial left, no network, and another folder to start from."""
    (machine.home.parent / "elsewhere").mkdir()
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    environment = {
        **machine.environment,
        **nowhere,
        **{name.lower(): value for name, value in nowhere.items()},
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "PIP_NO_INDEX": "1",
    }
    steps = [
        "Making",
        "prepare the template",
        "start the repository",
        "render",
        "commit",
        "scripts/setup.sh",
        "scripts/test.sh",
        "prepare",
        "train",
    ]
    for index in range(1, len(steps), 2):
        with start(machine, environment) as running:
            assert running.stdout
            told = ""
            for line in running.stdout:
                told += line
                # A step that an interrupted run had finished after all is not done again, nor told.
                if line.strip().startswith(tuple(steps[index:])):
                    break
            sleep(0.3)
            os.killpg(running.pid, signal.SIGINT if index % 4 == 1 else signal.SIGKILL)
            told += running.stdout.read()
        assert running.returncode != 0, told
    with start(machine, environment) as finished:
        told = finished.communicate(timeout=10 * MINUTES)[0]
    assert finished.returncode == 0, told
    assert "reproduced: exact" in told
    project = machine.home.parent / "elsewhere/again"
    assert git(project, "status", "--porcelain") == ""
    assert git(project, "rev-list", "--count", "HEAD").strip() == "1"
    assert not (project / ".git/groundwork-new").exists()
    assert (project / "src/again/model.py").is_file(), "named after its folder"
