"""MLflow's page shows this project's runs as those of machine learning, from the right store."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from ..conftest import free_port
from ..project import package, runs

pytestmark = pytest.mark.xdist_group("workplace")


def command(*arguments):
    return [sys.executable, "-m", package.__name__, "ui", *arguments]


@pytest.fixture
def page(workplace, tmp_path):
    """The page, started from another folder; yields the link that it printed."""
    process = subprocess.Popen(
        command("--port", str(free_port())),
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,  # the server that answers is a process of the page's own
    )
    try:
        yield process.stdout.readline().strip()
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def asked(link, path):
    """Return what the page's own interface answers, once it is up."""
    for _ in range(600):
        try:
            with urllib.request.urlopen(f"{link.split('/#')[0]}{path}", timeout=5) as answer:
                return json.load(answer)
        except OSError:
            time.sleep(0.1)
    pytest.fail("MLflow's page did not come up")


@pytest.mark.slow
def test_the_page_is_of_this_project_s_store(workplace, page, tmp_path):
    number = re.search(r"/#/experiments/(\d+)\?workflowType=machine_learning$", page)[1]
    api = "/ajax-api/2.0/mlflow"
    experiment = asked(page, f"{api}/experiments/get?experiment_id={number}")["experiment"]
    assert experiment["name"] == workplace.config.experiment
    assert dict([runs.KIND]) == {tag["key"]: tag["value"] for tag in experiment["tags"]}
    files = asked(page, f"{api}/artifacts/list?run_id={workplace.trained.run_id}")["files"]
    assert {"model", "plots", "model_card.md"} <= {file["path"] for file in files}
    assert not list(tmp_path.iterdir())
    assert not {"mlflow.db", "mlruns"} & {path.name for path in workplace.root.iterdir()}


def test_a_port_in_use_is_reported_in_one_line(workplace):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            command("--port", str(port)), capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: 127.0.0.1:{port} cannot be used")
    assert len(done.stderr.splitlines()) == 1
