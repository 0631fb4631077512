"""What differs between machines (Settings, from the environment) and between models (Params)."""

import os
import sys
import tomllib
from collections.abc import Mapping
from functools import cached_property, reduce
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

import yaml
from pydantic import AliasChoices, BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    PyprojectTomlConfigSettingsSource,
    SettingsConfigDict,
)

from .errors import UserError
from .files import first_problem, read_file

PACKAGE = __package__.split(".")[0]
NAME = PACKAGE.replace("_", "-")
# In var/: when this project was set up, and which runs were reproduced.
EVENTS = "events.jsonl"


def find_root() -> Path:
    """Return the project's folder: this checkout, else the nearest one above the current folder.

    Raises UserError where neither holds a params.yaml, and where the current folder, or the command
    that was called, is in a copy of the project: its environment still works on this one.
    """
    checkout = Path(__file__).resolve().parents[4]
    cwd, called = Path.cwd(), Path(sys.argv[0]).absolute()
    above = [folder for folder in (cwd, *cwd.parents, *called.parents) if _is_project(folder)]
    if not _is_project(checkout):
        if above:
            return above[0]
        raise UserError(f"no {NAME} project here; run this inside its folder, or set ML_ROOT")
    for folder in above:
        if folder.resolve() != checkout and (folder / "src" / PACKAGE / "ops").is_dir():
            raise UserError(
                f"this environment works on {checkout}, not on {folder}; run scripts/setup.sh there"
            )
    return checkout


def _is_project(folder: Path) -> bool:
    return (folder / "params.yaml").is_file() and (folder / "pyproject.toml").is_file()


class Settings(BaseSettings):
    """Read from ML_… variables, then `.env`, then [tool.groundwork] in pyproject.toml."""

    model_config = SettingsConfigDict(
        env_prefix="ML_",
        extra="ignore",
        populate_by_name=True,
        pyproject_toml_table_header=("tool", "groundwork"),
    )

    root: Path = Field(default_factory=find_root, description="the project's folder")
    tracking_uri: str = Field(
        "",
        validation_alias=AliasChoices("MLFLOW_TRACKING_URI", "tracking_uri"),
        description="MLflow's database or server; empty: sqlite in var/",
    )
    experiment: str = Field(NAME, description="MLflow's experiment")
    model_name: str = Field(NAME, description="the registered model's name")
    data_dir: Path = Field(Path("data"), description="prepared data, relative to the root")
    var_dir: Path = Field(Path("var"), description="run-time state, relative to the root")
    host: str = Field("127.0.0.1", description="address that the service listens on")
    port: int = Field(8000, ge=1, le=65535, description="port that the service listens on")
    max_queue: int = Field(
        256, ge=1, description="requests that may wait to be scored; one more is refused with 503"
    )
    max_connections: int = Field(1000, ge=2, description="connections at once; more get 503")
    read_seconds: float = Field(10, gt=0, description="seconds that a client has to send a body")
    metrics_port: int = Field(
        0, ge=0, le=65535, description="port for /metrics and /docs alone; 0: the service's own"
    )
    log_predictions: bool = Field(
        default=True, description="keep served predictions for monitoring"
    )
    keep_predictions_days: int = Field(
        90, ge=1, le=36500, description="days for which they are kept"
    )
    keep_predictions_mb: int = Field(1000, ge=1, description="megabytes of them that are kept")
    image: str = Field(
        "", description="image of a release; empty: what scripts/build.sh --release made"
    )
    signing_key: str = Field("", description="file of your SSH key, for `sign`")
    signers: str = Field("", description="file of OpenSSH's allowed signers of a release")
    cluster: str = Field(NAME, description="cluster on ECS that deploy.sh aws deploys to")
    canary_seconds: float = Field(
        5, ge=0, description="seconds for which a new release shares requests with the old one"
    )
    canary_share: float = Field(
        0.1, gt=0, lt=1, description="share of them that it gets, where a gateway deals them out"
    )
    canary_min_requests: int = Field(
        20, ge=0, description="requests that each of the two has to answer to be compared"
    )
    canary_required: bool = Field(
        default=False, description="return to the old release where fewer requests came"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="how much the service logs"
    )
    device: Literal["cpu", "cuda"] = Field("cpu", description="what training runs on")
    workers: int = Field(1, ge=1, description="processes that share one training, on Ray")
    mirrors: list[Literal["wandb"]] = Field([], description="trackers that get a copy of each run")
    overrides: dict[str, Any] = Field(
        {}, description="parameters that replace those of params.yaml, in JSON; see `train --set`"
    )

    @classmethod
    def settings_customise_sources(  # pydantic's own signature
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003 - no secret is a file here
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Put the project's own defaults behind what a machine says."""
        above = (init_settings, env_settings, dotenv_settings)
        root = next((Path(at) for source in above if (at := source().get("root"))), None)
        own = (root or find_root()) / "pyproject.toml"
        return (*above, PyprojectTomlConfigSettingsSource(settings_cls, own))

    def model_post_init(self, _context: Any) -> None:
        """Make the paths absolute, and the default store's address with them."""
        self.root = self.root.resolve()
        self.data_dir = self.root / self.data_dir
        self.var_dir = self.root / self.var_dir
        # Quoted as by sqlalchemy.URL, which a service does not have. MLflow would make a folder of
        # the quoted name if the address did not name the driver.
        database = quote(str(self.var_dir / "mlflow.db"), safe=" +/")
        self.tracking_uri = self.tracking_uri or f"sqlite+pysqlite:///{database}"

    @cached_property
    def params(self) -> "Params":
        """The project's params.yaml, with the overrides."""
        return load_params(self.root / "params.yaml", self.overrides)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Slices(_Part):
    """Quality that every group has to reach."""

    minimum: float
    rows: int = Field(ge=1)


class Fairness(_Part):
    """How far apart two groups of one kind may be."""

    metric: str
    max_gap: float = Field(ge=0)


class Gate(_Part):
    """What a model has to reach before it is registered."""

    metric: str
    minimum: float
    champion_margin: float = Field(ge=0)
    baseline_margin: float
    slices: Slices
    fairness: Fairness
    importance_margin: float


class Drift(_Part):
    """When a column counts as drifted; see drift.py."""

    psi: float = Field(gt=0)
    p_value: float = Field(gt=0, lt=1)


class Monitoring(_Part):
    """When a served model counts as worn out."""

    max_quality_drop: float = Field(ge=0)
    max_age_days: float = Field(gt=0)
    min_labels: int = Field(ge=1)


class Budgets(_Part):
    """What a feature may cost, and how far speed may fall behind the recorded baseline."""

    feature_ms: float = Field(gt=0)
    slowdown: float = Field(gt=1)


class Params(_Part):
    """The parts of params.yaml."""

    seed: int = Field(ge=0, lt=2**32)
    threads: int = Field(ge=1)
    holdout: float = Field(gt=0, lt=1)
    model: dict[str, Any]
    gate: Gate
    drift: Drift
    monitoring: Monitoring
    budgets: Budgets


def settings(**overrides: Any) -> Settings:
    """Return the settings of the project around this code. Raises UserError for a bad value."""
    try:
        root = Settings(**overrides).root
        return Settings(_env_file=root / ".env", **overrides)
    except ValidationError as error:
        raise UserError(first_problem(error, "setting ML_", str.upper)) from None
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"pyproject.toml is not TOML: {error}") from None


def thread_variables(threads: int) -> dict[str, str]:
    """Return what holds a service to so many threads, if it is set before libraries are loaded.

    They start one for each of the machine's processors, however few of them a service may use;
    threads that share a processor then wait for one another at every step. A number that the
    machine's environment gives goes first.
    """
    return {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads))}


def load_params(path: Path, overrides: Mapping[str, Any] | None = None) -> Params:
    """Read params.yaml and replace what `overrides` names, such as {"model.C": 0.3}.

    Raises UserError naming the first thing that is wrong.
    """
    try:
        values = yaml.safe_load(read_file(path))
        for key, value in (overrides or {}).items():
            *parents, last = key.split(".")
            part = reduce(lambda found, name: found[name], parents, values)
            if not isinstance(part, dict) or isinstance(part.get(last), dict):
                raise UserError(f"{key} is no single parameter of {path.name}")
            part[last] = value
        return Params.model_validate(values)
    except (KeyError, TypeError):
        raise UserError(f"{path.name} has no parameter {key}") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not YAML: {error}") from None
    except ValidationError as error:
        raise UserError(first_problem(error, f"{path}: ")) from None
