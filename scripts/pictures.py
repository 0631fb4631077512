"""Take the pictures of docs/pictures from a real project, in a headless Chromium.

    scripts/pictures.py [PROJECT]

PROJECT is one that did docs/tutorial.md, such as ../sugar; without it, the script does the tutorial
in a temporary folder first, which takes minutes. Then it deploys what is not there, goes back, and
compares shifted rows, so that the pages have something to show.
"""

import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.pages import script  # noqa: E402 - the tutorial's commands, as the tests run them
from tests.pictures import MADE_OF, inputs  # noqa: E402

PICTURES = ROOT / "docs/pictures"
# By this name MLflow's page is not local, and leaves out its assistant, which covers a third of it.
NAME = "mlflow.example"
SHIFTED = """
import pandas as pd
rows = pd.read_csv("data/holdout.csv").drop(columns="high_progression")
rows.assign(bmi=(rows["bmi"] * 1.2).round(1)).to_csv("var/scales.csv", index=False)
"""
WORK = """
.venv/bin/blood-sugar promote 2
scripts/deploy.sh local
! scripts/deploy.sh local --version 99
scripts/deploy.sh local --version 1
scripts/deploy.sh local rollback
scripts/deploy.sh local stop
! .venv/bin/blood-sugar drift var/scales.csv
.venv/bin/blood-sugar report
"""


def main() -> None:
    """Take every picture, and record what they were made of."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        sys.exit("error: there is no chromium here; install it, for example by apt-get")
    with tempfile.TemporaryDirectory() as folder:
        project = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else Path(folder) / "sugar"
        os.environ["ML_PORT"] = str(free_port())
        if not project.exists() and len(sys.argv) > 1:
            sys.exit(f"error: there is no project at {project}")
        if not project.exists():
            clone = Path(folder) / "groundwork"
            run(["git", "clone", "--quiet", str(ROOT), str(clone)], ROOT)
            run(["bash", "-c", script(ROOT / "docs/tutorial.md")], clone)
        run([".venv/bin/python", "-c", SHIFTED], project)
        run(["bash", "-c", WORK], project)
        reports = project / "var/reports"
        take(browser, (reports / "report.html").as_uri(), "report", 1000, 860)
        take(browser, (reports / "drift-scales.html").as_uri(), "drift", 1000, 800)
        with mlflow(project) as address:
            take(browser, address, "run", 1112, 640)
    record = {name: inputs(ROOT, name) for name in MADE_OF}
    (PICTURES / "made-of.json").write_text(json.dumps(record, indent=2) + "\n", "utf-8")


def run(command: list[str], folder: Path) -> None:
    """Run a command that must succeed."""
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


def take(browser: str, address: str, name: str, width: int, height: int) -> None:
    """Take a picture of a page, once it has loaded what it asks for."""
    path = PICTURES / f"{name}.png"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
    wait = ["--virtual-time-budget=20000", f"--window-size={width},{height}"]
    flags.append(f"--host-resolver-rules=MAP {NAME} 127.0.0.1")
    command = [browser, *flags, *wait, f"--screenshot={path}", address]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:12]
    print(f"{path.relative_to(ROOT)}: {path.stat().st_size // 1000} kB, {digest}")


@contextmanager
def mlflow(project: Path) -> Iterator[str]:
    """Serve MLflow's page of a project; yield the address of its champion's run."""
    port = free_port()
    command = [".venv/bin/blood-sugar", "ui", "--port", str(port)]
    given = os.environ | {"MLFLOW_SERVER_ALLOWED_HOSTS": "*"}
    with subprocess.Popen(
        command, cwd=project, env=given, stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            first = server.stdout.readline() if server.stdout else ""
            found = re.search(r"(http\S+#/experiments/\d+)", first)
            assert found, first  # noqa: S101
            wait_for(f"http://127.0.0.1:{port}/health")
            place = found[1].replace("127.0.0.1", NAME)
            shown = "artifacts/plots/calibration.png?workflowType=machine_learning"
            yield f"{place}/runs/{champion(project)}/{shown}"
        finally:
            server.terminate()


def champion(project: Path) -> str:
    """Return the id of the champion's run."""
    said = subprocess.run(
        [".venv/bin/blood-sugar", "promote", "champion"],
        cwd=project,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    (run_id,) = re.findall(r"run (\w+).*champion", said)
    status = subprocess.run(
        [".venv/bin/python", "-c", RUN_ID, run_id],
        cwd=project,
        check=True,
        capture_output=True,
        text=True,
    )
    return status.stdout.strip().splitlines()[-1]


# The page wants the whole id, of which the commands show the first twelve digits.
RUN_ID = """
import sqlite3, sys
found = sqlite3.connect("var/mlflow.db").execute(
    "select run_uuid from runs where run_uuid like ?", (sys.argv[1] + "%",))
print(found.fetchone()[0])
"""


def wait_for(address: str) -> None:
    """Wait up to a minute until a server answers."""
    for _ in range(120):
        try:
            with urllib.request.urlopen(address, timeout=5):  # noqa: S310
                return
        except OSError:
            time.sleep(0.5)
    sys.exit(f"error: {address} does not answer")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


if __name__ == "__main__":
    main()
