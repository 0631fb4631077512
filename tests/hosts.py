"""A whole host for tests: Debian 13 with systemd, booted in namespaces of its own, reached by SSH.

It has no way out: the packages that it may install are in a repository on its own disk. It takes
nothing of this machine but the kernel, and touches none of its interfaces or rules.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

import pytest

from .containers import CERTIFICATES, PATH, archived, checked, need, run, storage
from .projects import MINUTES

OUTSIDE, INSIDE = "192.0.2.1", "192.0.2.10"
# What the role installs, and no more of it than its names: the rest is Debian's to know.
PACKAGES = (
    "acl docker.io docker-buildx docker-cli docker-compose git nftables python3.13 python3.13-venv "
    "unattended-upgrades"
)
REPOSITORY = (
    f"apt-get update && apt-get install -y --download-only --no-install-recommends {PACKAGES} "
    "&& mkdir /repository && mv /var/cache/apt/archives/*.deb /repository && cd /repository "
    "&& apt-ftparchive packages . >Packages && apt-ftparchive release . >Release "
    "&& echo 'deb [trusted=yes] file:/repository ./' >/etc/apt/sources.list "
    "&& rm -rf /var/lib/apt/lists/* && useradd --create-home --shell /bin/bash admin "
    "&& echo 'admin ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/admin"
)
# gpg signs the repository that stands in for NVIDIA's.
RECIPE = [
    "mmdebstrap",
    "--mode=root",
    "--variant=minbase",
    "--dpkgopt=force-unsafe-io",
    "--include=apt-utils,ca-certificates,dbus,gpg,gpg-agent,openssh-server,python3,sudo,systemd-sysv",
    f"--customize-hook=copy-in {CERTIFICATES} {CERTIFICATES.parent}",
    f'--customize-hook=chroot "$1" sh -ec "{REPOSITORY}"',
    "trixie",
]


@dataclass
class Host:
    """A booted host: its disk, and the processes whose namespaces are its network and all of it."""

    root: Path
    key: Path
    network: int
    init: int

    def outside(self, *command: object) -> subprocess.CompletedProcess[str]:
        """Run a command on this machine, in the network that the host is in."""
        return run(["nsenter", "-t", self.network, "-n", *command], os.environ | {"PATH": PATH})

    def inside(self, *command: object) -> subprocess.CompletedProcess[str]:
        """Run a command on the host, by no network."""
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
        return run(["nsenter", "-t", self.init, "-a", *command], environment)

    def ok(self, *command: object) -> str:
        """Run on the host what must succeed; return what it printed."""
        return checked(self.inside(*command))

    def cut_off(self) -> None:
        """End the host as a loss of power does; an orderly end waits for each container."""
        self.inside("systemctl", "poweroff", "--force", "--force")

    def answers(self, port: int) -> bool:
        """Whether a port takes connections from outside."""
        open_it = f"exec 3<>/dev/tcp/{INSIDE}/{port}"
        return self.outside("timeout", "2", "bash", "-c", open_it).returncode == 0


@pytest.fixture(scope="session")
def host_archive() -> Path:
    """The host's disk as a tar archive."""
    return archived("host", RECIPE)


@contextmanager
def booted(archive: Path) -> Iterator[Host]:
    """Boot a new host; end it, and remove its disk."""
    need("systemd-nspawn", "unshare", "nsenter", "ip", "ssh-keygen", "setpriv")
    with storage() as folder:
        root, key = folder / "root", folder / "key"
        root.mkdir()
        checked(run(["tar", "-C", root, "-xf", archive], dict(os.environ)))
        checked(run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], dict(os.environ)))
        keys = root / "home/admin/.ssh/authorized_keys"
        keys.parent.mkdir()
        keys.write_text(key.with_suffix(".pub").read_text("utf-8"), "utf-8")
        with running(root, key) as host:
            yield host


@contextmanager
def running(root: Path, key: Path) -> Iterator[Host]:
    """Boot a host from its disk, and have it reached at INSIDE."""
    command = [
        *("setpriv", "--pdeathsig", "TERM"),  # it never outlives the tests
        *("unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"),
        *("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit"),
        *("--capability=all", "--system-call-filter=@keyring bpf", "--network-veth"),
        *(f"--directory={root}", "--machine=serving"),
    ]
    log = root.with_name("console")
    with log.open("wb") as console:
        machine = subprocess.Popen(
            command,
            env=os.environ | {"PATH": PATH},
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
        )
    try:
        host = Host(root, key, machine.pid, started(machine, log))
        yield connected(host)
        host.cut_off()
    finally:
        machine.terminate()
        machine.wait(2 * MINUTES)


def started(machine: "subprocess.Popen[bytes]", console: Path) -> int:
    """Return the host's first process once there is one."""
    until = monotonic() + 30
    children = Path(f"/proc/{machine.pid}/task/{machine.pid}/children")
    while monotonic() < until and machine.poll() is None:
        for child in children.read_text("utf-8").split():
            name = Path(f"/proc/{child}/comm")
            if name.exists() and name.read_text("utf-8").strip() == "systemd":
                return int(child)
        sleep(0.1)
    pytest.skip(f"systemd-nspawn does not boot: {console.read_text('utf-8').splitlines()[-1:]}")


def connected(host: Host) -> Host:
    """Give the host's network its addresses, and its engine control groups; wait for SSH."""
    inside = ["nsenter", "-t", host.init, "-n", "ip"]
    environment = os.environ | {"PATH": PATH}
    until = monotonic() + 30
    while run([*inside, "addr", "add", f"{INSIDE}/24", "dev", "host0"], environment).returncode:
        assert monotonic() < until
        sleep(0.1)
    checked(run([*inside, "link", "set", "host0", "up"], environment))
    checked(host.outside("ip", "addr", "add", f"{OUTSIDE}/24", "dev", "ve-serving"))
    checked(host.outside("ip", "link", "set", "ve-serving", "up"))
    # As on real hosts, where systemd-nspawn has not made them read-only.
    host.ok("sh", "-c", "for one in /sys/fs/cgroup/*; do mount -o remount,rw,bind $one; done")
    while not host.answers(22):
        assert monotonic() < until, "the host's SSH server does not answer"
        sleep(0.3)
    return host
