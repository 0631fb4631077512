"""Runs in MLflow: an embedded database by default, a server by MLFLOW_TRACKING_URI.

Settings.mirrors names trackers that get a copy of each run.
"""

import json
import logging
import os
import posixpath
import re
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from filelock import FileLock

from ..core import optional
from ..core.errors import UserError, clean
from ..core.files import load_json, private
from ..core.settings import NAME, Settings
from ..provenance.manifest import Manifest, flatten

# Before MLflow is imported: a dead server is an answer, not a reason to wait for minutes.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")

import mlflow
import requests
from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from sqlalchemy.exc import SQLAlchemyError

if TYPE_CHECKING:  # dataset takes seconds to import
    from ..data.record import DataManifest

Say = Callable[[str], None]

# How MLflow and the libraries below it fail. A full disk is no fault of theirs.
FAULTS = (
    MlflowException,
    SQLAlchemyError,
    requests.RequestException,
    ConnectionError,
    TimeoutError,
)
# How MLflow's page shows an experiment: as one of machine learning, not of generative AI.
KIND = ("mlflow.experimentKind", "custom_model_development")

_P = ParamSpec("_P")
_R = TypeVar("_R")

for _noisy in ("alembic", "mlflow"):
    logging.getLogger(_noisy).setLevel(logging.ERROR)

if "%" in mlflow.__file__:  # MLflow gives the folder of its migrations to alembic, unquoted
    from alembic.config import Config

    _set = Config.set_main_option

    def _quoted(self: Config, name: str, value: str) -> None:
        _set(self, name, value.replace("%", "%%") if name == "script_location" else value)

    Config.set_main_option = _quoted


@dataclass(frozen=True)
class Step:
    """What a fit reported of one step, and when, in milliseconds since 1970."""

    number: int
    milliseconds: int
    metrics: dict[str, float]


def explained(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Turn what MLflow raises inside `function` into a UserError of one line."""

    @wraps(function)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            return function(*args, **kwargs)
        except FAULTS as error:
            raise UserError(f"MLflow: {_first_line(error)}") from error

    return wrapper


def is_absent(error: MlflowException) -> bool:
    """Tell whether MLflow says that something does not exist; any other failure is no answer."""
    return bool(error.error_code == "RESOURCE_DOES_NOT_EXIST")


def answered(found: _R | None, name: str) -> _R:
    """Return what MLflow found. Raises MlflowException where it is not `name`, as from a proxy."""
    if found is None or getattr(found, "name", None) != name:
        raise MlflowException(f"it answers without {name}; is MLFLOW_TRACKING_URI right?")
    return found


@explained
def connect(settings: Settings) -> MlflowClient:
    """Return a client for the settings' store, making the embedded one where it is missing.

    Raises UserError where the server does not answer or the database is damaged.
    """
    address = urlsplit(settings.tracking_uri)
    if address.scheme in {"http", "https"}:
        _knock(settings.tracking_uri)
    private(settings.var_dir)
    # The first use of a database makes its tables, which two processes must not do at once.
    with FileLock(settings.var_dir / "mlflow.lock"):
        client = MlflowClient(settings.tracking_uri, settings.tracking_uri)
        if (found := client.get_experiment_by_name(settings.experiment)) is None:
            embedded = address.scheme.startswith("sqlite")
            store = (settings.var_dir / "artifacts").as_uri() if embedded else None
            client.create_experiment(settings.experiment, store, dict([KIND]))
        else:
            answered(found, settings.experiment)
    return client


def _knock(uri: str) -> None:
    """Raise UserError where nothing answers. It goes through the proxies that the client uses."""
    try:
        requests.head(uri, timeout=5)
    except requests.exceptions.SSLError:
        return  # it answers, and MLflow has settings of its own for certificates
    except requests.RequestException as error:
        cause: BaseException = error
        while cause.__cause__ or cause.__context__:
            cause = cause.__cause__ or cause.__context__ or cause
        reason = getattr(cause, "strerror", None) or cause
        raise UserError(
            f"MLflow at {uri} cannot be reached ({reason}); "
            "start it, or correct MLFLOW_TRACKING_URI"
        ) from None


class Record:
    """One run, written to MLflow and to every mirror.

    A mirror is a module's class `Run`, made with settings, run id and name. It gets the calls of
    `steps`, `log`, `files` and `end`. MLflow decides: what it refuses is the run's error. A mirror
    that fails is reported and skipped.
    """

    def __init__(self, client: MlflowClient, run_id: str, say: Say) -> None:
        """Write the run that MLflow knows as `run_id`; `say` gets a line now and then."""
        self.client, self.run_id, self.say = client, run_id, say
        self.mirrors: dict[str, Any] = {}
        self.waiting: list[Step] = []
        self.passed_on = time.monotonic()

    def report(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take what a fit reports of one step; it is passed on once a second at most."""
        values = {name: float(value) for name, value in metrics.items()}
        self.waiting.append(Step(step, int(time.time() * 1000), values))
        if time.monotonic() - self.passed_on >= 1:
            text = ", ".join(f"{name} {value:.4f}" for name, value in values.items())
            self.say(f"  step {step}: {text}")
            self.flush()

    def flush(self) -> None:
        """Pass on what is waiting."""
        waiting, self.waiting, self.passed_on = self.waiting, [], time.monotonic()
        if waiting:
            self.steps(waiting)

    @explained
    def steps(self, steps: Sequence[Step]) -> None:
        """Log each metric that the fit reported as `fit.<name>`."""
        called = taken(f"fit.{name}" for step in steps for name in step.metrics)
        self._measure(
            [
                Metric(called[f"fit.{name}"], value, step.milliseconds, step.number)
                for step in steps
                for name, value in step.metrics.items()
            ]
        )
        self._copy(lambda mirror: mirror.steps(steps))

    @explained
    def log(self, manifest: Manifest, data: "DataManifest", costs: Mapping[str, float]) -> None:
        """Log params, metrics, tags, features' costs in ms, and the data sets by their hashes."""
        self.flush()
        when = int(manifest.created.timestamp() * 1000)
        found = measured(manifest, costs)
        called = taken(found)
        self._measure([Metric(called[name], value, when, 0) for name, value in found.items()])
        self.client.log_batch(
            self.run_id,
            params=[Param(name, str(value)) for name, value in flatten(manifest.params).items()],
            tags=[
                RunTag("mlflow.source.git.commit", manifest.code.commit or ""),
                *(RunTag(*pair) for pair in tags(manifest).items()),
            ],
        )
        inputs = []
        contexts = zip(("training", "holdout"), data.files.items(), strict=True)
        for context, (name, digest) in contexts:
            profile = json.dumps({"rows": data.rows[name]})
            table = Dataset(name, digest[:36], "code", data.source, profile=profile)
            inputs.append(DatasetInput(table, [InputTag("mlflow.data.context", context)]))
        self.client.log_inputs(self.run_id, inputs)
        self._copy(lambda mirror: mirror.log(manifest, data, costs))

    @explained
    def files(self, folder: Path) -> None:
        """Log the bundle as the run's artifacts."""
        self.client.log_artifacts(self.run_id, str(folder))
        self._copy(lambda mirror: mirror.files(folder))

    @explained
    def end(self, status: str) -> None:
        """Close the run: FINISHED, FAILED or KILLED."""
        self.client.set_terminated(self.run_id, status)
        self._copy(lambda mirror: mirror.end(status))

    def _measure(self, found: list[Metric]) -> None:
        for start in range(0, len(found), 1000):  # as many as MLflow takes at once
            self.client.log_batch(self.run_id, metrics=found[start : start + 1000])

    def _copy(self, job: Callable[[Any], None]) -> None:
        for name, mirror in list(self.mirrors.items()):
            with self.spared(name):
                job(mirror)

    @contextmanager
    def spared(self, mirror: str) -> Iterator[None]:
        """Report a mirror that fails in the block, and skip it from then on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, it must not cost the run
            self.mirrors.pop(mirror, None)
            self.say(f"{mirror} has no copy of this run ({_first_line(error)}); MLflow has it")


def measured(manifest: Manifest, costs: Mapping[str, float]) -> dict[str, float]:
    """Return all that a run measured, by name: its metrics, and `cost.<feature>` in ms."""
    return {**manifest.metrics, **{f"cost.{name}": ms for name, ms in costs.items()}}


def taken(names: Iterable[str]) -> dict[str, str]:
    """Return what each metric is called in MLflow, which takes letters, digits and ` _-.:/` only.

    `_` stands for all else, such as the brackets of a group `(40, 55]`. Where two would be one,
    such as `<40` and `>40`, a part of its own hash follows each.
    """
    known = {name: re.sub(r"[^/\w.\- :]", "_", name)[:240] for name in names}
    for name, short in known.items():
        if posixpath.normpath(short) != short:  # it would be another file's path
            known[name] = short.replace("/", "_")
    many = Counter(known.values())
    return {
        name: f"{short} {sha256(name.encode()).hexdigest()[:6]}" if many[short] > 1 else short
        for name, short in known.items()
    }


def tags(manifest: Manifest) -> dict[str, str]:
    """Return what a run is found by."""
    return {
        "model_digest": manifest.model_digest,
        "reproducible": "; ".join(manifest.reproducible) or "yes",
    }


@contextmanager
def run(
    settings: Settings, client: MlflowClient, name: str, say: Say = lambda _: None
) -> Iterator[Record]:
    """Open a run that ends FINISHED, or FAILED or KILLED if the block does not get to its end.

    A run that a killed training left open on this machine is closed first. Raises UserError where
    a mirror of the settings is not part of this project.
    """
    modules = {mirror: optional.load(f"tracking.{mirror}_mirror") for mirror in settings.mirrors}
    for mirror in settings.mirrors:
        if modules[mirror] is None:
            raise UserError(
                f"this project has no {mirror}: `copier update -d tracking={mirror}` adds it"
            )
    run_id = _open(settings, client, name)
    record = Record(client, run_id, say)
    for mirror, module in modules.items():
        with record.spared(mirror):
            record.mirrors[mirror] = module.Run(settings, run_id, name)
    try:
        yield record
    except BaseException as error:
        record.end("FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    record.end("FINISHED")


@explained
def _open(settings: Settings, client: MlflowClient, name: str) -> str:
    """Open a run and return its id; close first what a killed training left open here."""
    experiment = experiment_id(settings, client)
    origin = {"host": socket.gethostname(), "root": str(settings.root)}
    for found in client.search_runs([experiment], "attributes.status = 'RUNNING'"):
        if origin.items() <= found.data.tags.items():  # a filter cannot quote every path
            client.set_terminated(found.info.run_id, "KILLED")
    return str(client.create_run(experiment, run_name=name, tags=origin).info.run_id)


def _first_line(error: Exception) -> str:
    return clean(str(error).split("\n", maxsplit=1)[0]) or type(error).__name__


@explained
def experiment_id(settings: Settings, client: MlflowClient) -> str:
    """Return the id of this project's experiment, which `connect` made."""
    found = client.get_experiment_by_name(settings.experiment)
    return str(answered(found, settings.experiment).experiment_id)


@explained
def audit(settings: Settings, attempt: Mapping[str, Any]) -> None:
    """Keep one attempt to deploy as a run of its own, beside the experiment that training has."""
    client = connect(settings)
    name = f"{settings.experiment}-deployments"
    experiment = client.get_experiment_by_name(name)
    place = experiment.experiment_id if experiment else client.create_experiment(name)
    said = {key: str(value) for key, value in attempt.items() if value is not None}
    run_id = client.create_run(place, run_name=said["action"], tags=said).info.run_id
    client.log_metric(run_id, "seconds", attempt["seconds"])
    client.set_terminated(run_id, "FINISHED" if attempt["outcome"] == "ok" else "FAILED")


class NoRunError(UserError):
    """No run has finished yet."""


@explained
def find(settings: Settings, client: MlflowClient, reference: str) -> str:
    """Return the id of the run that `reference` means: `latest`, or the start of an id."""
    experiment = experiment_id(settings, client)
    wanted = "attributes.status = 'FINISHED' AND tags.model_digest != ''"
    if reference != "latest":
        if not reference.isalnum():  # nor can MLflow's filters quote all that it may be
            raise UserError(f"{reference!r} is no run's id, nor the start of one")
        wanted += f" AND attributes.run_id LIKE '{reference}%'"
    matching = client.search_runs(
        [experiment], wanted, order_by=["attributes.start_time DESC"], max_results=2
    )
    if not matching:
        if reference == "latest":
            raise NoRunError(f"no run has finished; run `{NAME} train`")
        raise UserError(f"there is no run {reference}; see `{NAME} status` for the last one")
    if reference != "latest" and len(matching) > 1:
        raise UserError(f"more than one run starts with {reference}; give more of the id")
    return str(matching[0].info.run_id)


@explained
def name_of(client: MlflowClient, run_id: str) -> str:
    """Return a run's name."""
    return str(client.get_run(run_id).info.run_name)


class UnreadableManifestError(UserError):
    """A run's manifest is not one of this standard."""


@explained
def manifest_of(client: MlflowClient, run_id: str) -> Manifest:
    """Return a run's manifest.

    Raises UserError where MLflow does not give it, UnreadableManifestError where it is damaged.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = client.download_artifacts(run_id, "provenance.json", folder)
        try:
            return load_json(Path(path), Manifest)
        except UserError as error:
            raise UnreadableManifestError(
                f"run {run_id[:12]} has no manifest that this standard can read ({error}); train "
                "again, or use the commit that made it"
            ) from None
