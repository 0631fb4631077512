"""MLflow's own page, on the store that this project uses."""

import os
import socket
import sys
from collections.abc import Callable
from importlib.util import find_spec
from urllib.parse import urlsplit

from ..core.errors import UserError, clean
from ..core.settings import Settings
from . import runs


def show(settings: Settings, host: str, port: int, say: Callable[[str], None]) -> None:
    """Say where the page of this project's runs is; serve it where no server does, until stopped.

    Raises UserError where the store cannot be read, or the page cannot be served.
    """
    experiment = runs.experiment_id(settings, runs.connect(settings))
    # Without that word MLflow shows an experiment as one of generative AI.
    page = f"#/experiments/{experiment}?workflowType=machine_learning"
    if urlsplit(settings.tracking_uri).scheme in {"http", "https"}:
        say(f"{clean(settings.tracking_uri).rstrip('/')}/{page}")
        return
    if find_spec("flask") is None:
        raise UserError("MLflow's page is not installed here; scripts/setup.sh installs it")
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        raise UserError(
            f"{host}:{port} cannot be used ({error.strerror}); choose another with --port"
        ) from None
    say(f"http://{host}:{port}/{page}\nctrl-C stops it")
    given = {
        "MLFLOW_BACKEND_STORE_URI": settings.tracking_uri,  # a password is not seen among processes
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # evaluates generative AI
    }
    os.chdir(settings.var_dir)  # where MLflow may leave what it likes
    command = [sys.executable, "-m", "mlflow", "ui", "--host", host, "--port", str(port)]
    os.execve(sys.executable, [*command, "--workers", "1"], os.environ | given)  # noqa: S606
