"""Compare the service with `mlflow models serve` on the same registered model, in turn.

Usage: serving.py [--framework NAME] [--seconds N] [--clients N…]

One row a request, clients that ask again at once, one process a server. Ours checks the row against
the schema, computes the features and keeps the prediction; MLflow's is given the features. Needs
wrk, which makes the load.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from signal import SIGTERM
from socket import create_server

from bench import committed, copy, run, snapshot

# Times MLflow's throughput, by the number of clients.
AIMS = {1: 1}
AIM = 3
START_SECONDS = 120
ROUNDS = 3
# Writes the same row as either server takes it.
ROWS = """
import json, sys
from pathlib import Path
from my_ml_project.ops.core import settings
from my_ml_project.ops.data import dataset
from my_ml_project import features, schema
rows = dataset.read(settings.settings()).holdout.head(1)
inputs = rows.drop(columns=[schema.IDENTIFIER, schema.TARGET]).to_json(orient="records")
built = features.features.build(rows).to_json(orient="records")
folder = Path(sys.argv[1])
(folder / "ours.json").write_text(json.dumps({"rows": json.loads(inputs)}))
(folder / "mlflow.json").write_text(json.dumps({"dataframe_records": json.loads(built)}))
"""
LOAD = """
wrk.method, wrk.headers["Content-Type"] = "POST", "application/json"
local file = io.open("%s")
wrk.body = file:read("*a")
function done(summary, latency)
    local e = summary.errors
    print(string.format('{"rate": %%f, "p50": %%f, "p99": %%f, "errors": %%d}',
        summary.requests / summary.duration * 1e6, latency:percentile(50) / 1e3,
        latency:percentile(99) / 1e3, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass
class Server:
    """How to start a server, and where it is ready and predicts."""

    name: str
    command: list[object]
    ready: str
    predict: str
    body: Path

    @contextmanager
    def started(self, project: Path, log: Path) -> Iterator[tuple[str, float]]:
        """Yield its address and the seconds that it took to be ready; end it."""
        with create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        address = f"http://127.0.0.1:{port}"
        begun = time.perf_counter()
        with log.open("w", encoding="utf-8") as said:
            service = subprocess.Popen(
                [str(part) for part in (*self.command, "--port", port)],
                cwd=project,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        try:
            while not answers(address + self.ready):
                if service.poll() is not None or time.perf_counter() - begun > START_SECONDS:
                    sys.exit(f"error: {self.name} does not start: {log.read_text('utf-8')}")
                time.sleep(0.01)
            yield address, time.perf_counter() - begun
        finally:
            with suppress(ProcessLookupError):
                os.killpg(service.pid, SIGTERM)
            service.wait()

    def load(self, address: str, scratch: Path, clients: int, seconds: int) -> dict[str, float]:
        """Ask without a pause; return requests a second, and percentiles in milliseconds."""
        script = scratch / "load.lua"
        script.write_text(LOAD % self.body, "utf-8")
        options = ("--threads", 1, "--connections", clients, "--duration", seconds, "--latency")
        command = ["wrk", *options, "--script", script, address + self.predict]
        done = subprocess.run([str(part) for part in command], check=True, capture_output=True)
        told: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        if told["errors"]:
            sys.exit(f"error: {self.name} failed {told['errors']:.0f} requests")
        return told


def answers(address: str) -> bool:
    """Tell whether a server answers there with 200."""
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:  # noqa: S310
            return bool(answer.status == HTTPStatus.OK)
    except OSError:
        return False


def servers(scratch: Path, framework: str) -> tuple[Path, Server, Server]:
    """Make a project with a champion; return it, its service and MLflow's, as one lock has them."""
    template = snapshot(scratch / "template")
    project = scratch / "project"
    copy(template, project, framework=framework)
    committed(project)
    run("scripts/setup.sh", cwd=project)
    cli = project / ".venv/bin/my-ml-project"
    for name in ("prepare", "train", "promote"):
        run(cli, name, cwd=project)
    run(project / ".venv/bin/python", "-c", ROWS, scratch, cwd=project)
    whole = scratch / "mlflow"
    locked = [project / f"requirements/{name}.txt" for name in ("main", "train", "tracking")]
    run("uv", "venv", "--quiet", "--python", sys.executable, whole)
    run("uv", "pip", "sync", "--quiet", "--python", whole / "bin/python", *locked)
    os.environ["PATH"] = f"{whole / 'bin'}:{os.environ['PATH']}"  # where MLflow looks for uvicorn
    os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{project}/var/mlflow.db"
    model = ("--model-uri", "models:/my-ml-project@champion", "--env-manager", "local")
    mlflow = [whole / "bin/mlflow", "models", "serve", *model, "--workers", 1]
    ours = Server("serve", [cli, "serve"], "/readyz", "/predict", scratch / "ours.json")
    other = Server("mlflow models serve", mlflow, "/ping", "/invocations", scratch / "mlflow.json")
    return project, ours, other


def main() -> None:
    """Run the comparison."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--framework", default="scikit-learn", help="whose example is served")
    parser.add_argument("--seconds", type=int, default=10, help="of load each time")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 8, 32], help="at once")
    given = parser.parse_args()
    if not shutil.which("wrk"):
        sys.exit("error: wrk is not installed; it makes the load, and Debian has it")
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        project, *both = servers(scratch, given.framework)
        starts: dict[str, list[float]] = defaultdict(list)
        told: dict[tuple[str, int], list[dict[str, float]]] = defaultdict(list)
        for _ in range(ROUNDS):
            for server in both:
                with server.started(project, scratch / "log") as (address, start):
                    starts[server.name].append(start)
                    server.load(address, scratch, 8, 2)  # to warm up
                    for clients in given.clients:
                        load = server.load(address, scratch, clients, given.seconds)
                        told[server.name, clients].append(load)
    for clients in given.clients:
        typical = []
        for server in both:
            rounds = told[server.name, clients]
            typical.append(
                {key: statistics.median(one[key] for one in rounds) for key in rounds[0]}
            )
            figures = "{rate:.0f} requests/s, p50 {p50:.1f} ms, p99 {p99:.1f} ms"
            print(f"{clients} clients, {server.name}: {figures.format(**typical[-1])}")
        ours, other = typical
        ratio = ours["rate"] / other["rate"]
        aim = AIMS.get(clients, AIM)
        verdict = "as aimed" if ratio >= aim else f"below the aim of {aim}"
        print(f"{clients} clients: {ratio:.1f} times MLflow's throughput, {verdict}")
    ready = [statistics.median(starts[server.name]) for server in both]
    print(f"ready after {ready[0]:.1f} s, MLflow's after {ready[1]:.1f} s")


if __name__ == "__main__":
    main()
