"""An environment, made in the sandbox, and the places where commands run with it."""

import sys
from dataclasses import dataclass
from pathlib import Path
from shutil import which

from . import copy
from .process import Ended
from .recipes import Recipe
from .sandbox import HOME, PATH, Place, Sandbox

CACHE = "/cache"
_VENV = ".venv"
# All within what lasts for a proof, so that a second environment downloads nothing again.
_CACHES = {
    "UV_CACHE_DIR": f"{CACHE}/uv",
    "UV_TOOL_DIR": f"{CACHE}/tools",
    "PIP_CACHE_DIR": f"{CACHE}/pip",
    "POETRY_CACHE_DIR": f"{CACHE}/poetry",
    "PDM_CACHE_DIR": f"{CACHE}/pdm",
    "PIPENV_CACHE_DIR": f"{CACHE}/pipenv",
    "XDG_CACHE_HOME": f"{CACHE}/other",
}
# Where uv is not on this machine, the interpreter's pip gets it.
_GET_UV = (
    f'"$PYTHON" -m venv {CACHE}/programs && {CACHE}/programs/bin/pip install --quiet uv'
    f" && mkdir -p {CACHE}/bin && ln -sf ../programs/bin/uv {CACHE}/bin/uv"
)


@dataclass(frozen=True)
class Environment:
    """A copy of the repository with its environment, which commands see as `folder`."""

    sandbox: Sandbox
    recipe: Recipe
    folder: str
    copy: Path
    home: Path
    temporary: str

    def run(self, command: str, place: Place, seconds: float, *, seed: int | None = None) -> Ended:
        """Run a shell's command without network in a place that `fresh` made."""
        variables = {} if seed is None else {"PYTHONHASHSEED": str(seed)}
        return self.sandbox.run(
            ["sh", "-c", command], place, seconds, path=self.path(), environment=variables
        )

    def install(self, command: str, seconds: float) -> Ended:
        """Run a shell's command with network in the copy itself."""
        cache = self.sandbox.scratch / "cache"
        cache.mkdir(exist_ok=True)
        place = self._place(self.copy, self.home, {cache: CACHE})
        variables = {**_CACHES, **self.recipe.variables}
        words = ["sh", "-c", command]
        return self.sandbox.run(
            words, place, seconds, path=self.path(), environment=variables, network=True
        )

    def fresh(self) -> tuple[Path, Place]:
        """Return a copy of the copy, and the place where it takes the first one's place.

        Each has a home as the install left it, and temporary folders of its own.
        """
        into = self.sandbox.scratch / str(next(self.sandbox.numbers))
        into.mkdir()
        venv = self.copy / _VENV
        # Of a link, bubblewrap would mount what it leads to.
        own = venv.is_dir() and not venv.is_symlink()
        copied = copy.again(self.copy, into / "copy", without=_VENV if own else "")
        home = copy.again(self.home, into / "home")
        more = {venv: f"{self.folder}/{_VENV}"} if own else {}
        return copied, self._place(copied, home, more)

    def path(self) -> str:
        """Return the variable PATH of commands: the environment, uv, the Python, the system."""
        python = [str(self.recipe.python.prefix / "bin")] if self.recipe.python else []
        uv = find_uv()
        programs = str(uv.parent) if uv else f"{CACHE}/bin"
        return ":".join([f"{self.folder}/{_VENV}/bin", programs, *python, PATH])

    def packages(self) -> int:
        """Return how many packages are in it."""
        return len([*self.copy.glob(f"{_VENV}/lib/*/site-packages/*.dist-info")])

    def _place(self, copied: Path, home: Path, more: dict[Path, str]) -> Place:
        folders = {}
        for name in ("/tmp", "/var/tmp"):  # noqa: S108 - the sandbox's own
            folder = self.sandbox.scratch / f"temporary-{next(self.sandbox.numbers)}"
            folder.mkdir()
            folders[folder] = name
        if self.temporary:
            (next(iter(folders)) / self.temporary).mkdir()
        mounts = {home: HOME, **folders, copied: self.folder, **more}
        return Place(self.folder, mounts, f"/tmp/{self.temporary}".rstrip("/"))  # noqa: S108


def make(  # noqa: PLR0913, PLR0917 - what there is to say of an environment
    sandbox: Sandbox, recipe: Recipe, source: Path, folder: str, temporary: str, seconds: float
) -> tuple[Environment, Ended]:
    """Make an environment in a copy of `source`; return it with how its last command ended."""
    into = sandbox.scratch / f"environment-{next(sandbox.numbers)}"
    (into / "home").mkdir(parents=True)
    copied = copy.again(source, into / "copy")
    made = Environment(sandbox, recipe, folder, copied, into / "home", temporary)
    commands = [*([] if find_uv() else [_GET_UV]), *recipe.commands]
    log, took = "", 0.0
    for command in commands:
        ended = made.install(command, seconds - took)
        log, took = f"{log}{ended.log}", took + ended.seconds
        if not ended.good:
            break
    return made, Ended(ended.status, took, log, ended.limit)


def find_uv() -> Path | None:
    """Return the program uv of this environment, or the one on PATH."""
    beside = Path(sys.executable).parent / "uv"
    if beside.is_file():
        return beside
    found = which("uv")
    return Path(found) if found and "shims" not in found else None
