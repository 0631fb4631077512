"""Real container engines for tests, on a base image made here: no image registry is asked.

Docker is the one that runs already, or a daemon of our own. Buildah has storage of its own. What
cannot be had on this machine is skipped with the reason.
"""

import hashlib
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from shutil import which
from tempfile import TemporaryDirectory, mkdtemp
from time import monotonic, sleep

import pytest

# What a module needs that uses these fixtures: one worker has all such tests, so that there is one
# daemon, and nothing is built twice.
TOGETHER = pytest.mark.xdist_group("containers")
PYTHON = "3.11"
# Has the shape that both engines look for among their own images first.
BASE = f"localhost/groundwork-base:{PYTHON}"
# Begins what must not be in an image, so that files are searched for one string only.
MARKER = b"marker-of-"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# Debian 12's own Python is 3.11. The host's certificates are what reaches the package index.
RECIPE = [
    "mmdebstrap",
    "--mode=root",
    "--variant=minbase",
    "--dpkgopt=force-unsafe-io",
    "--include=ca-certificates,python3,python3-venv",
    f"--customize-hook=copy-in {CERTIFICATES} {CERTIFICATES.parent}",
    "bookworm",
]
PATH = f"{os.environ['PATH']}:/usr/sbin:/sbin"


@dataclass
class Engine:
    """The command of an engine, and the environment that whatever uses it must run in."""

    command: str
    environment: dict[str, str]

    def run(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        return run([self.command, *arguments], self.environment)

    def ok(self, *arguments: object) -> str:
        """Run what must succeed and return what it printed."""
        return checked(self.run(*arguments))


@dataclass
class Docker(Engine):
    """Docker's client; `folder` has all that belongs to the daemon, where that is our own."""

    folder: Path | None = None
    daemon: "subprocess.Popen[bytes] | None" = field(default=None, init=False)

    def start(self, *, apart: bool = False) -> None:
        """Start our daemon: with no networks but the host's, or `apart`, in a namespace with all.

        There it may do as it likes; here it touches none of the host's interfaces or rules.
        """
        folder = self.folder
        command = [
            *("setpriv", "--pdeathsig", "TERM", "dockerd"),  # it never outlives the tests
            f"--host=unix://{folder}/docker.sock",
            f"--pidfile={folder}/docker.pid",
            f"--data-root={folder}/data",
            f"--exec-root={folder}/exec",
            "--storage-driver=overlay2",
            "--ip6tables=false",
            "--ip-masq=false",
        ]
        if apart:  # with rules of its own, which keep networks apart
            up = 'ip link set lo up && exec "$@"'
            command = ["unshare", "-n", "sh", "-c", up, "sh", *command, "--bip=172.31.250.1/24"]
        else:
            command += ["--bridge=none", "--ip-forward=false", "--iptables=false"]
        with Path(f"{folder}/dockerd.log").open("ab") as log:
            self.daemon = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log)
        until = monotonic() + 60
        while self.run("info").returncode:
            if self.daemon.poll() is not None or monotonic() > until:
                last = Path(log.name).read_text("utf-8").splitlines()[-1:]
                pytest.skip(f"dockerd does not start: {''.join(last)}")
            sleep(0.2)

    def stop(self) -> None:
        """End our daemon, by the process that we started."""
        if self.daemon:
            self.daemon.terminate()
            self.daemon.wait(120)
            self.daemon = None

    @contextmanager
    def networked(self) -> Iterator[None]:
        """Have bridge networks and published ports meanwhile; `inside` reaches them.

        Images and volumes stay; containers that run do not.
        """
        if not self.folder:  # Docker as everybody has it has all that
            yield
            return
        need("unshare", "nsenter", "ip")
        self.stop()
        self.start(apart=True)
        try:
            yield
        finally:
            self.stop()
            self.start()

    def forget(self, *images: str) -> None:
        """Remove images, unless all of our daemon's are thrown away in the end: that is faster."""
        if not self.folder:
            self.ok("image", "rm", "--force", *images)

    def inside(self, *command: object, given: str = "") -> str:
        """Run a command where published ports are reached; return what it printed."""
        there = ["nsenter", "-t", self.daemon.pid, "-n"] if self.daemon else []
        return checked(run([*there, *command], self.environment, given))


def run(
    command: list[object], environment: dict[str, str], given: str = ""
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command],
        env=environment,
        input=given,
        check=False,
        capture_output=True,
        text=True,
        timeout=1200,
    )


def checked(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, f"{done.args}\n{done.stdout[-8000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def installed(*commands: str) -> None:
    """Skip the test unless all of these are here."""
    missing = [command for command in commands if not which(command, path=PATH)]
    if missing:
        pytest.skip(f"not installed: {', '.join(missing)}")


def need(*commands: str) -> None:
    """Skip the test unless all of these are here, and root's to use."""
    installed(*commands)
    if os.geteuid() != 0:
        pytest.skip(f"{commands[0]} needs root")


def client() -> Path:
    """Return a client of Docker that can build: a newer one needs a plugin, buildx, for it."""
    for folder in PATH.split(":"):
        command = which("docker", path=folder)
        if command and not run([command, "build", "--help"], buildkit()).returncode:
            return Path(command)
    pytest.skip("there is no docker that can build: not installed, or without its plugin buildx")


def buildkit() -> dict[str, str]:
    return os.environ | {"PATH": PATH, "DOCKER_BUILDKIT": "1"}


@contextmanager
def storage() -> Iterator[Path]:
    """Yield a folder to mount things in. Its name is short: it holds sockets."""
    folder = Path(mkdtemp(prefix="groundwork-", dir="/tmp"))
    try:
        yield folder
    finally:
        for line in reversed(Path("/proc/self/mounts").read_text("utf-8").splitlines()):
            if line.split()[1].startswith(f"{folder}/"):
                subprocess.run(["umount", line.split()[1]], check=True)
        # In the background, as it takes minutes; and by rm, as some of it may not be readable.
        remove = ["sh", "-c", 'rm -rf "$1" >/dev/null 2>&1 </dev/null &', "sh", folder]
        subprocess.run(remove, check=True)


def archived(name: str, recipe: list[str], **environment: str) -> Path:
    """Return the tar archive that a recipe of mmdebstrap makes: once, then it is in the cache."""
    digest = hashlib.sha256(" ".join(recipe).encode() + CERTIFICATES.read_bytes()).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "groundwork-tests"
    archive = cache / f"{name}-{digest[:12]}.tar"
    if not archive.exists():
        need("mmdebstrap")
        cache.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=cache) as scratch:
            made = Path(scratch) / f"{name}.tar"
            checked(run([*recipe, made], os.environ | {"PATH": PATH} | environment))
            made.replace(archive)
    return archive


@pytest.fixture(scope="session")
def base() -> Path:
    """A root file system with Python as a tar archive."""
    return archived("base", RECIPE, SOURCE_DATE_EPOCH="1700000000")


@pytest.fixture(scope="session")
def docker(base: Path) -> Iterator[Docker]:
    """Docker, with the base image: the one that runs, else one of our own that ends with us."""
    command = client()
    with storage() as folder:
        (folder / "bin").mkdir()
        (folder / "bin/docker").symlink_to(command)
        environment = os.environ | {"PATH": f"{folder}/bin:{PATH}"}
        engine = Docker("docker", environment)
        if engine.run("info").returncode:
            need("dockerd", "setpriv")
            environment["DOCKER_HOST"] = f"unix://{folder}/docker.sock"
            engine.folder = folder
        try:
            if engine.folder:
                engine.start()
            engine.ok("import", base, BASE)
            yield engine
            engine.forget(BASE)
        finally:
            engine.stop()


@pytest.fixture(scope="session")
def buildah(base: Path) -> Iterator[Engine]:
    """Buildah with storage of its own that has the base image."""
    need("buildah")
    with storage() as folder:
        (folder / "scratch").mkdir()
        (folder / "storage.conf").write_text(
            f'[storage]\ndriver = "overlay"\ngraphroot = "{folder}/graph"\n'
            f'runroot = "{folder}/run"\n',
            "utf-8",
        )
        environment = os.environ | {
            "PATH": PATH,
            "TMPDIR": f"{folder}/scratch",  # has the cache of `RUN --mount=type=cache` as well
            "CONTAINERS_STORAGE_CONF": f"{folder}/storage.conf",
            "BUILDAH_ISOLATION": "chroot",
        }
        engine = Engine("buildah", environment)
        container = engine.ok("from", "scratch").strip()
        engine.ok("add", container, base, "/")
        engine.ok("commit", "--rm", container, BASE)
        yield engine


@pytest.fixture(scope="session")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The options that give a build what this machine's network asks for."""
    folder = tmp_path_factory.mktemp("secrets")
    index = [
        f"{name}={quote(value)}"
        for name, value in os.environ.items()
        if re.fullmatch(r"(PIP|UV)_\w*INDEX\w*", name)
    ]
    for name, text in (("index", "\n".join(index)), ("ca", CERTIFICATES.read_text("utf-8"))):
        (folder / name).write_text(f"# {MARKER.decode()}{name}\n{text}\n", "utf-8")
    return [part for name in ("index", "ca") for part in ("--secret", f"{name}={folder / name}")]
