"""The sandbox: bubblewrap, which shows the system read-only and nothing of the user's.

A command sees the system's programs and libraries, the interpreters it is given, a home, temporary
folders and the copy of the repository. Only the last three can be written, and all of them lie in
one folder that is removed in the end. Without network it has the loopback interface only.
"""

import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from itertools import count
from pathlib import Path
from shutil import which

from groundwork.errors import UserError

from . import variables
from .process import Ended, watched
from .step import Limits

# As nobody's is, so that it hides nothing.
HOME = "/home/sandbox"
PATH = "/usr/local/bin:/usr/bin:/bin"
_SYSTEM = ("bin", "lib", "lib32", "lib64", "libx32", "opt", "sbin", "usr")
# Of /etc only this: the rest has the machine's own keys and passwords.
_SETTINGS = (
    *("alternatives", "ca-certificates", "ca-certificates.conf", "fonts", "host.conf", "hosts"),
    *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "magic", "mime.types"),
    *("nsswitch.conf", "os-release", "pip.conf", "pki/ca-trust", "pki/tls/certs", "protocols"),
    *("pki/tls/cert.pem", "resolv.conf", "services", "ssl/cert.pem", "ssl/certs"),
    *("ssl/openssl.cnf", "terminfo", "timezone", "uv", "xdg/pip"),
)
# What changes the machine where root starts a proof: it stays the owner of these.
_KERNEL = ("acpi", "bus", "fs", "irq", "mtrr", "pressure", "scsi", "sys", "sysrq-trigger")
_PASSWD = f"user:x:1000:1000::{HOME}:/bin/sh\n"
# Both are of the shell's own, as RLIMIT_AS would end whatever maps more than it uses.
_LIMITED = 'ulimit -c 0 && ulimit -d "$1" && ulimit -f "$2" && shift 2 && exec nice -n 5 "$@"'


_ISOLATED = (
    *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"),
    *("--uid", "1000", "--gid", "1000", "--hostname", "sandbox", "--cap-drop", "ALL"),
    *("--die-with-parent", "--new-session"),
)


@dataclass(frozen=True)
class Place:
    """Where a command runs: `folder` is its working folder in the sandbox, `temporary` its TMPDIR.

    `mounts` says where in the sandbox each folder of the scratch is. They are mounted in its
    order, so one may lie in another.
    """

    folder: str
    mounts: Mapping[Path, str]
    temporary: str = "/tmp"  # noqa: S108 - the sandbox's own


class Sandbox:
    """Runs commands of one repository.

    `scratch` has all that they can write; beside the system's files, they can read those in
    `visible`. Raises UserError where no sandbox can be had.
    """

    def __init__(self, scratch: Path, limits: Limits, visible: Iterable[Path] = ()) -> None:
        """Write what the sandbox says of its user."""
        self.program = find()
        self.scratch, self.limits, self.visible = scratch, limits, set(visible)
        self.numbers = count()
        self.said = scratch / "said"
        self.said.mkdir()
        (self.said / "passwd").write_text(_PASSWD, "utf-8")
        (self.said / "group").write_text("user:x:1000:\n", "utf-8")

    def run(  # noqa: PLR0913 - what there is to say of a command
        self,
        words: Iterable[str],
        place: Place,
        seconds: float,
        *,
        path: str = PATH,
        environment: Mapping[str, str] | None = None,
        network: bool = False,
    ) -> Ended:
        """Run a command and return how it ended. With `network` it sees the host's network."""
        given = variables.fixed(HOME, place.temporary, path) | dict(environment or {})
        if network:
            given |= variables.of_network()
        ended = watched(
            self.command(words, place, network=network),
            given,
            self.said / "log",
            seconds=seconds,
            memory=self.limits.memory,
            processes=self.limits.processes,
        )
        return replace(ended, offline=not network)

    def command(self, words: Iterable[str], place: Place, *, network: bool) -> list[str]:
        """Return bubblewrap's command line for a command."""
        options = [*_ISOLATED, *([] if network else ["--unshare-net"])]
        if "--disable-userns" in _help(self.program):
            options.append("--disable-userns")
        for name in _SYSTEM:
            options += _system(Path("/", name))
        for name in _SETTINGS:
            options += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
        for name in ("passwd", "group"):
            options += ["--ro-bind", str(self.said / name), f"/etc/{name}"]
        options += ["--proc", "/proc", "--dev", "/dev"]
        for name in _KERNEL:
            options += ["--ro-bind-try", f"/proc/{name}", f"/proc/{name}"]
        if "--size" in _help(self.program):
            options += ["--size", str(self.limits.memory // 4)]
        options += ["--tmpfs", "/dev/shm", "--remount-ro", "/dev"]  # noqa: S108
        for source, target in place.mounts.items():
            options += ["--bind", str(source), target]
        # After the temporary folders, in which they may be.
        named = variables.files_named(variables.of_network()) if network else set()
        for path in sorted(self.visible | named):
            if not any(path.is_relative_to(Path("/", name)) for name in _SYSTEM):
                options += ["--ro-bind-try", str(path), str(path)]
        # Last: mount points had to be made first.
        options += ["--remount-ro", "/", "--chdir", place.folder, "--"]
        limited = (str(self.limits.memory >> 10), str(self.limits.file >> 9))
        return [self.program, *options, "sh", "-c", _LIMITED, "sh", *limited, *words]


def _system(path: Path) -> list[str]:
    """Return the options for a folder of the system, which may be a link to one."""
    if path.is_symlink():
        return ["--symlink", str(path.readlink()), str(path)]
    return ["--ro-bind", str(path), str(path)] if path.is_dir() else []


@cache
def find() -> str:
    """Return bubblewrap's program. Raises UserError where it is missing or may do nothing."""
    if sys.platform != "linux":
        raise UserError("a proof needs Linux, as only there is bubblewrap, its sandbox")
    program = which("bwrap")
    if not program:
        raise UserError("a proof needs bubblewrap, its sandbox: install the package bubblewrap")
    done = subprocess.run(
        [program, *_ISOLATED, "--unshare-net", "--ro-bind", "/", "/", "--proc", "/proc", "true"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it says nothing"])[-1]
        raise UserError(
            f"bubblewrap cannot make a sandbox here ({said}); allow user namespaces to it"
        )
    return program


@cache
def _help(program: str) -> str:
    done = subprocess.run([program, "--help"], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
