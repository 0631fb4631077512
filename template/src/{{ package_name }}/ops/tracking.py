"""Runs in MLflow: an embedded database by default, a server by MLFLOW_TRACKING_URI."""

import json
import logging
import os
import socket
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from urllib.parse import urlsplit

from filelock import FileLock

from .errors import UserError
from .provenance import Manifest, flat
from .settings import NAME, Settings, load_json

# Before MLflow is imported: a dead server is an answer, not a reason to wait for minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")

from mlflow.entities import (
    Dataset,
    DatasetInput,
    InputTag,
    Metric,
    Param,
    Run,
    RunTag,
)
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:  # dataset takes seconds to import
    from .dataset import DataManifest

BUNDLE = "bundle"

_P = ParamSpec("_P")
_R = TypeVar("_R")

for _noisy in ("alembic", "mlflow"):
    logging.getLogger(_noisy).setLevel(logging.ERROR)


def explained(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Turn what MLflow raises inside `function` into a UserError of one line."""

    @wraps(function)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return function(*args, **kwargs)
        except (MlflowException, SQLAlchemyError, OSError) as error:
            reason = " ".join(str(error).split("\n", maxsplit=1)[0].split())
            raise UserError(f"MLflow: {reason}") from error

    return wrapper


@explained
def connect(settings: Settings) -> MlflowClient:
    """Return a client for the settings' store, making the embedded one where it is missing.

    Raises UserError where the server does not answer or the database is damaged.
    """
    address = urlsplit(settings.tracking_uri)
    if address.scheme in {"http", "https"}:
        _knock(address.hostname or "", address.port or {"http": 80}.get(address.scheme, 443),
               settings.tracking_uri)  # fmt: skip
    settings.var_dir.mkdir(parents=True, exist_ok=True)
    # The first use of a database makes its tables, which two processes must not do at once.
    with FileLock(settings.var_dir / "mlflow.lock"):
        client = MlflowClient(settings.tracking_uri, settings.tracking_uri)
        if client.get_experiment_by_name(settings.experiment) is None:
            embedded = address.scheme == "sqlite"
            store = (settings.var_dir / "artifacts").as_uri() if embedded else None
            client.create_experiment(settings.experiment, artifact_location=store)
    return client


def _knock(host: str, port: int, uri: str) -> None:
    try:
        socket.create_connection((host, port), timeout=5).close()
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"MLflow at {_without_password(uri)} cannot be reached ({reason}); "
            "start it, or correct MLFLOW_TRACKING_URI"
        ) from None


def _without_password(uri: str) -> str:
    address = urlsplit(uri)
    return address._replace(netloc=address.netloc.rpartition("@")[2]).geturl()


@contextmanager
def run(settings: Settings, client: MlflowClient, name: str) -> Iterator[Run]:
    """Open a run that ends FINISHED, or FAILED or KILLED if the block does not get to its end.

    A run that a killed training left open on this machine is closed first.
    """
    experiment = _experiment(settings, client)
    mine = f"attributes.status = 'RUNNING' AND tags.host = '{socket.gethostname()}'"
    for stale in client.search_runs([experiment], f"{mine} AND tags.root = '{settings.root}'"):
        client.set_terminated(stale.info.run_id, "KILLED")
    tags = {"host": socket.gethostname(), "root": str(settings.root)}
    opened = client.create_run(experiment, run_name=name, tags=tags)
    try:
        yield opened
    except BaseException as error:
        status = "FAILED" if isinstance(error, Exception) else "KILLED"
        client.set_terminated(opened.info.run_id, status)
        raise
    client.set_terminated(opened.info.run_id, "FINISHED")


def log(
    client: MlflowClient,
    run_id: str,
    manifest: Manifest,
    data: "DataManifest",
    costs: Mapping[str, float],
) -> None:
    """Log a run's params, metrics, tags and the data that went in."""
    measured = {**manifest.metrics, **{f"cost.{name}": ms for name, ms in costs.items()}}
    when = int(manifest.created.timestamp() * 1000)
    client.log_batch(
        run_id,
        metrics=[Metric(name, value, when, 0) for name, value in measured.items()],
        params=[Param(name, str(value)) for name, value in flat(manifest.params).items()],
        tags=[
            RunTag("mlflow.source.git.commit", manifest.code.commit or ""),
            RunTag("model_digest", manifest.model_digest),
            RunTag("reproducible", "; ".join(manifest.reproducible) or "yes"),
        ],
    )
    inputs = [
        DatasetInput(
            Dataset(
                name,
                sha256[:36],
                "code",
                data.source,
                profile=json.dumps({"rows": data.rows[name]}),
            ),
            [InputTag("mlflow.data.context", context)],
        )
        for (name, sha256), context in zip(data.files.items(), ("training", "holdout"), strict=True)
    ]
    client.log_inputs(run_id, inputs)


class Steps:
    """Passes on what a fit reports of each step: to MLflow, and in words, once a second at most."""

    def __init__(self, client: MlflowClient, run_id: str, say: Callable[[str], None]) -> None:
        """Report to `run_id`; `say` gets a line."""
        self.client, self.run_id, self.say = client, run_id, say
        self.waiting: list[Metric] = []
        self.told = time.monotonic()

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take the metrics of one step; they are logged as `fit.<name>`."""
        now = int(time.time() * 1000)
        self.waiting += [
            Metric(f"fit.{name}", float(value), now, step) for name, value in metrics.items()
        ]
        if time.monotonic() - self.told >= 1:
            told = ", ".join(f"{name} {value:.4f}" for name, value in metrics.items())
            self.say(f"  step {step}: {told}")
            self.flush()

    def flush(self) -> None:
        """Log what is waiting."""
        for start in range(0, len(self.waiting), 1000):  # as many as MLflow takes at once
            self.client.log_batch(self.run_id, metrics=self.waiting[start : start + 1000])
        self.waiting = []
        self.told = time.monotonic()


def _experiment(settings: Settings, client: MlflowClient) -> str:
    found = client.get_experiment_by_name(settings.experiment)
    if found is None:
        raise UserError(f"MLflow has no experiment {settings.experiment}; run `{NAME} train`")
    return str(found.experiment_id)


@explained
def find(settings: Settings, client: MlflowClient, reference: str) -> str:
    """Return the id of the run that `reference` means: `latest`, or the start of an id."""
    experiment = _experiment(settings, client)
    finished = client.search_runs(
        [experiment],
        "attributes.status = 'FINISHED' AND tags.model_digest != ''",
        order_by=["attributes.start_time DESC"],
        max_results=1000,
    )
    matching = [
        found.info.run_id
        for found in finished
        if reference == "latest" or found.info.run_id.startswith(reference)
    ]
    if not matching:
        what = "no run has finished" if reference == "latest" else f"there is no run {reference}"
        raise UserError(f"{what}; run `{NAME} train`, or see `{NAME} status`")
    if reference != "latest" and len(matching) > 1:
        raise UserError(f"{len(matching)} runs start with {reference}; give more of the id")
    return str(matching[0])


@explained
def manifest_of(client: MlflowClient, run_id: str) -> Manifest:
    """Return a run's manifest. Raises UserError where the run has none."""
    with tempfile.TemporaryDirectory() as folder:
        path = client.download_artifacts(run_id, f"{BUNDLE}/provenance.json", folder)
        try:
            return load_json(Path(path), Manifest)
        except UserError:
            raise UserError(
                f"run {run_id[:12]} has no manifest that this standard can read; train again, or "
                "use the commit that made it"
            ) from None
