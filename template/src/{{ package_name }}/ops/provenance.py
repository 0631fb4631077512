"""What a run was made of: one manifest with a hash for each layer, and the model's own digest."""

import hashlib
import json
import math
import os
import platform
import shutil
import struct
import subprocess
import types
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict
from threadpoolctl import threadpool_info

from . import lock
from .context import Context
from .errors import UserError
from .settings import Params, Settings

# In the order in which a difference explains the ones after it.
LAYERS = ("code", "lock", "data", "params", "platform", "model", "metrics")


class _Record(BaseModel):
    # Not `forbid`: a manifest that a newer standard wrote stays readable, and new fields have
    # defaults, so that old ones do.
    model_config = ConfigDict(frozen=True)


class Code(_Record):
    """The commit, what differed from it, and the hash of every file under src/."""

    commit: str | None
    dirty: list[str]
    sha256: str
    features_sha256: str


class Lock(_Record):
    """The lock's hash, and the packages that were not installed as it says."""

    sha256: str
    drifted: list[str]


class Data(_Record):
    """Where the rows came from and the hash of each file."""

    source: str
    files: dict[str, str]


class Platform(_Record):
    """The machine. `cpu`, `cores`, `threads` and `image` are told, but not compared.

    `blas` names the kernels that the linear algebra library chose for this processor: the last
    bits of a sum depend on them, and so they do on the `workers` that shared the fit. `gpu` and
    its driver count where `device` is cuda.
    """

    python: str
    system: str
    machine: str
    blas: str = ""
    device: str = "cpu"
    workers: int = 1
    gpu: str | None
    cpu: str
    cores: int
    threads: dict[str, str]
    image: str | None


class Manifest(_Record):
    """Everything that decides what a run gives, and what it gave."""

    created: datetime
    seed: int
    code: Code
    lock: Lock
    data: Data
    params: dict[str, Any]
    platform: Platform
    model_digest: str
    metrics: dict[str, float]

    @property
    def reproducible(self) -> list[str]:
        """Reasons why nobody else can have this run again; empty when there are none."""
        reasons = []
        if self.code.commit is None:
            reasons.append("the project has no commit")
        if self.code.dirty:
            reasons.append(f"uncommitted changes in {_some(self.code.dirty)}")
        if self.lock.drifted:
            reasons.append(f"packages not as locked: {_some(self.lock.drifted)}")
        return reasons

    def differences(self, other: "Manifest") -> dict[str, str]:
        """Return why `other` is not this run, a line for each layer that differs, in order."""
        return {
            layer: reason
            for layer in LAYERS
            if (reason := getattr(self, f"_{layer}")(other)) is not None
        }

    def _code(self, other: "Manifest") -> str | None:
        # params.yaml, the lock and the data have layers of their own, which say more.
        own = ("params.yaml", "poetry.lock", "requirements/", "data/")
        dirty = [path for path in self.code.dirty if not path.startswith(own)]
        if self.code.commit is None:
            return "the run was made without a commit"
        if dirty:
            return f"the run was made with uncommitted changes in {_some(dirty)}"
        if self.code.sha256 != other.code.sha256:
            return "files under src/ differ"
        edited = [path for path in other.code.dirty if not path.startswith(own)]
        return f"uncommitted changes in {_some(edited)}" if edited else None

    def _lock(self, other: "Manifest") -> str | None:
        if self.lock.sha256 != other.lock.sha256:
            return "poetry.lock or its exports differ"
        drifted = self.lock.drifted or other.lock.drifted
        return f"packages not as locked: {_some(drifted)}" if drifted else None

    def _data(self, other: "Manifest") -> str | None:
        changed = [
            name
            for name in sorted({*self.data.files, *other.data.files})
            if self.data.files.get(name) != other.data.files.get(name)
        ]
        return f"{_some(changed)} differ from the run's" if changed else None

    def _params(self, other: "Manifest") -> str | None:
        changed = _changed(self.params, other.params)
        return f"params.yaml: {_some(changed)}" if changed else None

    def _platform(self, other: "Manifest") -> str | None:
        names = ["python", "system", "machine", "blas", "device", "workers"]
        if self.platform.device != "cpu":
            names.append("gpu")
        changed = [
            f"{name} {mine} became {theirs}"
            for name in names
            if (mine := getattr(self.platform, name)) != (theirs := getattr(other.platform, name))
        ]
        return _some(changed) if changed else None

    def _model(self, other: "Manifest") -> str | None:
        if self.model_digest == other.model_digest:
            return None
        return f"digest {self.model_digest[:12]} became {other.model_digest[:12]}"

    def _metrics(self, other: "Manifest") -> str | None:
        changed = _changed(self.metrics, other.metrics)
        return _some(changed) if changed else None


def collect(
    settings: Settings,
    params: Params,
    data: Data,
    model: Any,
    metrics: Mapping[str, float],
) -> Manifest:
    """Describe the present project, environment and machine, and the fitted model."""
    return Manifest(
        created=datetime.now(UTC),
        seed=params.seed,
        code=code(settings.root),
        lock=Lock(sha256=lock_sha256(settings.root), drifted=lock.drifted(settings.root)),
        data=data,
        params=params.model_dump(),
        platform=machine(settings.device, Context.of(params, settings).workers),
        model_digest=model_digest(model),
        metrics=dict(metrics),
    )


def code(root: Path) -> Code:
    """Describe the code under `root`: its commit and the contents of src/."""
    commit, dirty = git_state(root)
    return Code(
        commit=commit,
        dirty=dirty,
        sha256=code_of(root / "src"),
        features_sha256=features_sha256(),
    )


def code_of(source: Path) -> str:
    """Hash every Python file under `source`, by name and content."""
    return _sha256_of(sorted(source.rglob("*.py")), source)


def features_sha256() -> str:
    """Hash the feature code that is running, to tell training from serving."""
    package = Path(__file__).resolve().parents[1]
    return _sha256_of([package / "features.py", package / "ops" / "features.py"], package)


def lock_sha256(root: Path) -> str:
    """Hash poetry.lock together with the runtime exports that environments are made from."""
    exports = [root / "requirements" / f"{group}.txt" for group in lock.RUNTIME]
    return _sha256_of([root / "poetry.lock", *exports], root)


def sha256_text(text: str) -> str:
    """Return the SHA-256 of a text in UTF-8, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """Return the file's SHA-256 in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def git(root: Path, *arguments: str) -> str:
    """Return what `git` prints in `root`. Raises UserError with git's own last line."""
    try:
        done = subprocess.run(  # noqa: S603
            ["git", "-C", str(root), *arguments],  # noqa: S607
            check=True,
            capture_output=True,
            text=True,
        )
    except FileNotFoundError:
        raise UserError("git is not installed; a run is tied to its commit") from None
    except subprocess.CalledProcessError as error:
        last = (error.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise UserError(f"git {arguments[0]}: {last.removeprefix('fatal: ')}") from None
    return done.stdout


def git_state(root: Path) -> tuple[str | None, list[str]]:
    """Return the commit and the paths that differ from it; (None, []) where there is none.

    An image has no history: there ML_COMMIT names the commit that all of it is from.

    An untracked file counts only where it is code: a new notebook does not change a run. Nor does
    dvc.lock, which DVC writes while it runs.
    """
    try:
        commit = git(root, "rev-parse", "--verify", "HEAD").strip()
    except UserError:
        return os.environ.get("ML_COMMIT") or None, []
    prefix = git(root, "rev-parse", "--show-prefix").strip()
    lines = git(root, "status", "--porcelain", "-z", "--no-renames", "-uall", ".").split("\0")
    changes = [(line[:2], line[3:].removeprefix(prefix)) for line in lines if line]
    return commit, [
        path
        for kind, path in changes
        if (kind != "??" or path.startswith("src/")) and path != "dvc.lock"
    ]


def machine(device: str = "cpu", workers: int = 1) -> Platform:
    """Describe the machine that is running, and what of it a fit used."""
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED")
    return Platform(
        python=f"{platform.python_implementation()} {platform.python_version()}",
        system=platform.system(),
        machine=platform.machine(),
        blas=_blas(),
        device=device,
        workers=workers,
        gpu=_gpu(),
        cpu=_cpu(),
        cores=os.cpu_count() or 1,
        threads={name: os.environ[name] for name in threads if name in os.environ},
        image=os.environ.get("ML_IMAGE_DIGEST"),
    )


def model_digest(model: Any) -> str:
    """Hash a fitted model's canonical form, in hex: equal if and only if the models are equal."""
    from . import flavor

    return digest(flavor.canonical(model))


def digest(value: Any) -> str:
    """Hash any value, in hex: equal if and only if the values are equal.

    Files that libraries write are not byte-stable (time stamps, padding, the order of sets), so
    the objects are walked instead: every attribute, every array by type, shape and values.
    """
    state = hashlib.sha256()
    _feed(state, value, ())
    return state.hexdigest()


def _feed(state: Any, value: Any, parents: tuple[int, ...]) -> None:
    """Add `value` to `state`: its kind, then its content, each with its length."""
    below = (*parents, id(value))
    match value:
        case _ if id(value) in parents:
            _put(state, "cycle", str(len(parents) - parents.index(id(value))).encode())
        case None | bool() | int() | str() | bytes():
            content = value if isinstance(value, bytes) else str(value).encode()
            _put(state, type(value).__name__, content)
        case float() if type(value) is float:
            _put(state, "float", struct.pack("<d", math.nan if math.isnan(value) else value))
        case np.ndarray() | np.generic():
            _feed_array(state, np.asarray(value), below)
        case pd.DataFrame() | pd.Series() | pd.Index():
            _feed_all(state, type(value).__name__, _columns(value), below)
        case Mapping():
            keys = [key for _, key in sorted((digest(key), key) for key in value)]
            _feed_all(state, "mapping", [part for key in keys for part in (key, value[key])], below)
        case list() | tuple():
            _feed_all(state, type(value).__name__, value, below)
        case set() | frozenset():
            _feed_all(state, "set", sorted(digest(item) for item in value), below)
        case type() | types.FunctionType() | types.BuiltinFunctionType():
            _feed_code(state, value, below)
        case _:
            # What pickle would store: a class or factory, its arguments and the object's state.
            _put(state, "object", f"{type(value).__module__}.{type(value).__qualname__}".encode())
            _feed_all(state, "state", _parts(value.__reduce_ex__(4)), below)


def _feed_all(state: Any, kind: str, values: Sequence[Any], parents: tuple[int, ...]) -> None:
    _put(state, kind, str(len(values)).encode())
    for value in values:
        _feed(state, value, parents)


def _columns(table: pd.DataFrame | pd.Series | pd.Index) -> list[Any]:
    """Return a table's labels and values, an array each."""
    frame = table if isinstance(table, pd.DataFrame) else table.to_frame()
    values = [frame.iloc[:, number].to_numpy() for number in range(frame.shape[1])]
    return [frame.index.to_numpy(), frame.columns.to_numpy(), *values]


def _feed_code(state: Any, value: Any, parents: tuple[int, ...]) -> None:
    """Add a class or function by its name, and a function without one by what it does."""
    _put(state, "name", f"{value.__module__}.{value.__qualname__}".encode())
    if "<" in value.__qualname__:
        code = value.__code__
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
        constants = [item for item in code.co_consts if not isinstance(item, types.CodeType)]
        _feed_all(state, "code", [code.co_code, constants, code.co_names, cells], parents)


def _parts(reduced: str | tuple[Any, ...]) -> list[Any]:
    """Return what `reduced` holds of an object: arguments, state, list items and pairs."""
    if isinstance(reduced, str):
        return [reduced]
    _, arguments, contents, items, pairs = (*reduced, None, None, None)[:5]
    return [arguments, contents, list(items or ()), list(pairs or ())]


def _feed_array(state: Any, array: np.ndarray, parents: tuple[int, ...]) -> None:
    _put(state, "array", f"{array.dtype.newbyteorder('<').str} {array.shape}".encode())
    if array.dtype.names:  # field by field: the padding between them holds whatever was there
        for name in array.dtype.names:
            _put(state, "field", name.encode())
            _feed_array(state, array[name], parents)
    elif array.dtype.hasobject:
        for item in array.ravel().tolist():
            _feed(state, item, parents)
    else:
        if array.dtype.kind in "fc":
            array = np.where(np.isnan(array), np.array(np.nan, array.dtype), array)
        _put(state, "values", np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tobytes())


def _put(state: Any, kind: str, content: bytes = b"") -> None:
    state.update(f"{kind}:{len(content)}:".encode() + content)


def _sha256_of(files: list[Path], base: Path) -> str:
    state = hashlib.sha256()
    for file in files:
        _put(state, file.relative_to(base).as_posix(), file.read_bytes())
    return state.hexdigest()


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    old, new = flat(before), flat(after)
    return [
        f"{key} {json.dumps(old.get(key))} became {json.dumps(new.get(key))}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    ]


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested `values` on one level, their keys joined by dots."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _some(items: list[str], most: int = 3) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def _blas() -> str:
    """Name the kernels of the loaded linear algebra libraries, such as Haswell or SkylakeX."""
    libraries = [found for found in threadpool_info() if found["user_api"] == "blas"]
    names = {library.get("architecture") or library["internal_api"] for library in libraries}
    return ", ".join(sorted(names))


def _gpu() -> str | None:
    """Name the GPU and its driver, as the driver's own tool tells them."""
    if (tool := shutil.which("nvidia-smi")) is None:
        return None
    query = [tool, "--query-gpu=name,driver_version", "--format=csv,noheader"]
    done = subprocess.run(query, capture_output=True, text=True, check=False)  # noqa: S603
    return "; ".join(done.stdout.strip().splitlines()) or None if done.returncode == 0 else None
