"""One command in the sandbox, watched: its time, the memory of all its processes, their number."""

import json
import os
import re
import subprocess
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep

from .variables import without_credentials

_PAUSE = 0.1
_SHOWN = 4000
_LONGEST = 400
_UNREACHED = re.compile(
    "Network is unreachable|[Nn]ame resolution|Name or service not known|Could not resolve host"
)
# As pytest, pip, PDM and Poetry say what failed; and what the last two add to it.
_FAILED = re.compile(r"(FAILED|ERROR:?|pdm\.\S+:|\| (Downloaded|Unable)) \S+")
_ADVICE = re.compile(r"WARNING: Add '-v' to see|\|( If any of those| You can also|$)")
_PAGE = os.sysconf("SC_PAGE_SIZE")
# What programs print when they get no more memory than a limit allows.
_EXHAUSTED = ("MemoryError", "std::bad_alloc", "Cannot allocate memory", "out of memory")


@dataclass(frozen=True)
class Ended:
    """How a command ended. `limit` says, in words, which limit stopped it; mostly it is empty.

    `status` is its exit status, negative where a signal ended it, and `log` is the end of what it
    printed. `offline` tells that it had no network.
    """

    status: int
    seconds: float
    log: str
    limit: str = ""
    offline: bool = False

    @property
    def good(self) -> bool:
        """Whether the command did what it should."""
        return self.status == 0 and not self.limit

    def why(self) -> str:
        """Return in a few words why it failed."""
        if self.limit:
            return self.limit
        said = f"exit status {self.status}: {cause(self.log)}"
        if self.offline and _UNREACHED.search(self.log):
            said += " (there is no network after the install)"
        return said


def watched(  # noqa: PLR0913 - what there is to say of a command
    command: list[str],
    environment: Mapping[str, str],
    log: Path,
    *,
    seconds: float,
    memory: int,
    processes: int,
) -> Ended:
    """Run a command of bubblewrap and return how it ended; nothing that it started runs on."""
    start = monotonic()
    limit = ""
    reader, writer = os.pipe()
    with (
        open(reader, encoding="utf-8") as told,  # noqa: PTH123 - a descriptor
        log.open("wb") as output,
        subprocess.Popen(
            [command[0], "--info-fd", str(writer), *command[1:]],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=[writer],
        ) as process,
    ):
        os.close(writer)
        try:
            while not limit and not _waits(process):
                took = monotonic() - start
                limit = _exceeded(process.pid, took, seconds, memory, processes)
        finally:
            process.kill()
            _wait_for_all(told.read())
    text = _end(log)
    if not limit and process.returncode and any(words in text for words in _EXHAUSTED):
        limit = f"it ran out of memory: a process may use {size(memory)}"
    return Ended(process.returncode, monotonic() - start, text, limit)


def cause(log: str) -> str:
    """Return what a command printed of its failure, in one line."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    lines = [line for line in lines if not _ADVICE.match(line)]
    if not lines:
        return "it printed nothing"
    # uv's errors, which it breaks into lines; the first of pytest's summary or of an installer's;
    # else the last word.
    starts = [n for n, line in enumerate(lines) if re.match(r"(error: |\u00d7)", line)]
    if starts:
        said = " ".join(re.sub(r"^[│╰─▶\u00d7├\s]+", "", line) for line in lines[starts[0] :])
    else:
        failed = [line for line in lines if _FAILED.match(line)]
        said = "; ".join(dict.fromkeys(line.strip("=| ") for line in [*failed[:1], lines[-1]]))
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}…"


def size(number: int) -> str:
    """Return a number of bytes in words."""
    return f"{number / (1 << 30):.3g} GiB" if number >= 1 << 30 else f"{number / (1 << 20):.3g} MiB"


def _waits(process: "subprocess.Popen[bytes]") -> bool:
    try:
        process.wait(_PAUSE)
    except subprocess.TimeoutExpired:
        return False
    return True


def _wait_for_all(told: str) -> None:
    """Return when no process is left in the sandbox, of which bubblewrap told the first one.

    That one is killed when bubblewrap ends, and it ends when all others in its namespace have.
    """
    first = json.loads(told or "{}").get("child-pid")
    while first and _read(Path(f"/proc/{first}/stat")).rpartition(")")[2].split()[:1] not in (
        [],
        ["Z"],
    ):
        sleep(0.005)


def _exceeded(root: int, took: float, seconds: float, memory: int, processes: int) -> str:
    if took > seconds:
        return f"it was stopped after {seconds:g} s, its time limit"
    pids = _descendants(root)
    if len(pids) > processes:
        return f"it was stopped when it had more than {processes} processes"
    # What processes share counts for each in the first sum, which is quick, and once in the other.
    if sum(map(_resident, pids)) > memory and sum(map(_proportional, pids)) > memory:
        return f"it was stopped when it used more than {size(memory)} of memory"
    return ""


def _descendants(root: int) -> list[int]:
    children = defaultdict(list)
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            words = _read(entry / "stat").rpartition(")")[2].split()
            if words:
                children[int(words[1])].append(int(entry.name))
    found = [root]
    for pid in found:
        found += children[pid]
    return found


def _resident(pid: int) -> int:
    words = _read(Path(f"/proc/{pid}/statm")).split()
    return int(words[1]) * _PAGE if words else 0


def _proportional(pid: int) -> int:
    for line in _read(Path(f"/proc/{pid}/smaps_rollup")).splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) << 10
    return _resident(pid)


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:  # it has ended meanwhile, or is another user's
        return ""


def _end(log: Path) -> str:
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _SHOWN))
        return without_credentials(file.read().decode("utf-8", "replace"))
