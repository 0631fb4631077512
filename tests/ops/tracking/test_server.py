"""The same project against a real MLflow server, by one setting."""

import json
import os
import subprocess
import sys
import time
import urllib.request

import pytest

from ..conftest import free_port
from ..project import bundle, dataset, errors, registry, runs, settings, train

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path):
    """A server on loopback with its own database and artifact store; yields process and address."""
    port = free_port()
    command = [
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *("--workers", "1", "--backend-store-uri", f"sqlite:///{tmp_path}/server.db"),
        *("--artifacts-destination", str(tmp_path / "store")),
    ]
    with (tmp_path / "server.log").open("w") as log:
        # Without its own job queue the server is up in a third of the time.
        env = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True, env=env)
    address = f"http://127.0.0.1:{port}"
    try:
        for _ in range(1200):
            assert process.poll() is None, (tmp_path / "server.log").read_text()
            try:
                with urllib.request.urlopen(f"{address}/health", timeout=1):
                    break
            except OSError:
                time.sleep(0.1)
        else:
            pytest.fail(f"no answer: {(tmp_path / 'server.log').read_text()}")
        yield process, address
    finally:
        stop(process)


def stop(process):
    """End the server and the workers it started."""
    if process.poll() is None:
        os.killpg(process.pid, 9)
        process.wait()


def test_a_server_takes_the_place_of_the_embedded_database(project_factory, server, tmp_path):
    process, address = server
    root = project_factory()
    config = settings.settings(root=root, var_dir="var", tracking_uri=address)
    dataset.prepare(config)
    trained = train.train(config)
    assert trained.version is not None, trained.checks
    version, before = registry.promote(config)
    assert (version.digest, before) == (trained.manifest.model_digest, None)
    assert not (root / "var" / "mlflow.db").exists()
    assert list((tmp_path / "store").rglob("provenance.json"))
    loaded = bundle.load_bundle(registry.fetch(config, version, tmp_path / "bundle"))
    assert json.loads((loaded.folder / "metrics.json").read_text()) == trained.manifest.metrics
    stop(process)
    with pytest.raises(errors.UserError, match="cannot be reached"):
        train.train(config)
    with pytest.raises(errors.UserError, match="cannot be reached"):
        runs.connect(config)
