"""compose.yaml as Docker Compose merges it: who is confined, who reaches whom, what is published.

No engine is needed. tests/delivery/test_compose.py asks the containers themselves.
"""

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from tests.containers import checked, run

Config = dict[str, Any]

# Who needs each network, and which of them lead nowhere else.
NETWORKS = {
    "service": {"gateway", "blue", "green", "prometheus"},
    "login": {"login"},
    "tracking": {"login", "tracking"},
    "database": {"tracking", "database"},
    "alerts": {"prometheus", "alertmanager"},
    "dashboards": {"prometheus", "grafana"},
}
INTERNAL = {"tracking", "database"}
# The ports of the containers that this machine reaches.
PUBLISHED = {
    "gateway": {8000, 8405},
    "blue": {8000},
    "green": {8000},
    "login": {5000},
    "prometheus": {9090},
    "alertmanager": {9093},
    "grafana": {3000},
}
SECRETS = {
    "database": {"database_password"},
    "tracking": {"database_password"},
    "login": {"tracking_password"},
    "grafana": {"grafana_password"},
}
PASSWORD = re.compile(r"PASS(WORD|WD)?|TOKEN|SECRET|CREDENTIAL|API_?KEY", re.IGNORECASE)


def confinement(config: Config) -> Iterator[str]:
    """Yield the services that may do more than they need."""
    for name, service in config["services"].items():
        if not service.get("read_only"):
            yield f"{name}: its files can be changed"
        if service.get("cap_drop") != ["ALL"] or service.get("cap_add"):
            yield f"{name}: has capabilities"
        if "no-new-privileges:true" not in service.get("security_opt", []):
            yield f"{name}: may get more rights"
        if not {"cpus", "memory", "pids"} <= service["deploy"]["resources"]["limits"].keys():
            yield f"{name}: has no limit"
        host = ("network_mode", "pid", "ipc", "userns_mode", "devices", "privileged")
        yield from (f"{name}: has the host's {one}" for one in host if service.get(one))
        if "docker.sock" in json.dumps(service.get("volumes", [])):
            yield f"{name}: gives orders to the engine"


def publication(config: Config) -> Iterator[str]:
    """Yield the ports that other machines reach, and those that nobody needs."""
    for name, service in config["services"].items():
        ports = service.get("ports", [])
        if (found := {port["target"] for port in ports}) != PUBLISHED.get(name, set()):
            yield f"{name}: publishes {sorted(found)}"
        for port in ports:
            if port.get("host_ip") != "127.0.0.1":
                yield f"{name}: publishes {port['target']} to other machines"


def reach(config: Config) -> Iterator[str]:
    """Yield the networks that hold anybody else than who needs them."""
    found: dict[str, set[str]] = {network: set() for network in config["networks"]}
    for name, service in config["services"].items():
        for network in service.get("networks", {}):
            found[network].add(name)
    for network in found.keys() | NETWORKS.keys():
        if (there := found.get(network, set())) != NETWORKS.get(network):
            yield f"the network {network}: {sorted(there)}"
    internal = {name for name, one in config["networks"].items() if one.get("internal")}
    yield from (f"the network {network}: leads outside" for network in INTERNAL - internal)


def passwords(config: Config) -> Iterator[str]:
    """Yield the passwords that stand in the configuration, or that too many can read."""
    for name, service in config["services"].items():
        for variable, value in (service.get("environment") or {}).items():
            if PASSWORD.search(variable) and not str(value).startswith("/run/secrets/"):
                yield f"{name}: {variable} is in its environment"
        given = {one["source"] for one in service.get("secrets", [])}
        if given != SECRETS.get(name, set()):
            yield f"{name}: is given {sorted(given)}"
    for name, secret in config["secrets"].items():
        if Path(secret.get("file", "")).parts[-3:] != ("deploy", "secrets", name):
            yield f"{name}: is not a file in deploy/secrets"


RULES = (confinement, publication, reach, passwords)


def merged(project: Path, **environment: str) -> Config:
    """Return what Docker Compose makes of the project's file, with the services of a release."""
    command = ["docker-compose", "--profile", "release", "config", "--format", "json"]
    path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    told = checked(run(["env", "-C", project, *command], path | environment))
    config: Config = json.loads(told)
    return config


@pytest.fixture(scope="module")
def config(project: Path) -> Config:
    return merged(project)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_each_service_may_do_what_it_needs_and_no_more(
    config: Config, rule: Callable[[Config], Iterator[str]]
) -> None:
    assert not [*rule(config)]
    assert config["services"].keys() >= PUBLISHED.keys() | SECRETS.keys()


@pytest.mark.parametrize(
    ("service", "key", "value", "said"),
    [
        ("database", "read_only", False, "database: its files can be changed"),
        ("database", "cap_drop", [], "database: has capabilities"),
        ("grafana", "cap_add", ["NET_ADMIN"], "grafana: has capabilities"),
        ("grafana", "security_opt", [], "grafana: may get more rights"),
        ("login", "deploy", {"resources": {"limits": {"cpus": 1}}}, "login: has no limit"),
        ("gateway", "network_mode", "host", "gateway: has the host's network_mode"),
        ("blue", "privileged", True, "blue: has the host's privileged"),
        ("prometheus", "volumes", [{"source": "/var/run/docker.sock"}],
         "prometheus: gives orders to the engine"),
        ("tracking", "ports", [{"target": 5000, "host_ip": "127.0.0.1"}],
         "tracking: publishes [5000]"),
        ("login", "ports", [{"target": 5000}], "login: publishes 5000 to other machines"),
        ("grafana", "ports", [{"target": 3000, "host_ip": "0.0.0.0"}],  # noqa: S104
         "grafana: publishes 3000 to other machines"),
        ("gateway", "networks", {"service": None, "database": None},
         "the network database: ['database', 'gateway', 'tracking']"),
        ("blue", "networks", {"service": None, "tracking": None},
         "the network tracking: ['blue', 'login', 'tracking']"),
        ("grafana", "networks", {"service": None},
         "the network service: ['blue', 'gateway', 'grafana', 'green', 'prometheus']"),
        ("database", "environment", {"POSTGRES_PASSWORD": "x"},  # pragma: allowlist secret
         "database: POSTGRES_PASSWORD is in its environment"),
        ("tracking", "environment", {"PGPASSWORD": "x"},  # pragma: allowlist secret
         "tracking: PGPASSWORD is in its environment"),
        ("grafana", "environment", {"GF_SECURITY_ADMIN_PASSWORD": "x"},  # pragma: allowlist secret
         "grafana: GF_SECURITY_ADMIN_PASSWORD is in its environment"),
        ("blue", "secrets", [{"source": "tracking_password"}],
         "blue: is given ['tracking_password']"),
    ],
)  # fmt: skip
def test_a_service_that_may_do_more_is_noticed(
    config: Config, service: str, key: str, value: object, said: str
) -> None:
    changed = deepcopy(config)
    changed["services"][service][key] = value
    assert said in [line for rule in RULES for line in rule(changed)]


@pytest.mark.parametrize(
    ("part", "name", "value", "said"),
    [
        ("networks", "database", {}, "the network database: leads outside"),
        ("networks", "default", {}, "the network default: []"),
        ("secrets", "database_password", {"environment": "DATABASE_PASSWORD"},
         "database_password: is not a file in deploy/secrets"),
    ],
)  # fmt: skip
def test_a_network_or_a_secret_of_another_kind_is_noticed(
    config: Config, part: str, name: str, value: object, said: str
) -> None:
    changed = deepcopy(config)
    changed[part][name] = value
    assert said in [line for rule in RULES for line in rule(changed)]


def test_only_the_gateway_is_published_elsewhere_by_a_setting(project: Path) -> None:
    found = publication(merged(project, ML_HOST="0.0.0.0"))  # noqa: S104
    assert [*found] == ["gateway: publishes 8000 to other machines"]


def up(project: Path, **environment: str) -> tuple[int, str]:
    """Make a project's passwords; return the exit status and what was said."""
    command = ["env", "-C", project, "deploy/up.sh", "--passwords"]
    done = run(command, {"PATH": os.environ["PATH"]} | environment)
    return done.returncode, done.stdout + done.stderr


def kept(project: Path) -> dict[str, str]:
    return {path.name: path.read_text("utf-8") for path in (project / "deploy/secrets").iterdir()}


@pytest.fixture
def own(project: Path, tmp_path: Path) -> Path:
    """A project to change."""
    return copytree(project, tmp_path / "project")


def test_the_start_makes_the_passwords_that_are_missing(own: Path) -> None:
    """In a folder that only its owner opens, and that git ignores."""
    assert up(own) == (0, "")
    made = kept(own)
    assert {*made} == set().union(*SECRETS.values())
    assert all(re.fullmatch(r"[0-9a-f]{40}\n", one) for one in made.values())
    assert len({*made.values()}) == len(made)
    folder = own / "deploy/secrets"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o644}
    assert "/deploy/secrets/" in (own / ".gitignore").read_text("utf-8").splitlines()

    (folder / "grafana_password").write_bytes(b"")
    (folder / "tracking_password").write_text("mine\n", "utf-8")
    assert up(own) == (0, "")
    again = kept(own)
    assert again["tracking_password"].strip() == "mine"  # pragma: allowlist secret
    assert again["database_password"] == made["database_password"]
    assert again["grafana_password"] not in {"", made["grafana_password"]}


@pytest.mark.parametrize(
    ("where", "name"), [("environment", "DATABASE_PASSWORD"), (".env", "GRAFANA_PASSWORD")]
)
def test_a_password_as_a_variable_is_said_to_be_of_no_use(own: Path, where: str, name: str) -> None:
    given = {name: "of nobody"}
    if where == ".env":
        (own / ".env").write_text(f"ML_PORT=8000\n{name}='of nobody'\n", "utf-8")
        given = {}
    status, said = up(own, **given)
    assert status == 1
    assert said == (
        f"error: {name} is no longer read from .env or the environment: write its value "
        f"into deploy/secrets/{name.lower()}, and remove it there\n"
    )
    assert kept(own) == {}
    (own / ".env").write_text(f"# {name}=\n{name}=\n", "utf-8")
    assert up(own) == (0, ""), "none is given"
