"""The sandbox of a proof: what a command in it sees, what it can change, and when it is stopped."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from time import monotonic, sleep

import pytest

from groundwork.audit.prove import sandbox
from groundwork.audit.prove.process import Ended
from groundwork.audit.prove.sandbox import HOME, Place, Sandbox
from groundwork.audit.prove.step import Limits
from groundwork.errors import UserError
from tests.containers import installed

PYTHON = f"{sys.base_prefix}/bin/python3.{sys.version_info.minor}"
MEMORY = 256 << 20


@pytest.fixture
def place(tmp_path: Path) -> Place:
    for name in ("home", "temporary", "copy"):
        (tmp_path / name).mkdir()
    inside = {"home": HOME, "temporary": "/tmp", "copy": "/work/copy"}
    return Place("/work/copy", {tmp_path / name: path for name, path in inside.items()})


@pytest.fixture
def box(tmp_path: Path) -> Sandbox:
    installed("bwrap")
    limits = Limits(memory=MEMORY, file=1 << 20, processes=40)
    return Sandbox(tmp_path, limits, {Path(sys.base_prefix)})


def python(box: Sandbox, place: Place, code: str, seconds: float = 20, **options: bool) -> Ended:
    return box.run([PYTHON, "-Ic", code], place, seconds, **options)


def test_a_command_has_a_copy_a_home_and_temporary_files(box: Sandbox, place: Place) -> None:
    code = """
import getpass, os, pathlib, tempfile
pathlib.Path("made").write_text(getpass.getuser())
pathlib.Path.home().joinpath("made").touch()
tempfile.NamedTemporaryFile(delete=False)
pathlib.Path("/dev/shm/made").touch()
print(os.getcwd(), pathlib.Path.home(), tempfile.gettempdir())
"""
    ended = python(box, place, code)
    assert (ended.status, ended.log.split()) == (0, ["/work/copy", HOME, "/tmp"])
    copy, home, temporary = (
        next(source for source, target in place.mounts.items() if target == wanted)
        for wanted in ("/work/copy", HOME, "/tmp")
    )
    assert (copy / "made").read_text("utf-8") == "user"
    assert [path.name for path in home.iterdir()] == ["made"]
    assert len([*temporary.iterdir()]) == 1


@contextmanager
def writable() -> Iterator[list[Path]]:
    """Folders of the host where anything may be written, in which a test must not find anything."""
    with (
        TemporaryDirectory(dir="/tmp") as one,
        TemporaryDirectory(dir="/var/tmp") as two,
        TemporaryDirectory(dir=Path.home()) as three,
        TemporaryDirectory(dir="/dev/shm") as four,
    ):
        yield [Path(one), Path(two), Path(three), Path(four)]


@pytest.fixture
def outside() -> Iterator[list[Path]]:
    with writable() as folders:
        yield folders


@pytest.mark.parametrize("network", [False, True])
def test_nothing_outside_can_be_written(
    box: Sandbox, place: Place, outside: list[Path], *, network: bool
) -> None:
    (copy,) = (source for source, target in place.mounts.items() if target == "/work/copy")
    for number, folder in enumerate(outside):
        (folder / "file").write_text("as it was", "utf-8")
        (copy / f"link{number}").symlink_to(folder)
        (copy / f"file{number}").symlink_to(folder / "file")
    code = f"""
import os, pathlib, subprocess
folders = {[str(folder) for folder in outside]} + ["/", "/etc", "/usr", "/usr/local/bin", "/opt"]
folders += [f"link{{n}}" for n in range({len(outside)})] + [".."]
folders += [f"/proc/{{pid}}/root{{f}}" for pid in (1, os.getpid()) for f in folders]
files = [f"{{f}}/file" for f in folders] + [f"file{{n}}" for n in range({len(outside)})]
for name in files:
    try:
        pathlib.Path(name).write_text("changed")
        print("wrote", name)
    except OSError:
        pass
for name in os.listdir("/proc"):
    if not name.isdigit() and not os.path.islink(f"/proc/{{name}}"):
        for folder, _, names in os.walk(f"/proc/{{name}}"):
            print(*(path for n in names if os.access(path := f"{{folder}}/{{n}}", os.W_OK)), end="")
        print(f"/proc/{{name}} " * os.access(f"/proc/{{name}}", os.W_OK), end="")
for words in ("mount -o remount,rw /usr", "umount /usr", "unshare -Ur true", "mknod node b 254 0",
              "chroot /usr true", "hostname changed"):
    if subprocess.run(words, shell=True, capture_output=True).returncode == 0:
        print("did", words)
"""
    host = os.uname().nodename
    ended = python(box, place, code, network=network)
    assert (ended.status, ended.log) == (0, "")
    assert os.uname().nodename == host
    for folder in outside:
        assert [path.name for path in folder.iterdir()] == ["file"]
        assert (folder / "file").read_text("utf-8") == "as it was"


@pytest.mark.parametrize("network", [False, True])
def test_the_users_files_and_variables_are_not_to_be_seen(
    box: Sandbox, place: Place, monkeypatch: pytest.MonkeyPatch, *, network: bool
) -> None:
    variables = {
        "AWS_SECRET_ACCESS_KEY": "hidden",  # pragma: allowlist secret
        "GITHUB_TOKEN": "hidden",
        "UV_PUBLISH_TOKEN": "hidden",
        "SSH_AUTH_SOCK": "/tmp/hidden",
        "PIP_INDEX_URL": "https://user:hidden@index.example.com/simple",  # pragma: allowlist secret
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    code = f"""
import os
print(*sorted(name for name in os.environ if name in {sorted(variables)}))
home = {str(Path.home())!r}
names = ["/etc/shadow", "/etc/ssh", "/etc/ssl/private", "/run", "/var/run", "/home", "/mnt"]
print(*(name for name in names if os.path.exists(name) and os.listdir(name) != ["sandbox"]))
names = os.listdir(home) if os.path.exists(home) else []
print(*(name for name in names if not name.startswith(".pyenv")))
print(len([name for name in os.listdir("/proc") if name.isdigit()]) < 5)
"""
    ended = python(box, place, code, network=network)
    lines = ended.log.splitlines()
    assert lines == ["PIP_INDEX_URL" if network else "", "", "", "True"], ended.log


@contextmanager
def server(folder: Path) -> Iterator[int]:
    """Serve a folder on the loopback interface; yield the port."""

    def handler(*arguments: object) -> SimpleHTTPRequestHandler:
        return SimpleHTTPRequestHandler(*arguments, directory=str(folder))  # type: ignore[arg-type]

    with HTTPServer(("127.0.0.1", 0), handler) as served:
        Thread(target=served.serve_forever, daemon=True).start()
        yield served.server_port
        served.shutdown()


@pytest.mark.parametrize("network", [False, True])
def test_only_an_install_has_the_network(
    box: Sandbox, place: Place, tmp_path: Path, *, network: bool
) -> None:
    with server(tmp_path / "copy") as port:
        code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        ended = python(box, place, code, network=network)
    assert ended.good == network, ended.log


def test_loopback_works_without_network(box: Sandbox, place: Place) -> None:
    code = """
import socket
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname(), 5)
"""
    assert python(box, place, code).good


def alive(word: str, *, first: bool = False) -> list[int]:
    """Return the processes that have a word in their command line, or begin it with that."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                line = (path / "cmdline").read_bytes()
            except OSError:
                continue
            if line.startswith(word.encode()) if first else word.encode() in line:
                found.append(int(path.name))
    return found


@pytest.mark.parametrize("waits", [False, True])
def test_what_a_command_left_running_ends_with_it(
    box: Sandbox, place: Place, *, waits: bool
) -> None:
    word = f"7{os.getpid()}{int(waits)}"
    code = f"""
import subprocess, time
quiet = {{"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}}
subprocess.Popen(["setsid", "sleep", "{word}"], **quiet)
print("started", flush=True)
time.sleep({60 if waits else 0})
"""
    ended = python(box, place, code, seconds=1.5)
    assert "started" in ended.log
    assert ended.limit == ("it was stopped after 1.5 s, its time limit" if waits else "")
    assert alive(word) == []


def test_what_ignores_signals_is_stopped_in_time(box: Sandbox, place: Place) -> None:
    code = """
import signal, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
while True:
    time.sleep(1)
"""
    ended = python(box, place, code, seconds=1)
    assert ended.limit == "it was stopped after 1 s, its time limit"
    assert ended.seconds < 4


ALONE = "x = bytearray(400 << 20)"
TOGETHER = """
import os, time
for _ in range(3):
    if os.fork() == 0:
        x = b"x" * (120 << 20)
        break
time.sleep(30)
"""
MANY = """
import os, time
for _ in range(60):
    if os.fork() == 0:
        break
time.sleep(30)
"""


@pytest.mark.parametrize(
    ("code", "limit"),
    [
        (ALONE, "it ran out of memory: a process may use 256 MiB"),
        (TOGETHER, "it was stopped when it used more than 256 MiB of memory"),
        (MANY, "it was stopped when it had more than 40 processes"),
    ],
)
def test_a_command_that_takes_too_much_is_stopped(
    box: Sandbox, place: Place, code: str, limit: str
) -> None:
    ended = python(box, place, code)
    assert not ended.good
    assert ended.why() == limit
    assert ended.seconds < 10


def test_memory_that_processes_share_counts_once(box: Sandbox, place: Place) -> None:
    code = """
import os, time
x = b"x" * (120 << 20)
for _ in range(3):
    if os.fork() == 0:
        break
time.sleep(0.6)
"""
    assert python(box, place, code).good


def test_a_file_has_a_largest_size(box: Sandbox, place: Place) -> None:
    ended = python(box, place, "open('large', 'wb').write(bytes(2 << 20))")
    assert "File too large" in ended.why()


def test_a_sandbox_ends_with_the_process_that_started_it(box: Sandbox, place: Place) -> None:
    word = f"8{os.getpid()}"
    command = box.command(["sleep", word], place, network=False)
    code = f"import subprocess; subprocess.run({command!r})"
    with subprocess.Popen([sys.executable, "-c", code]) as process:
        until = monotonic() + 10
        # Before the command runs, bubblewrap has not asked for its end yet.
        while not alive(f"sleep\0{word}", first=True) and monotonic() < until:
            sleep(0.02)
        assert alive(f"sleep\0{word}", first=True)
        process.send_signal(signal.SIGKILL)
    until = monotonic() + 5
    while alive(word) and monotonic() < until:
        sleep(0.02)
    assert not alive(word)


@pytest.mark.parametrize(
    ("platform", "path", "words"),
    [
        ("darwin", "/usr/bin", "needs Linux"),
        ("linux", "/nowhere", "install the package bubblewrap"),
        ("linux", "broken", "bubblewrap cannot make a sandbox here (bwrap: setting up uid map)"),
    ],
)
def test_without_a_sandbox_there_is_one_line_and_no_proof(
    platform: str, path: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if path == "broken":
        path = str(tmp_path)
        (tmp_path / "bwrap").write_text("#!/bin/sh\necho bwrap: setting up uid map >&2; exit 1\n")
        (tmp_path / "bwrap").chmod(0o755)
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setenv("PATH", path)
    sandbox.find.cache_clear()
    with pytest.raises(UserError, match=r"^[^\n]+$") as raised:
        Sandbox(tmp_path, Limits())
    sandbox.find.cache_clear()
    assert words in str(raised.value)
