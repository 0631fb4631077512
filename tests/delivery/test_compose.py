"""The platform of compose.yaml, run for real: trained against, deployed to, and broken."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copy2
from time import monotonic, sleep
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, copy_template
from tests.containers import BASE, PYTHON, TOGETHER, Docker, checked, run, storage
from tests.projects import COMMAND, MINUTES, Project, free_port, install

pytestmark = [pytest.mark.slow, TOGETHER]

STAND_INS = ROOT / "tests/delivery/stand_ins"
COMPOSE = ("docker-compose", "--profile", "release")
# Grafana's image comes from a registry only.
ENGINES = ("haproxy", "postgres", "prometheus")
# Releases that are not right, each in its own way.
RELEASES = ("wrong", "unready", "failing", "dying", "foreign")
SERVICES = ("database", "tracking", "login", "prometheus", "alertmanager")
PASSWORDS = ("database_password", "grafana_password", "tracking_password")


@dataclass
class Platform:
    """A project whose commands run where the platform's ports are reached."""

    root: Path
    docker: Docker
    environment: dict[str, str]
    ports: dict[str, str]
    ends: dict[str, int] = field(default_factory=dict)

    def command(self, *command: object, **changed: str) -> list[str]:
        given = self.environment | changed
        pairs = [f"{name}={value}" for name, value in given.items()]
        there = ["nsenter", "-t", self.docker.daemon.pid, "-n"] if self.docker.daemon else []
        return [str(part) for part in (*there, "env", "-C", self.root, *pairs, *command)]

    def run(self, *command: object, **changed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*command, **changed),
            env=self.docker.environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=10 * MINUTES,
        )

    def ok(self, *command: object, **changed: str) -> str:
        return checked(self.run(*command, **changed))

    def deploy(self, *arguments: str, **changed: str) -> subprocess.CompletedProcess[str]:
        return self.run("scripts/deploy.sh", "compose", *arguments, **changed)

    def passwords(self) -> dict[str, str]:
        """What deploy/up.sh made."""
        folder = self.root / "deploy/secrets"
        return {path.name: path.read_text("utf-8").strip() for path in folder.iterdir()}

    @property
    def golden(self) -> Path:
        """What the champion gave in training."""
        return self.root / "var/golden/bundle/golden.json"

    def history(self) -> list[dict[str, Any]]:
        path = self.root / "var/deploy/compose/history.jsonl"
        return [json.loads(line) for line in path.read_text("utf-8").splitlines()]

    def state(self) -> dict[str, Any]:
        state: dict[str, Any] = json.loads(
            (self.root / "var/deploy/compose/state.json").read_text("utf-8")
        )
        return state

    def begun(self) -> None:
        """Wait until a deployment is under way."""
        until = monotonic() + MINUTES
        while not (self.root / "var/deploy/compose/attempt.json").exists():
            assert monotonic() < until
            sleep(0.1)

    def pid(self, service: str) -> int:
        """The process of a container, as this machine numbers it; 0 while there is none."""
        container = self.ok(*COMPOSE, "ps", "--all", "--quiet", service).strip()
        return int(self.docker.ok("inspect", "--format", "{{.State.Pid}}", container))

    @contextmanager
    def load(self, rows: int = 0) -> Iterator[None]:
        """Ask without a pause meanwhile, each time for so many rows, or the golden ones.

        `ends` has what came of the requests.
        """
        asked = (self.ports["ML_PORT"], self.golden, str(rows))
        with subprocess.Popen(
            self.command(sys.executable, STAND_INS / "load.py", *asked),
            env=self.docker.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as asking:
            try:
                yield
            finally:
                told, _ = asking.communicate(timeout=2 * MINUTES)
        self.ends = json.loads(told)
        assert self.ends.get("200", 0) > 10


def stand_ins(docker: Docker, *names: str, **given: str) -> None:
    """Build what compose.yaml takes from a registry, or releases that are not right."""
    arguments = [part for one in given.items() for part in ("--build-arg", "=".join(one))]
    for name in names:
        made = ("--target", name, "--tag", f"stand-in-{name}", *arguments)
        docker.ok("build", "--network", "host", *made, STAND_INS)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """Not one of pytest's: a mount that a killed run leaves there fails a later run's cleaning."""
    with storage() as folder:
        yield folder


@pytest.fixture(scope="module")
def platform(
    template: Path, docker: Docker, secrets: list[str], folder: Path
) -> Iterator[Platform]:
    """The platform, healthy, with a champion that was trained against it."""
    root = folder / "platform"
    copy_template(template, root, python_version=PYTHON)
    install(root, PYTHON)
    environment = {"BASE_IMAGE": BASE}
    project = Project(root, docker.environment | environment)
    options = ("--engine", "docker", *secrets, "--", "--network", "host")
    project.ok("scripts/build.sh", "--image", "serving", "--image", "tracking", *options)
    images = json.loads((root / "dist/manifest.json").read_text("utf-8"))["images"]
    docker.ok("tag", images["tracking"]["name"], "my-ml-project-tracking")
    stand_ins(docker, *ENGINES, BASE_IMAGE=BASE)
    names = ("ML_PORT", "TRACKING_PORT", "PROMETHEUS_PORT", "ALERTMANAGER_PORT")
    ports = {name: free_port() for name in names}
    environment |= ports | {
        "COMPOSE_FILE": f"compose.yaml:{STAND_INS}/compose.yml",
        "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{ports['TRACKING_PORT']}",
        "MLFLOW_TRACKING_USERNAME": "mlflow",
        "ML_CANARY_SECONDS": "2",
        "ML_CANARY_SHARE": "0.5",
        "ML_CANARY_MIN_REQUESTS": "1",  # a slow machine's are few
        "PATH": f"{Path(sys.executable).parent}:{docker.environment['PATH']}",
    }
    deployments = root / "var/deploy"
    deployments.mkdir(parents=True, exist_ok=True)
    # A disk of its own, to be filled.
    disk = ["mount", "-t", "tmpfs", "-o", "size=64m", "none", deployments]
    checked(run(disk, docker.environment))
    with docker.networked():
        made_platform = Platform(root, docker, environment, ports)
        try:
            made_platform.ok("deploy/up.sh", *SERVICES)
            password = made_platform.passwords()["tracking_password"]
            environment["MLFLOW_TRACKING_PASSWORD"] = password
            made_platform.ok(COMMAND, "prepare")
            told = made_platform.ok(COMMAND, "train")
            assert "registered: version 1, challenger" in told
            made_platform.ok(COMMAND, "promote")
            # Its packages are in the engine's cache by now: there is no network here.
            made_platform.ok("scripts/build.sh", "--release", *options)
            made_platform.ok(COMMAND, "export", "champion", "var/golden")
            stand_ins(docker, *RELEASES, BASE_IMAGE=BASE, RELEASE="my-ml-project-release:1")
            first = made_platform.deploy()
            assert first.returncode == 0, first.stderr
            yield made_platform
        finally:
            made_platform.run(*COMPOSE, "down", "--volumes", "--timeout", "5")


def test_no_request_is_lost_when_releases_change(platform: Platform) -> None:
    with platform.load():
        for action in ((), ("rollback",)):
            done = platform.deploy(*action)
            assert done.returncode == 0, done.stderr
    assert {*platform.ends} == {"200"}
    entries = platform.history()[-2:]
    assert [(entry["action"], entry["outcome"]) for entry in entries] == [
        ("deploy", "ok"),
        ("rollback", "ok"),
    ]
    shared, of = map(int, re.findall(r"\d+", entries[0]["canary"]))
    assert 0 < shared < of
    assert all(entry["image"].startswith("sha256:") for entry in entries)
    # MLflow has them too, and tells who and when.
    script = (
        "import mlflow, json; c = mlflow.MlflowClient()\n"
        "e = c.get_experiment_by_name('my-ml-project-deployments')\n"
        "print(json.dumps([r.data.tags for r in c.search_runs([e.experiment_id])]))"
    )
    told = json.loads(platform.ok(".venv/bin/python", "-c", script))
    assert len(told) == len(platform.history())
    assert all({"who", "time", "commit", "image", "version", "outcome"} <= {*one} for one in told)


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        ("stand-in-wrong", r"docker-compose: container \S+ (is unhealthy|exited \(1\))"),
        pytest.param(
            "stand-in-unready",
            r"docker-compose: container \S+ (is unhealthy|exited \(1\))",
            marks=pytest.mark.rare,
        ),
        ("stand-in-failing", r"canary: \d+ of \d+ requests failed, 0 of \d+ on the old release"),
        ("nowhere.invalid/image:1", "docker: "),
        (
            "stand-in-foreign",
            r"the image \S+ is of commit 0123456789ab, version 1 of commit [0-9a-f]",
        ),
    ],
)
def test_a_release_that_is_not_right_never_takes_over(
    platform: Platform, image: str, reason: str
) -> None:
    before = platform.state()["release"]
    with platform.load():
        done = platform.deploy(ML_IMAGE=image)
    assert done.returncode == 1
    assert re.fullmatch(rf"error: {reason}.*\n", done.stderr), done.stderr
    assert platform.history()[-1]["outcome"] == "failed"
    assert re.search(reason, platform.history()[-1]["reason"])
    assert platform.state()["release"] == before
    if image != "stand-in-failing":  # that it fails is seen by its share of the requests only
        assert {*platform.ends} == {"200"}
    with platform.load():
        sleep(1)
    assert {*platform.ends} == {"200"}


@pytest.mark.parametrize(
    "seconds", [2.5, *(pytest.param(later, marks=pytest.mark.rare) for later in (0.1, 6.5))]
)
def test_a_deployment_that_is_killed_costs_no_request(platform: Platform, seconds: float) -> None:
    with platform.load():
        deploying = subprocess.Popen(
            platform.command("scripts/deploy.sh", "compose", ML_CANARY_SECONDS="10"),
            env=platform.docker.environment,
            start_new_session=True,
        )
        platform.begun()
        sleep(seconds)
        os.killpg(deploying.pid, signal.SIGKILL)
        deploying.wait()
        done = platform.deploy()
    assert done.returncode == 0, done.stderr
    assert {*platform.ends} == {"200"}
    assert [one["outcome"] for one in platform.history()[-2:]] == ["interrupted", "ok"]


def test_a_release_that_dies_of_real_requests_is_taken_back(platform: Platform) -> None:
    before = platform.state()["release"]
    with platform.load():
        done = platform.deploy(ML_IMAGE="stand-in-dying", ML_CANARY_SECONDS="0")
        sleep(3)
    assert done.returncode == 1
    assert re.fullmatch(r"error: it did not stay ready: .+\n", done.stderr), done.stderr
    assert platform.state()["release"] == before
    answered = platform.ends.pop("200")
    assert sum(platform.ends.values()) <= 2, "those that it died of"
    assert answered > 10


def test_two_deployments_at_once_are_one_too_many(platform: Platform) -> None:
    first = subprocess.Popen(
        platform.command("scripts/deploy.sh", "compose", ML_CANARY_SECONDS="5"),
        env=platform.docker.environment,
    )
    platform.begun()
    second = platform.deploy()
    assert (second.returncode, second.stderr) == (
        1,
        "error: another deployment is under way; try again when it has ended\n",
    )
    assert first.wait(3 * MINUTES) == 0
    assert platform.history()[-1]["outcome"] == "ok"


def test_passwords_are_files_that_nothing_shows(platform: Platform) -> None:
    """Neither the engine, nor Compose, nor an image, nor a log has one."""
    made = platform.passwords()
    assert {*made} == {*PASSWORDS}
    assert all(re.fullmatch(r"[0-9a-f]{40}", one) for one in made.values())
    folder = platform.root / "deploy/secrets"
    assert folder.stat().st_mode & 0o777 == 0o700, "no other user gets that far"
    ignored = ("git", "check-ignore", *(f"deploy/secrets/{name}" for name in PASSWORDS))
    assert len(platform.ok(*ignored).split()) == len(PASSWORDS)
    containers = platform.ok(*COMPOSE, "ps", "--all", "--quiet").split()
    images = {platform.docker.ok("inspect", "--format", "{{.Image}}", one).strip()
              for one in containers}  # fmt: skip
    shown = [
        platform.docker.ok("inspect", *containers),
        platform.docker.ok("inspect", *images),
        *(platform.docker.ok("history", "--no-trunc", one) for one in images),
        platform.ok(*COMPOSE, "config"),
        platform.ok(*COMPOSE, "logs", "--no-color"),
    ]
    assert "database_password" in shown[0], "where it is does show"
    assert not [name for name, one in made.items() if any(one in text for text in shown)]


# Prints the status that MLflow gives to this user and password.
ASK = """
import base64, sys, urllib.error, urllib.request as web
request = web.Request(sys.argv[1])
if len(sys.argv) > 2:
    login = base64.b64encode(":".join(sys.argv[2:]).encode()).decode()
    request.add_header("Authorization", f"Basic {login}")
try:
    print(web.urlopen(request).status)
except urllib.error.HTTPError as error:
    print(error.code)
"""


@pytest.mark.parametrize(
    ("user", "password", "status"),
    [
        (None, None, "401"),
        ("mlflow", "wrong", "401"),
        ("mlflow", "", "401"),
        ("admin", "right", "401"),
        ("mlflow", "right", "200"),
    ],
)
@pytest.mark.parametrize(
    "path", ["/", "/health", "/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"]
)
def test_mlflow_asks_for_its_password(
    platform: Platform, path: str, user: str | None, password: str | None, status: str
) -> None:
    if password == "right":  # noqa: S105 # pragma: allowlist secret
        password = platform.passwords()["tracking_password"]
    login = [] if user is None else [user, password]
    address = f"http://127.0.0.1:{platform.ports['TRACKING_PORT']}{path}"
    assert platform.ok(sys.executable, "-c", ASK, address, *login).strip() == status


def test_training_without_mlflow_s_password_fails_in_one_line(platform: Platform) -> None:
    wrong = {"MLFLOW_TRACKING_PASSWORD": "wrong"}  # pragma: allowlist secret
    done = platform.run(COMMAND, "promote", **wrong)
    assert done.returncode == 1
    assert re.fullmatch(r"error: .*401.*\n", done.stderr), done.stderr


def test_mlflow_s_password_may_be_in_its_address(platform: Platform) -> None:
    """As the role for hosts writes it into .env."""
    login = f"mlflow:{platform.passwords()['tracking_password']}"
    address = f"http://{login}@127.0.0.1:{platform.ports['TRACKING_PORT']}"
    alone = {"MLFLOW_TRACKING_USERNAME": "", "MLFLOW_TRACKING_PASSWORD": ""}
    told = platform.ok(COMMAND, "promote", "1", MLFLOW_TRACKING_URI=address, **alone)
    assert "champion" in told


# An address that is not reached in a second is not reached.
CONNECT = 'timeout 1 bash -c "exec 3<>/dev/tcp/$0/$1"'


def reached(platform: Platform, service: str, host: str, port: int) -> bool:
    """Tell whether a service's container gets a connection there."""
    there = (*COMPOSE, "exec", "-T", service, "bash", "-c", CONNECT, host, port)
    return platform.run(*there).returncode == 0


def addresses(platform: Platform, service: str) -> list[str]:
    """Return where a service's container is in its networks."""
    container = platform.ok(*COMPOSE, "ps", "--quiet", service).strip()
    (about,) = json.loads(platform.docker.ok("inspect", container))
    return [network["IPAddress"] for network in about["NetworkSettings"]["Networks"].values()]


@pytest.mark.parametrize(
    ("service", "to", "port", "may"),
    [
        ("tracking", "database", 5432, True),
        ("gateway", "database", 5432, False),
        ("login", "database", 5432, False),
        ("slot", "database", 5432, False),
        ("login", "tracking", 5000, True),
        ("gateway", "tracking", 5000, False),
        ("slot", "tracking", 5000, False),
        ("prometheus", "gateway", 8404, True),
        ("alertmanager", "gateway", 8404, False),
    ],
)
def test_a_service_reaches_what_it_needs_alone(
    platform: Platform,
    service: str,
    to: str,
    port: int,
    may: bool,  # noqa: FBT001
) -> None:
    """By its name, or by any address that it has."""
    if service == "slot":
        state = platform.state()
        service = next(slot for slot, one in state["slots"].items() if one == state["release"])
    hosts = [to] if may else addresses(platform, to)
    assert any(reached(platform, service, host, port) for host in hosts) is may


def test_no_container_can_change_its_files_or_gain_rights(platform: Platform) -> None:
    """The engine says so of each one, and PostgreSQL works that way, without ever being root."""
    told = json.loads(
        platform.docker.ok("inspect", *platform.ok(*COMPOSE, "ps", "--quiet").split())
    )
    assert len(told) >= len(SERVICES) + 2
    for one in told:
        host = one["HostConfig"]
        confined = (host["ReadonlyRootfs"], host["CapDrop"], host["CapAdd"], host["SecurityOpt"])
        assert confined == (True, ["ALL"], None, ["no-new-privileges:true"]), one["Name"]
        assert host["Memory"] > 0, one["Name"]
        assert host["PidsLimit"] > 0, one["Name"]
    root = platform.run(*COMPOSE, "exec", "-T", "database", "sh", "-c", "touch /x || id -u")
    assert root.stdout.strip() not in {"", "0"}
    assert "Read-only file system" in root.stderr


def test_mlflow_has_no_processes_for_what_is_not_used(platform: Platform) -> None:
    container = platform.ok(*COMPOSE, "ps", "--quiet", "tracking").strip()
    running = platform.docker.ok("top", container, "-ww", "-eo", "pid,args")
    assert "mlflow server" in running
    assert "huey" not in running


def test_without_the_registry_nothing_changes(platform: Platform) -> None:
    before = platform.state()["release"]
    with platform.load():
        done = platform.deploy(MLFLOW_TRACKING_URI=f"http://127.0.0.1:{free_port()}")
    assert done.returncode == 1
    assert re.fullmatch(r"error: .+\n", done.stderr), done.stderr
    assert {*platform.ends} == {"200"}
    assert platform.history()[-1]["outcome"] == "failed"
    assert platform.state()["release"] == before


@pytest.mark.parametrize("left", [pytest.param(0, marks=pytest.mark.rare), 8 * 1024])
def test_a_full_disk_costs_no_request(platform: Platform, left: int) -> None:
    """Full at once, or in the middle of it; the next deployment, with room again, succeeds."""
    before, filler = platform.state()["release"], platform.root / "var/deploy/filler"
    with filler.open("wb") as file:
        free = os.statvfs(filler)
        file.truncate()
        file.write(bytes(free.f_bavail * free.f_frsize - left))
    try:
        with platform.load():
            done = platform.deploy()
    finally:
        filler.unlink()
    assert done.returncode == 1
    assert re.fullmatch(r"error: .*No space left on device\n", done.stderr), done.stderr
    assert {*platform.ends} == {"200"}
    assert platform.state()["release"] == before
    assert platform.deploy().returncode == 0


@pytest.mark.parametrize("name", [pytest.param("ML_HOST", marks=pytest.mark.rare), "ML_PORT"])
def test_the_gateway_does_not_move_while_it_answers(platform: Platform, name: str) -> None:
    wanted = {"ML_HOST": "0.0.0.0", "ML_PORT": platform.ports["ML_PORT"]}  # noqa: S104
    if name == "ML_PORT":
        wanted = {"ML_HOST": "127.0.0.1", "ML_PORT": free_port()}
    with platform.load():
        done = platform.deploy(**wanted)
    assert done.returncode == 1
    moved = rf"on 127.0.0.1:{platform.ports['ML_PORT']}; to move it to {':'.join(wanted.values())},"
    assert re.fullmatch(rf"error: the gateway answers {moved} .+ stop.+\n", done.stderr)
    assert {*platform.ends} == {"200"}


def test_a_release_that_dies_is_stood_in_for_and_comes_back(platform: Platform) -> None:
    assert platform.deploy().returncode == 0  # there is one before it
    state = platform.state()
    slot = next(slot for slot, number in state["slots"].items() if number == state["release"])
    with platform.load():
        dead = platform.pid(slot)
        os.kill(dead, signal.SIGKILL)
        until = monotonic() + MINUTES
        while platform.pid(slot) in {0, dead}:
            assert monotonic() < until
            sleep(0.5)
        sleep(3)
    # A request that was being answered just then may be lost: nobody knows what came of it.
    assert sum(platform.ends.values()) - platform.ends["200"] <= 2
    assert platform.state() == state


def test_a_large_request_is_answered_by_the_standby_when_a_release_dies(
    platform: Platform,
) -> None:
    """HAProxy sends again what it has whole, and here that is nearly all that a request may have.

    What had begun to be answered when the release died cannot be: of two clients, one request each.
    """
    assert platform.deploy().returncode == 0  # there is one before it
    state = platform.state()
    slot = next(slot for slot, number in state["slots"].items() if number == state["release"])
    with platform.load(rows=1000):
        for _ in range(3):
            sleep(2)
            dead = platform.pid(slot)
            os.kill(dead, signal.SIGKILL)
            until = monotonic() + MINUTES
            while platform.pid(slot) in {0, dead}:
                assert monotonic() < until
                sleep(0.5)
        sleep(3)
    cut = {end: times for end, times in platform.ends.items() if end != "200"}
    assert all(end.startswith(("IncompleteRead", "RemoteDisconnected")) for end in cut), cut
    assert sum(cut.values()) <= 3 * 2, platform.ends


def test_what_a_release_logs_is_read_on_this_machine(platform: Platform) -> None:
    """By whoever deploys, and with no rights for anybody else."""
    logged = [*(platform.root / "var/predictions/compose").glob("*.jsonl")]
    assert logged
    assert {path.stat().st_mode & 0o777 for path in logged} == {0o600}
    assert {path.stat().st_uid for path in logged} == {os.getuid() or 10001}
    last = json.loads(logged[-1].read_text("utf-8").splitlines()[-1])["prediction_id"]
    assert "by version 1, run" in platform.ok(COMMAND, "explain", "--prediction", last)
    assert re.search(
        r"^ *predictions +[1-9]\d*$", platform.run(COMMAND, "monitor").stdout, re.MULTILINE
    )


def test_without_its_database_training_fails_and_registers_nothing(platform: Platform) -> None:
    registered = "import mlflow; print(len(mlflow.MlflowClient().search_model_versions()))"
    before = platform.ok(".venv/bin/python", "-c", registered)
    training = subprocess.Popen(
        platform.command(COMMAND, "train"),
        env=platform.docker.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert training.stdout
    assert training.stdout.readline().startswith("data: ")
    platform.ok(*COMPOSE, "kill", "database")
    _, said = training.communicate(timeout=5 * MINUTES)
    assert training.returncode == 1
    assert re.fullmatch(r"error: .+\n", said), said
    with platform.load():  # what answers does not need it
        sleep(1)
    assert {*platform.ends} == {"200"}
    platform.ok(*COMPOSE, "up", "--detach", "--wait", "database", "tracking")
    assert platform.ok(".venv/bin/python", "-c", registered) == before
    assert "registered: version 1, challenger" in platform.ok(COMMAND, "train")  # the same model


@pytest.fixture(scope="module")
def backup(platform: Platform) -> Path:
    """A backup that was made while a release answers."""
    told = platform.ok("deploy/backup.sh")
    made = Path(told.splitlines()[-1])
    assert made.stat().st_mode & 0o777 == 0o600
    assert [made] == [*(platform.root / "var/backups").iterdir()]
    return made


def registered(platform: Platform) -> dict[str, Any]:
    """What the registry and the artifacts have: versions with their digests, runs, the champion."""
    script = (
        "import mlflow, json; c = mlflow.MlflowClient()\n"
        "runs = c.search_runs([e.experiment_id for e in c.search_experiments()])\n"
        "versions = c.search_model_versions()\n"
        "print(json.dumps({'runs': sorted(r.info.run_id for r in runs), 'versions': sorted(\n"
        "    [v.version, v.run_id, sorted(v.tags.items())] for v in versions)}))"
    )
    found: dict[str, Any] = json.loads(platform.ok(".venv/bin/python", "-c", script))
    return found


def stored(platform: Platform) -> dict[str, Any]:
    """What PostgreSQL has: its databases, and how many runs and versions."""
    query = (
        "SELECT json_build_object('runs', (SELECT count(*) FROM runs), 'versions', (SELECT count(*)"
        " FROM model_versions), 'databases', (SELECT json_agg(datname) FROM pg_database))"
    )
    ask = 'PGPASSWORD=$(cat $POSTGRES_PASSWORD_FILE) psql -U mlflow -Atc "$0"'
    exec_there = (*COMPOSE, "exec", "-T", "database", "sh", "-c")
    found: dict[str, Any] = json.loads(platform.ok(*exec_there, ask, query))
    return found


def test_a_lost_volume_is_restored_from_a_backup(platform: Platform, backup: Path) -> None:
    before = registered(platform)
    exported = platform.ok(COMMAND, "export", "champion", "var/before")
    with platform.load():
        platform.ok(*COMPOSE, "rm", "--force", "--stop", "tracking", "database")
        for volume in ("database", "artifacts"):
            platform.docker.ok("volume", "rm", f"my-ml-project_{volume}")
        platform.ok(*COMPOSE, "up", "--detach", "--wait", "database", "tracking")
        lost = stored(platform)
        assert (lost["runs"], lost["versions"]) == (0, 0)
        assert platform.run(COMMAND, "export", "champion", "var/lost").returncode == 1
        told = platform.ok("deploy/backup.sh", "--restore", backup)
    assert "restored" in told.splitlines()[-1]
    assert {*platform.ends} == {"200"}, "what answers does not need it"
    assert registered(platform) == before
    assert before["versions"]
    assert platform.ok(COMMAND, "export", "champion", "var/after") == exported
    golden = [platform.root / f"var/{one}/bundle/golden.json" for one in ("before", "after")]
    assert golden[0].read_bytes() == golden[1].read_bytes()
    assert re.search(r"^reproduced: exact$", platform.ok(COMMAND, "reproduce"), re.MULTILINE)
    assert "champion" in platform.ok(COMMAND, "promote", "1")
    assert "registered: version" in platform.ok(COMMAND, "train"), "and it takes new versions"


def test_a_restore_keeps_what_was_there_before(platform: Platform, backup: Path) -> None:
    """As a database and a folder of their own, which the next backup leaves out."""
    newer = stored(platform)
    platform.ok("deploy/backup.sh", "--restore", backup)
    restored = stored(platform)
    assert restored["runs"] < newer["runs"]
    kept = {one for one in restored["databases"] if one.startswith("mlflow_before_")}
    assert len(kept - {*newer["databases"]}) == 1
    there = platform.ok(*COMPOSE, "exec", "-T", "tracking", "ls", "-A", "/app/artifacts").split()
    assert {f".before-{name.rpartition('_')[2]}" for name in kept} <= {*there}
    made = Path(platform.ok("deploy/backup.sh").splitlines()[-1])
    with (
        tarfile.open(made) as archive,
        tarfile.open(fileobj=archive.extractfile("artifacts.tar")) as packed,
    ):
        names = packed.getnames()
    made.unlink()
    assert len(names) > 10
    assert not [name for name in names if ".before" in name]


def test_only_the_newest_backups_are_kept(platform: Platform, backup: Path) -> None:
    old = backup.with_name("my-ml-project-20200101T000000Z.tar")
    other = backup.with_name("notes.tar")
    for path in (old, other):
        path.write_bytes(b"")
    made = Path(platform.ok("deploy/backup.sh", BACKUP_KEEP="2").splitlines()[-1])
    assert {*backup.parent.iterdir()} == {backup, made, other}
    for path in (made, other):
        path.unlink()


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        ("cut", "is damaged or no backup"),
        ("changed", "is damaged or no backup"),
        ("text", "is damaged or no backup"),
        ("foreign", "is another project's backup"),
        ("missing", "cannot be read"),
        ("empty database", "load beside what is there: pg_restore: error: .*"),
    ],
)
def test_what_is_no_whole_backup_of_this_project_changes_nothing(
    platform: Platform, backup: Path, tmp_path: Path, harm: str, reason: str
) -> None:
    before = stored(platform)
    bad = tmp_path / "bad.tar"
    match harm:
        case "cut":
            bad.write_bytes(backup.read_bytes()[: backup.stat().st_size // 2])
        case "changed":
            content = bytearray(backup.read_bytes())
            content[len(content) // 2] ^= 1
            bad.write_bytes(content)
        case "text":
            bad.write_text("no archive", "utf-8")
        case "foreign" | "empty database":
            forge(backup, bad, harm)
    done = platform.run("deploy/backup.sh", "--restore", bad)
    assert done.returncode == 1
    assert re.fullmatch(rf"error: .*{reason}.*\n", done.stderr), done.stderr
    assert stored(platform) | {"databases": []} == before | {"databases": []}
    assert not [*(platform.root / "var/backups").glob(".new*")]


def forge(backup: Path, into: Path, harm: str) -> None:
    """Write a backup whose checksum is right and whose content is not."""
    folder = into.parent / "forged"
    folder.mkdir()
    with tarfile.open(backup) as archive:
        archive.extractall(folder, filter="data")
    names = ("project", "database.dump", "artifacts.tar")
    if harm == "foreign":
        (folder / "project").write_text("another\n", "utf-8")
    else:
        (folder / "database.dump").write_bytes(b"")
    whole = b"".join((folder / name).read_bytes() for name in names)
    (folder / "sha256").write_text(hashlib.sha256(whole).hexdigest() + "\n", "utf-8")
    with tarfile.open(into, "w") as archive:
        for name in (*names, "sha256"):
            archive.add(folder / name, name)


def test_without_the_engine_a_backup_fails_in_one_line(platform: Platform) -> None:
    done = platform.run("deploy/backup.sh", DOCKER_HOST="unix:///nowhere")
    assert done.returncode == 1
    assert re.fullmatch(r"error: back up: .+\n", done.stderr), done.stderr
    assert not [*(platform.root / "var/backups").glob(".new*")]


def test_prometheus_sees_the_release_and_the_gateway(platform: Platform) -> None:
    address = f"http://127.0.0.1:{platform.ports['PROMETHEUS_PORT']}/api/v1/query?query="
    wanted = {"ml_ready": "1", "haproxy_server_status": "1"}
    script = "import sys, urllib.request as w; print(w.urlopen(sys.argv[1]).read().decode())"
    until = monotonic() + MINUTES
    for name in wanted:
        found: list[Any] = []
        while not found:
            told = json.loads(platform.ok(sys.executable, "-c", script, address + name))
            found = told["data"]["result"]
            assert monotonic() < until, f"nothing is known of {name}"
            sleep(1)


def test_prometheus_accepts_its_files(platform: Platform) -> None:
    there = ("--volume", f"{platform.root}/deploy/monitoring:/etc/prometheus:ro")
    promtool = ("--entrypoint", "promtool", "stand-in-prometheus", "check", "config")
    run_there = ("run", "--rm", "--network", "none", *there)
    platform.docker.ok(*run_there, *promtool, "/etc/prometheus/prometheus.yml")


def test_alerts_fire_when_their_tests_say_and_no_test_passes_without(
    platform: Platform, tmp_path: Path
) -> None:
    monitoring = platform.root / "deploy/monitoring"
    rules = yaml.safe_load((monitoring / "alerts.yml").read_text("utf-8"))
    alerts = [one for group in rules["groups"] for one in group["rules"] if "alert" in one]
    for silent in (None, *alerts):
        folder = tmp_path / (silent["alert"] if silent else "all")
        folder.mkdir()
        copy2(monitoring / "alerts_test.yml", folder)
        before = silent and silent["expr"]
        if silent:
            silent["expr"] = "vector(0) > 1"
        (folder / "alerts.yml").write_text(yaml.safe_dump(rules), "utf-8")
        if silent:
            silent["expr"] = before
    tmp_path.chmod(0o755)
    each = "for one in *; do promtool test rules $one/alerts_test.yml >/dev/null && echo $one; done"
    there = ("--volume", f"{tmp_path}:/alerts:ro", "--workdir", "/alerts", "--entrypoint", "sh")
    run_there = ("run", "--rm", "--network", "none", *there)
    passing = platform.docker.ok(
        *run_there, "stand-in-prometheus", "-c", f"{each} 2>/dev/null; true"
    )
    assert len(alerts) >= 10
    assert passing.split() == ["all"]


# Asks for scores of the same two rows, the least and the most likely ones, a thousand times.
TWO_ROWS = """
import json, sys, urllib.request as web
golden = json.load(open(sys.argv[2]))
ranked = sorted(zip(golden["scores"], golden["inputs"]), key=lambda one: one[0])
for _ in range(4):
    body = json.dumps({"rows": [ranked[0][1], ranked[-1][1]] * 150}).encode()
    web.urlopen(f"http://127.0.0.1:{sys.argv[1]}/predict", body, timeout=60).read()
"""
# Writes a label for each logged prediction: what the model thinks least likely.
WRONG_LABELS = """
import csv, json, pathlib
logged = {}
for path in pathlib.Path("var/predictions/compose").glob("*.jsonl"):
    for line in path.read_text().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # torn by a kill, as in the tests before: `monitor` leaves it out too
        if "score" in entry:  # not what could not be answered
            logged[entry["prediction_id"]] = entry["score"]
middle = (min(logged.values()) + max(logged.values())) / 2
with open("var/labels.csv", "w", newline="") as file:
    rows = csv.writer(file)
    rows.writerow(["prediction_id", "label"])
    rows.writerows((name, int(score < middle)) for name, score in logged.items())
"""


def test_drift_and_late_labels_reach_somebody(platform: Platform) -> None:
    """Scraped, judged and delivered by the real ones; only the alerts' waiting is cut short."""
    rules = platform.root / "deploy/monitoring/alerts.yml"
    before = rules.read_text("utf-8")
    try:
        rules.write_text(re.sub(r"^ +for: .+\n", "", before, flags=re.MULTILINE), "utf-8")
        platform.ok(*COMPOSE, "up", "--detach", "receiver")
        platform.ok(*COMPOSE, "kill", "--signal", "HUP", "prometheus")
        platform.ok(sys.executable, "-c", TWO_ROWS, platform.ports["ML_PORT"], platform.golden)
        platform.ok(".venv/bin/python", "-c", WRONG_LABELS)
        worse = platform.run(COMMAND, "monitor", "--labels", "var/labels.csv")
        assert worse.returncode == 1
        assert re.search(r"^finding: quality: \w+ fell by", worse.stderr, re.MULTILINE), (
            worse.stderr
        )
        told: set[str] = set()
        until = monotonic() + 3 * MINUTES
        while not {"DataDrift", "QualityFell"} <= told:
            assert monotonic() < until, told
            sleep(2)
            lines = platform.ok(*COMPOSE, "logs", "--no-log-prefix", "receiver").splitlines()
            messages = [json.loads(line) for line in lines if line.startswith("{")]
            told = {one["labels"]["alertname"] for each in messages for one in each["alerts"]}
    finally:
        rules.write_text(before, "utf-8")
        platform.ok(*COMPOSE, "kill", "--signal", "HUP", "prometheus")


def test_stopped_it_answers_no_more_and_starts_again(platform: Platform) -> None:
    assert platform.deploy("stop").returncode == 0
    assert "stopped" in platform.deploy("status").stdout
    port = platform.ports["ML_PORT"]
    take = f"import socket; there = socket.create_server(('', {port})); input()"
    with subprocess.Popen(
        platform.command(sys.executable, "-c", take),
        env=platform.docker.environment,
        stdin=subprocess.PIPE,
    ) as other:
        sleep(1)
        refused = platform.deploy("rollback")
        other.communicate(b"\n")
    assert refused.returncode == 1
    assert re.fullmatch(rf"error: .*{port}.*(in use|allocated).*\n", refused.stderr), refused.stderr
    assert platform.deploy("rollback").returncode == 0, "what answered last answers again"
    assert "answering" in platform.deploy("status").stdout


# From here on the gateway has other settings: these tests are the last.
LIMIT = 40
# Prints as JSON what clients of several kinds get of the gateway.
CLIENTS = """
import http.client, json, ssl, sys, warnings
warnings.simplefilter("ignore")
port, pem = int(sys.argv[1]), sys.argv[2]


def status(path="/readyz", version=None, ciphers=None, plain=False):
    context = ssl.create_default_context(cafile=pem)
    if ciphers:
        context.set_ciphers(ciphers)
    if version:
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = version
    kind = http.client.HTTPConnection if plain else http.client.HTTPSConnection
    connection = kind("127.0.0.1", port, timeout=5, **({} if plain else {"context": context}))
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return [answer.status, answer.getheader("Retry-After")]
    except ssl.SSLError:
        return "refused"
    except (OSError, http.client.HTTPException):
        return "no answer"


T = ssl.TLSVersion
print(json.dumps({
    "now": status(),
    "TLS 1.3": status(version=T.TLSv1_3),
    "TLS 1.2": status(version=T.TLSv1_2),
    "TLS 1.1": status(version=T.TLSv1_1, ciphers="ALL:@SECLEVEL=0"),
    "no forward secrecy": status(version=T.TLSv1_2, ciphers="AES256-GCM-SHA384"),
    "plain": status(plain=True),
    "metrics": [status(path) for path in ("/metrics", "/%6detrics", "/metrics?a=b")],
    "many": [status() for _ in range(60)],
}))
"""


@pytest.fixture(scope="module")
def clients(platform: Platform, folder: Path) -> dict[str, Any]:
    """What clients get once there is a certificate and a limit."""
    pem = folder / "gateway.pem"
    made = run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
         "-nodes", "-days", "2", "-subj", "/CN=localhost", "-addext",
         "subjectAltName=IP:127.0.0.1", "-keyout", "-", "-out", "-"],
        dict(os.environ),
    )  # fmt: skip
    pem.write_text(checked(made), "utf-8")
    settings = {"GATEWAY_CERTIFICATE": str(pem), "GATEWAY_RATE": str(LIMIT)}
    assert platform.deploy("stop").returncode == 0
    done = platform.deploy("rollback", **settings)
    assert done.returncode == 0, done.stderr
    address = f"https://127.0.0.1:{platform.ports['ML_PORT']}"
    assert address in platform.deploy("status", **settings).stdout
    asked = (sys.executable, "-c", CLIENTS, platform.ports["ML_PORT"], pem)
    found: dict[str, Any] = json.loads(platform.ok(*asked))
    return found


def test_with_a_certificate_the_gateway_speaks_https_alone(clients: dict[str, Any]) -> None:
    assert all(clients[name] == [200, None] for name in ("now", "TLS 1.3", "TLS 1.2"))
    assert [clients[name] for name in ("TLS 1.1", "no forward secrecy")] == ["refused"] * 2
    assert clients["plain"] in ("no answer", [400, None])


def test_the_gateway_keeps_metrics_from_the_public(clients: dict[str, Any]) -> None:
    assert clients["metrics"] == [[404, None]] * 3


def test_more_requests_than_the_limit_get_429(clients: dict[str, Any]) -> None:
    ends = [tuple(end) for end in clients["many"]]
    assert {*ends} == {(200, None), (429, "10")}
    assert ends == sorted(ends, key=lambda end: end[0]), "none is answered above the limit"
    assert 0 < ends.count((200, None)) < LIMIT
