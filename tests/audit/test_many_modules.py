"""A repository of many modules is read by several processes, with the same result."""

import json
import shutil
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from datetime import date
from pathlib import Path

import pytest

from groundwork.audit.outputs import data
from groundwork.audit.readers import facts
from groundwork.audit.run import audit
from tests.audit.good import GOOD, write

TODAY = date(2026, 11, 26)
# A module of each thing that a check finds in a tree.
FOUND = {
    "src/demo/splits.py": "from sklearn.model_selection import train_test_split\n"
    "train_test_split(1)\n",
    "src/demo/forest.py": "from sklearn.ensemble import RandomForestClassifier\n"
    "RandomForestClassifier()\n",
    "src/demo/numbers.py": "import numpy as np\nnp.random.default_rng()\n",
    "src/demo/sets.py": "for one in set(names):\n    kept.append(one)\n",
    "src/demo/folders.py": "import os\nfor one in os.listdir('.'):\n    kept.append(one)\n",
    "src/demo/clock.py": "import time, random\nrandom.seed(time.time())\n",
    "src/demo/path.py": "PATH = '/home/alice/data.csv'\n",
    "src/demo/needs.py": "import os\nimport nowhere_declared\nos.environ['UNHEARD_OF']\n",
    "src/demo/opens.py": "open('absent.yaml')\n",
    "src/demo/hub.py": "from transformers import AutoModel\nAutoModel.from_pretrained('a/b')\n",
    "tests/test_empty.py": "def test_empty():\n    pass\n",
    "tests/test_skipped.py": "import pytest\n@pytest.mark.skip\ndef test_it():\n    assert x\n",
}


def big(folder: Path) -> Path:
    """Write a repository of so many modules that several processes read it."""
    plain = {f"src/demo/part_{number}.py": "X = 1\n" for number in range(facts.MANY)}
    return write(folder, GOOD, FOUND | plain)


@pytest.mark.parametrize(
    ("more", "failing"),
    [
        ({}, {"EX101", "EX102", "EX103", "EX106", "EX107", "EX108", "EX111", "TS105", "TS106"}),
        ({"src/demo/broken.py": "def broken(:\n"}, {"AU101", "RB106", "CF104", "CF105"}),
    ],
    ids=["whole", "with-a-broken-one"],
)
def test_several_processes_find_what_one_finds(
    tmp_path: Path, more: dict[str, str], failing: set[str]
) -> None:
    """The command uses as many as the machine has, and tests one."""
    folder = write(big(tmp_path / "demo"), more)
    one = data.content(audit(folder, today=TODAY))
    command = [sys.executable, "-c", PROCESSES, str(folder), TODAY.isoformat()]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    several = json.loads(printed)
    assert several["processes"] > 1
    assert several["report"] == json.loads(json.dumps(one))
    assert failing <= {check["id"] for check in one["checks"] if check["status"] == "failed"}


# Run apart: a process of tests has threads, and is not to be copied.
PROCESSES = """
import json, sys
from datetime import date
from pathlib import Path
from groundwork.audit.outputs import data
from groundwork.audit.readers import facts
from groundwork.audit.run import audit

started = []
class Counted(facts.ProcessPoolExecutor):
    def __init__(self, processes, *rest):
        started.append(processes)
        super().__init__(processes, *rest)
facts.ProcessPoolExecutor = Counted
report = audit(Path(sys.argv[1]), today=date.fromisoformat(sys.argv[2]), processes=2)
print(json.dumps({"report": data.content(report), "processes": sum(started)}))
"""


@pytest.mark.parametrize("error", [OSError(38, "no semaphores"), BrokenProcessPool("killed")])
def test_a_machine_without_processes_to_give_finds_the_same(
    tmp_path: Path, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sandbox may refuse them, and memory may end them."""
    folder = big(tmp_path / "demo")
    one = data.content(audit(folder, today=TODAY))

    def refuse(*_: object) -> None:
        raise error

    monkeypatch.setattr(facts, "ProcessPoolExecutor", refuse)
    assert data.content(audit(folder, today=TODAY, processes=8)) == one


def test_processes_import_nothing_from_the_repository(tmp_path: Path) -> None:
    """A new process of Python begins with the current folder on its path."""
    folder, mark = big(tmp_path / "demo"), tmp_path / "mark"
    names = ("multiprocessing", "pickle", "concurrent", "sitecustomize", "ast", "yaml")
    for name in names:
        (folder / f"{name}.py").write_text(f"open({str(mark)!r}, 'w').close()\n", "utf-8")
    command = [shutil.which("groundwork", path=str(Path(sys.executable).parent)), "audit", "."]
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ended.returncode == 1, ended.stderr
    assert not mark.exists()
