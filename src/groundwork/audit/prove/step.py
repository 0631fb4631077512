"""What a proof consists of, and what it may use."""

from dataclasses import dataclass
from typing import Literal

State = Literal["passed", "failed", "not done"]


@dataclass(frozen=True)
class Step:
    """One thing that was done, or could not be: then `message` says why.

    `log` is the end of what its commands printed, without credentials; `seconds` is how long it
    took.
    """

    name: str
    state: State
    message: str
    seconds: float = 0.0
    log: str = ""


@dataclass(frozen=True)
class Limits:
    """What each command may use: seconds by kind, and bytes, files and processes for all.

    `memory` is for all processes of a command together, `file` is the size of one file.
    """

    install: float = 1800
    tests: float = 1800
    training: float = 3600
    image: float = 3600
    memory: int = 8 << 30
    file: int = 32 << 30
    processes: int = 1000
