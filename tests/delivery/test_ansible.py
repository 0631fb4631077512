"""The playbook of deploy/ansible, run against a host that boots for it, and asked from outside."""

import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from shutil import copytree
from time import monotonic, sleep

import pytest
import yaml

from tests.conftest import Render, commit_all, copy_template, git
from tests.containers import PATH, checked, run
from tests.hosts import INSIDE, OUTSIDE, Host, booted, running
from tests.projects import MINUTES, replace

BIN = Path(sys.executable).parent


def slow(test: Callable[..., None]) -> Callable[..., None]:
    """Mark a test that needs the host, which one worker boots for all."""
    return pytest.mark.slow(pytest.mark.xdist_group("hosts")(test))


# Debian 13's.
PYTHON = "3.13"
NAME = "my-ml-project"
PASSWORDS = {
    f"serving_host_{one}_password": f"password-of-{one}" for one in ("database", "grafana")
}
FOLDER = f"/srv/{NAME}"
AS_DEPLOY = ("runuser", "-u", "deploy", "--", "env", "-C", FOLDER)
SERVICES = ("database", "tracking", "login", "prometheus", "alertmanager", "grafana", "gateway")
# What compose.yaml takes from a registry: the host cannot reach one.
STAND_IN = {
    "image": "stand-in",
    "build": "!reset",
    "entrypoint": ["python3", "-m", "http.server"],
    "command": ["8000"],
    "working_dir": "/",
    "user": "0:0",  # it has no others
    "healthcheck": {"test": ["CMD", "true"]},
}
# The engine has it as soon as it is there.
IMPORT = """[Service]
ExecStartPost=/bin/sh -c 'docker image inspect stand-in || docker import /image.tar stand-in'
"""
# A package and its repository, signed by the first of two keys.
SIGNED = """set -euo pipefail
mkdir -p /nvidia /package/DEBIAN
printf 'Package: nvidia-container-toolkit\\nVersion: 1\\nArchitecture: all\\n%s\\n%s\\n' \\
    'Maintainer: Nobody <nobody@example.com>' 'Description: stands in' >/package/DEBIAN/control
dpkg-deb --build /package /nvidia/toolkit.deb
cd /nvidia
apt-ftparchive packages . >Packages
apt-ftparchive release . >Release
for name in nvidia other; do
    gpg --batch --passphrase '' --quick-generate-key $name@example.com rsa3072
    gpg --armor --export $name@example.com >/$name.asc
done
gpg --batch --local-user nvidia@example.com --clearsign --output InRelease Release
"""
# In the stand-in, for deploy/backup.sh.
PG_DUMP = "#!/bin/sh\necho dump of $PGUSER\n"


@dataclass
class Serving:
    """A host and the project whose playbook makes it a serving host."""

    host: Host
    project: Path
    folder: Path

    def play(
        self, role: Path | None = None, *, quick: bool = True, **variables: object
    ) -> subprocess.CompletedProcess[str]:
        """Run the playbook, or a copy with another role; `quick`, or as Ansible does by default."""
        given = PASSWORDS | {
            "serving_host_keys": [self.host.key.with_suffix(".pub").read_text("utf-8").strip()],
            "serving_host_environment": {"COMPOSE_FILE": "compose.yaml:/srv/stand-ins.yml"},
            "serving_host_source": str(self.project),
        }
        inventory = self.folder / "inventory.yml"
        host = {
            "ansible_host": INSIDE,
            "ansible_user": "admin",
            "ansible_ssh_private_key_file": str(self.host.key),
            "ansible_python_interpreter": "/usr/bin/python3",
        }
        inventory.write_text(yaml.safe_dump({"serving": {"hosts": {"one": host}}}), "utf-8")
        settings = {
            "ANSIBLE_HOME": self.folder / "ansible",
            "HOME": self.folder,
            "ANSIBLE_HOST_KEY_CHECKING": "false",
            "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=60s "
            "-o UserKnownHostsFile=/dev/null",
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_PIPELINING": str(quick),
        }
        book = (role or self.project / "deploy/ansible") / "site.yml"
        return self.host.outside(
            "env", *(f"{name}={value}" for name, value in settings.items()),
            BIN / "ansible-playbook", "--inventory", inventory,
            "--extra-vars", json.dumps(given | variables), book,
        )  # fmt: skip


def changed(done: subprocess.CompletedProcess[str]) -> int:
    """Return how many tasks of a run changed something; it must have succeeded."""
    told = checked(done)
    recap = r"^one +: ok=\d+ +changed=(\d+) +unreachable=0 +failed=0"
    (number,) = re.findall(recap, told, re.MULTILINE)
    return int(number)


def cut(requirements: Path, *names: str) -> str:
    """Return of an export what pins these packages."""
    pins = re.split(r"^(?=\S)", requirements.read_text("utf-8"), flags=re.MULTILINE)
    return "".join(pin for pin in pins if pin.startswith(tuple(f"{name}==" for name in names)))


@pytest.fixture(scope="module")
def project(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a lock of no more than `scripts/setup.sh` needs itself."""
    root = tmp_path_factory.mktemp("serving") / "project"
    copy_template(template, root, deploy="[compose, ansible]", python_version=PYTHON)
    pins = cut(root / "requirements/dev.txt", "poetry-core", "uv")
    (root / "requirements/dev.txt").write_text(pins, "utf-8")
    for name in ("main", "train"):
        (root / f"requirements/{name}.txt").write_text("# nothing\n", "utf-8")
    git(root, "init", "--quiet", "--initial-branch", "main")
    commit_all(root, "Start")
    return root


@pytest.fixture(scope="module")
def serving(
    project: Path, host_archive: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Serving]:
    """A host as it comes, but for what stands in for a network: packages, and the engine's images.

    What the role installs it takes from repositories on the host's disk.
    """
    folder = tmp_path_factory.mktemp("ansible")
    with booted(host_archive) as host:
        wheels = host.root / "wheels"
        download = ("tool", "run", "pip", "download", "--quiet", "--no-deps", "--require-hashes")
        pins = project / "requirements/dev.txt"
        checked(run([BIN / "uv", *download, "-r", pins, "-d", wheels], os.environ | {"PATH": PATH}))
        (host.root / "etc/pip.conf").write_text(
            "[global]\nno-index=1\nfind-links=/wheels\n", "utf-8"
        )
        (host.root / "etc/uv").mkdir()
        (host.root / "etc/uv/uv.toml").write_text(
            'no-index = true\nfind-links = ["/wheels"]\n', "utf-8"
        )
        # In JSON, which has no aliases: Compose resets the first of them only.
        text = json.dumps({"services": dict.fromkeys(SERVICES, STAND_IN)})
        text = text.replace('"!reset"', "!reset null")
        (host.root / "srv/stand-ins.yml").write_text(text, "utf-8")
        (host.root / "usr/local/bin/pg_dump").write_text(PG_DUMP, "utf-8")
        (host.root / "usr/local/bin/pg_dump").chmod(0o755)
        parts = ("bin", "lib", "lib64", "usr/bin", "usr/lib", "usr/lib64", "usr/local")
        checked(
            run(["tar", "-C", host.root, "-cf", host.root / "image.tar", *parts], {**os.environ})
        )
        unit = host.root / "etc/systemd/system/docker.service.d/stand-in.conf"
        unit.parent.mkdir()
        unit.write_text(IMPORT, "utf-8")
        yield Serving(host, project, folder)


@pytest.fixture(scope="module")
def first(serving: Serving) -> int:
    """The first run of the playbook: how many tasks of it changed something."""
    return changed(serving.play(quick=False))


@pytest.fixture(scope="module")
def listening(serving: Serving, first: int) -> Serving:
    """A serving host with what may listen on one: the gateway, another container, a program."""
    assert first > 10
    ok = serving.host.ok
    ok(*AS_DEPLOY, "docker", "compose", "--profile", "release", "up", "--detach", "--wait",
       "--no-deps", "gateway")  # fmt: skip
    ok("docker", "run", "--detach", "--name", "other", "--publish", "9999:8000", "stand-in",
       "python3", "-m", "http.server", "8000")  # fmt: skip
    ok("systemd-run", "--unit", "program", "python3", "-m", "http.server", "7777")
    return serving


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PATH": f"{BIN}:{PATH}", "NO_COLOR": "1"}
    command = [BIN / "ansible-lint", "--offline", "--profile", "production", "-q", folder]
    return run(["env", "-C", folder, *command], environment)


def test_the_playbook_passes_the_linter_s_strictest_profile(render: Render) -> None:
    playbook = render(deploy=["compose", "ansible"]) / "deploy/ansible"
    done = lint(playbook)
    assert done.returncode == 0, done.stdout + done.stderr
    replace(playbook / "roles/serving_host/tasks/engine.yml", {'    mode: "0644"\n': ""})
    assert "risky-file-permissions" in lint(playbook).stdout


def test_ansible_is_refused_without_compose(template: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="'deploy': ansible sets up hosts for compose"):
        copy_template(template, tmp_path / "p", deploy="[ansible]")


@slow
def test_a_second_run_changes_nothing_and_another_commit_is_brought(
    serving: Serving, first: int
) -> None:
    assert first > 10
    assert changed(serving.play()) == 0
    (serving.project / "deploy/new.txt").write_text("new", "utf-8")
    commit_all(serving.project, "New")
    assert changed(serving.play()) > 0
    assert serving.host.ok("cat", f"{FOLDER}/deploy/new.txt") == "new"
    at = serving.host.ok(*AS_DEPLOY, "git", "rev-parse", "HEAD")
    assert at == git(serving.project, "rev-parse", "HEAD")


def doors(host: Host) -> dict[str, bool]:
    """What the firewall lets through: from outside, and of a container to the outside."""
    fetch = f"import urllib.request as u; u.urlopen('http://{OUTSIDE}:8080', timeout=2)"
    with subprocess.Popen(
        ["nsenter", "-t", str(host.network), "-n", sys.executable, "-m", "http.server", "8080"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        sleep(1)
        out = host.inside("docker", "exec", "other", "python3", "-c", fetch).returncode == 0
        server.terminate()
    return {
        "ssh": host.answers(22),
        "service": host.answers(8000),
        "another container": host.answers(9999),
        "a program": host.answers(7777),
        "out": out,
    }


OPEN = {"ssh": True, "service": True, "another container": False, "a program": False, "out": True}


@slow
@pytest.mark.parametrize(
    ("old", "new", "differs"),
    [
        ("", "", {}),
        ("hook input priority filter; policy drop", "hook input priority filter; policy accept",
         {"a program": True}),
        ("hook forward priority filter; policy drop",
         "hook forward priority filter; policy accept", {"another container": True}),
        ("tcp dport 22 accept", "", {"ssh": False}),
        ("ct status dnat ct original proto-dst 8000 meta l4proto tcp accept", "",
         {"service": False}),
        ('iifname "docker*" accept', "", {"out": False}),
    ],
    ids=["as it is", "input open", "forward open", "no ssh", "no service", "containers shut in"],
)  # fmt: skip
def test_the_firewall_opens_two_ports_and_a_broken_rule_is_noticed(
    listening: Serving, old: str, new: str, differs: dict[str, bool]
) -> None:
    host = listening.host
    rules = host.root / "etc/nftables.conf"
    text = rules.read_text("utf-8")
    assert old in text
    (host.root / "tried.nft").write_text(text.replace(old, new) if old else text, "utf-8")
    try:
        host.ok("nft", "--file", "/tried.nft")
        assert doors(host) == OPEN | differs
    finally:
        host.ok("nft", "--file", "/etc/nftables.conf")


@slow
@pytest.mark.rare
def test_rules_that_lock_ansible_out_are_removed(serving: Serving, first: int) -> None:
    assert first > 10
    before = (serving.host.root / "etc/nftables.conf").read_text("utf-8")
    done = serving.play(serving_host_ssh_port=2222)
    assert done.returncode != 0
    assert not serving.host.answers(22)
    until = monotonic() + 2 * MINUTES
    while not serving.host.answers(22):
        assert monotonic() < until
        sleep(1)
    assert (serving.host.root / "etc/nftables.conf").read_text("utf-8") == before
    assert changed(serving.play()) > 0
    assert serving.host.ok("nft", "list", "table", "inet", "serving_host")


def powers(host: Host) -> set[str]:
    """Return what the user who deploys may do beyond its own files."""
    found = {*host.ok("id", "--name", "--groups", "deploy").split()} - {"deploy"}
    if host.inside("runuser", "-u", "deploy", "--", "sudo", "--non-interactive", "true").returncode:
        return found
    return found | {"sudo"}


@slow
def test_who_deploys_has_the_engine_and_no_other_power(listening: Serving) -> None:
    host = listening.host
    login = ("ssh", "-i", host.key, "-o", "StrictHostKeyChecking=no", "-o", "BatchMode=yes",
             "-o", "UserKnownHostsFile=/dev/null", f"deploy@{INSIDE}")  # fmt: skip
    told = checked(host.outside(*login, f"cd {FOLDER} && docker compose ps --services"))
    assert {*SERVICES} <= {*told.split()}
    assert powers(host) == {"docker"}
    assert host.ok("passwd", "--status", "deploy").split()[1] == "L"
    host.ok("usermod", "--append", "--groups", "sudo", "deploy")
    assert powers(host) >= {"sudo"}
    host.ok("gpasswd", "--delete", "deploy", "sudo")
    secrets = f"{FOLDER}/deploy/secrets"
    paths = (f"{FOLDER}/.env", "/home/deploy/.ssh", secrets)
    modes = host.ok("stat", "--format", "%a %U", *paths)
    assert modes.splitlines() == ["600 deploy", "700 deploy", "700 deploy"]
    assert host.ok("cat", f"{secrets}/database_password").strip() == "password-of-database"
    made = host.ok("cat", f"{secrets}/tracking_password").strip()
    assert re.fullmatch(r"[0-9a-f]{40}", made), "what is not given the host makes"
    assert f"http://mlflow:{made}@127.0.0.1:5000" in host.ok("cat", f"{FOLDER}/.env")


@slow
def test_the_host_keeps_itself(listening: Serving) -> None:
    """Logs have limits, updates and backups come by themselves, containers outlive the engine."""
    host = listening.host
    told = host.ok("docker", "info", "--format", "{{.LoggingDriver}} {{.LiveRestoreEnabled}}")
    assert told.split() == ["json-file", "true"]
    options = "{{json .HostConfig.LogConfig.Config}}"
    limits = json.loads(host.ok("docker", "inspect", "--format", options, "other"))
    assert limits == {"max-size": "10m", "max-file": "3"}
    for unit in ("docker", "nftables", "unattended-upgrades", f"{NAME}-backup.timer"):
        assert host.ok("systemctl", "is-enabled", unit).strip() == "enabled"
    upgrades = host.ok("apt-config", "dump", "APT::Periodic::Unattended-Upgrade")
    assert upgrades.strip() == 'APT::Periodic::Unattended-Upgrade "1";'
    next_time = "NextElapseUSecRealtime"
    assert host.ok("systemctl", "show", "--value", "-P", next_time, f"{NAME}-backup.timer").strip()
    for _ in range(2):
        host.ok("systemctl", "start", f"{NAME}-backup.service")
        sleep(1)
    backups = host.root / f"srv/{NAME}/var/backups"
    made = sorted(backups.iterdir())
    assert len(made) == 2
    with tarfile.open(made[0]) as archive:
        (archive.extractfile("database.dump") or pytest.fail("empty")).read()
    owner = host.ok("stat", "--format", "%a %U", f"{FOLDER}/var/backups/{made[0].name}")
    assert owner.strip() == "600 deploy"


@slow
@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({"serving_host_user": "root"}, "serving_host_user must not be root"),
        (
            {"serving_host_database_password": "short"},  # pragma: allowlist secret
            "passwords need 12 characters or more",
        ),
        ({"serving_host_grafana_password": "a quote ' in it"}, "passwords need 12 characters"),
        ({"serving_host_environment": {"ML_LOG_LEVEL": "info'\nX='1"}}, "values neither"),
        ({"serving_host_folder": "/srv/a b"}, "users and folders have letters"),
        ({"serving_host_port": "http"}, "serving_host_port"),
        ({"serving_host_gpu": True}, "a host with a GPU needs serving_host_nvidia_repository"),
        ({"ansible_port": 2}, "UNREACHABLE"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_changed(
    serving: Serving, variables: dict[str, object], reason: str
) -> None:
    done = serving.play(**variables)
    assert done.returncode != 0
    assert reason in done.stdout
    assert re.search(r"changed=0 ", done.stdout)


def toolkit(serving: Serving, tmp_path: Path, *, always: bool = False, **variables: object) -> bool:
    """Run the part of the role that is for GPUs; return whether the host has NVIDIA's toolkit."""
    playbook = copytree(serving.project / "deploy/ansible", tmp_path / "playbook")
    path = playbook / "roles/serving_host/tasks/main.yml"
    (task,) = (
        one
        for one in yaml.safe_load(path.read_text("utf-8"))
        if "nvidia.yml" in one.get("ansible.builtin.include_tasks", "")
    )
    if always:
        task.pop("when")
    path.write_text(yaml.safe_dump([task]), "utf-8")
    known = "rm -f /etc/apt/sources.list.d/nvidia* /var/lib/apt/lists/*nvidia*"
    serving.host.ok("sh", "-c", known)
    serving.host.inside("dpkg", "--purge", "nvidia-container-toolkit")
    checked(serving.play(playbook, **variables))
    return serving.host.inside("dpkg", "--status", "nvidia-container-toolkit").returncode == 0


@slow
def test_only_a_project_for_gpus_brings_nvidia_s_toolkit_signed_by_its_key(
    listening: Serving, tmp_path: Path
) -> None:
    """From a repository that stands in for NVIDIA's, with a package that has nothing in it."""
    host = listening.host
    (host.root / "repository.sh").write_text(SIGNED, "utf-8")
    host.ok("bash", "/repository.sh")
    given = {
        "serving_host_nvidia_repository": "file:/nvidia",
        "serving_host_nvidia_key": f"{host.root}/nvidia.asc",
    }
    assert not toolkit(listening, tmp_path / "no", **given)
    assert toolkit(listening, tmp_path / "yes", serving_host_gpu=True, **given)
    assert toolkit(listening, tmp_path / "always", always=True, **given), "it was the condition"
    given["serving_host_nvidia_key"] = f"{host.root}/other.asc"
    with pytest.raises(AssertionError, match=r"not signed|NO_PUBKEY|Missing key|signature"):
        toolkit(listening, tmp_path / "other", serving_host_gpu=True, **given)


@slow
@pytest.mark.rare
def test_after_a_loss_of_power_firewall_and_service_come_back(listening: Serving) -> None:
    """The last of all: the host of the others is gone after it."""
    listening.host.cut_off()
    until = monotonic() + 2 * MINUTES
    while "State:\tZ" not in Path(f"/proc/{listening.host.network}/status").read_text("utf-8"):
        assert monotonic() < until
        sleep(0.1)
    with running(listening.host.root, listening.host.key) as host:
        while not host.answers(8000):
            assert monotonic() < until
            sleep(1)
        compose = (*AS_DEPLOY, "docker", "compose", "--profile", "release", "ps", "--services")
        while not {*SERVICES} <= {*host.ok(*compose).split()}:
            assert monotonic() < until
            sleep(1)
        host.ok("docker", "start", "other")
        host.ok("systemd-run", "--unit", "program", "python3", "-m", "http.server", "7777")
        sleep(2)
        assert doors(host) == OPEN
