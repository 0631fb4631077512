"""What killed commands leave: no rows where others look, no process, and nothing after the next."""

import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time

import pytest

from ..conftest import ROOT
from ..project import dataset, package, prediction_log, runs, settings, workspace

KILLED = f"""
import os, signal, sys
from pathlib import Path
from {package.__name__}.ops.provenance import workspace
with workspace.scratch(Path(sys.argv[1])) as folder:
    (folder / "train.csv").write_text("rows")
    os.kill(os.getpid(), signal.SIGKILL)
"""
CALLER = f"""
import sys
from pathlib import Path
from {package.__name__}.ops.provenance import workspace
workspace.run_task(Path(sys.executable), Path(sys.argv[1]), "prepare", sys.argv[1] + "/rows")
"""


@pytest.fixture
def open_umask():
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_data_and_state_are_private_whatever_the_umask(open_umask, tmp_path):
    config = settings.settings(root=ROOT, data_dir=tmp_path / "data", var_dir=tmp_path / "var")
    dataset.prepare(config)
    runs.connect(config)
    prediction_log.Log(tmp_path / "other", "1", "d").problem("none")
    assert {mode(tmp_path / name) for name in ("data", "var", "other")} == {0o700}
    assert {mode(path) for path in (tmp_path / "data").glob("*.csv")} == {0o600}
    with workspace.scratch(config.var_dir) as folder:
        assert mode(folder) == 0o700


def test_what_an_owner_shares_stays_shared(open_umask, tmp_path):
    config = settings.settings(root=ROOT, data_dir=tmp_path / "data", var_dir=tmp_path / "var")
    config.var_dir.mkdir(0o750)
    dataset.prepare(config)
    (tmp_path / "data" / "train.csv").chmod(0o640)
    dataset.prepare(config)
    runs.connect(config)
    assert mode(config.var_dir) == 0o750
    assert mode(tmp_path / "data" / "train.csv") == 0o640


def test_what_a_killed_process_left_goes_with_the_next_but_not_what_is_in_use(tmp_path):
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = tmp_path.rglob("train.csv")
    with workspace.scratch(tmp_path) as used:
        assert not left.parent.exists()
        with workspace.scratch(tmp_path) as other:
            assert used.exists()
            assert other != used
    assert [path.name for path in (tmp_path / "scratch").iterdir()] == ["making"]


def test_a_task_ends_with_the_process_that_started_it(tmp_path):
    shutil.copytree(ROOT / "src" / package.__name__, tmp_path / "src" / package.__name__)
    for name in ("params.yaml", "pyproject.toml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    data = tmp_path / "src" / package.__name__ / "data.py"
    text = f"import os, time\nopen({str(tmp_path / 'pid')!r}, 'w').write(f'{{os.getpid()}}\\n')\n"
    data.write_text(f"{text}SOURCE = ''\ndef load(): time.sleep(300)\n")
    caller = subprocess.Popen([sys.executable, "-c", CALLER, str(tmp_path)])
    until = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not re.match(r"\d+\n", (tmp_path / "pid").read_text()):
        assert time.monotonic() < until
        assert caller.poll() is None
        time.sleep(0.05)
    task = int((tmp_path / "pid").read_text())
    caller.kill()
    caller.wait()
    while time.monotonic() < until:
        try:
            os.kill(task, 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    os.kill(task, signal.SIGKILL)
    pytest.fail("the task lives on")
