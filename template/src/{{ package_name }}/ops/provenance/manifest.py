"""What a run was made of: one manifest with a hash for each layer, and the model's own digest."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from ..core.context import Context
from ..core.files import sha256_files
from ..core.settings import Params, Settings
from . import lock
from .digest import model_digest
from .git import git_state
from .lock import lock_sha256
from .machine import Platform, describe_machine

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


class Lock(_Record):
    """The lock's hash, and the packages that were not installed as it says."""

    sha256: str
    drifted: list[str]


class Data(_Record):
    """Where the rows came from and the hash of each file."""

    source: str
    files: dict[str, str]


class Manifest(_Record):
    """Everything that decides what a run gives, and what it gave."""

    created: datetime
    seed: int
    code: Code
    lock: Lock
    data: Data
    params: dict[str, Any]
    # What `train --set` replaced of params.yaml; `params` has these values.
    overrides: dict[str, Any] = {}
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
        reasons = {layer: getattr(self, f"_{layer}")(other) for layer in LAYERS}
        return {layer: reason for layer, reason in reasons.items() if reason}

    # Each layer's method returns the reason, empty where nothing differs.

    def _code(self, other: "Manifest") -> str:
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
        return f"uncommitted changes in {_some(edited)}" if edited else ""

    def _lock(self, other: "Manifest") -> str:
        if self.lock.sha256 != other.lock.sha256:
            return "poetry.lock or its exports differ"
        drifted = self.lock.drifted or other.lock.drifted
        return f"packages not as locked: {_some(drifted)}" if drifted else ""

    def _data(self, other: "Manifest") -> str:
        changed = list(changes(self.data.files, other.data.files))
        return f"{_some(changed)} differ from the run's" if changed else ""

    def _params(self, other: "Manifest") -> str:
        changed = _changed(self.params, other.params)
        return f"params.yaml: {_some(changed)}" if changed else ""

    def _platform(self, other: "Manifest") -> str:
        compared = {"python", "system", "machine", "blas", "device", "workers"}
        if self.platform.device != "cpu":
            compared.add("gpu")
        mine, theirs = (one.platform.model_dump(include=compared) for one in (self, other))
        moved = changes(mine, theirs).items()
        return _some([f"{name} {old} became {new}" for name, (old, new) in moved])

    def _model(self, other: "Manifest") -> str:
        if self.model_digest == other.model_digest:
            return ""
        return f"digest {self.model_digest[:12]} became {other.model_digest[:12]}"

    def _metrics(self, other: "Manifest") -> str:
        return _some(_changed(self.metrics, other.metrics))


def collect_manifest(
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
        code=describe_code(settings.root),
        lock=Lock(sha256=lock_sha256(settings.root), drifted=lock.drifted(settings.root)),
        data=data,
        params=params.model_dump(),
        overrides=settings.overrides,
        platform=describe_machine(settings.device, Context.of(params, settings).workers),
        model_digest=model_digest(model),
        metrics=dict(metrics),
    )


def describe_code(root: Path) -> Code:
    """Describe the code under `root`: its commit and the contents of src/."""
    commit, dirty = git_state(root)
    return Code(commit=commit, dirty=dirty, sha256=code_sha256(root / "src"))


def code_sha256(source: Path) -> str:
    """Hash every Python file under `source`, by name and content."""
    return sha256_files(sorted(source.rglob("*.py")), source)


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Return the two values of every key, nested ones joined by dots, that differ."""
    old, new = flatten(before), flatten(after)
    return {
        key: (old.get(key), new.get(key))
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    }


def _changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    return [
        f"{key} {json.dumps(old)} became {json.dumps(new)}"
        for key, (old, new) in changes(before, after).items()
    ]


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested `values` on one level, their keys joined by dots."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            found |= flatten(value, f"{prefix}{key}.")
        else:
            found[f"{prefix}{key}"] = value
    return found


def _some(items: list[str], most: int = 3) -> str:
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more
