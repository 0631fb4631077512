"""Whether two trainings wrote the same."""

import json
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .outputs import common, matches

_SHOWN = 4


@dataclass(frozen=True)
class Comparison:
    """Files by what came of comparing them; `left_out` says what of equal ones was not compared."""

    same: list[str]
    different: list[str]
    left_out: dict[str, str]


def compare(
    first: Mapping[str, Any], second: Mapping[str, Any], volatile_metrics: tuple[str, ...] = ()
) -> Comparison:
    """Compare files by their digests, as `digests` returns them, by path.

    Files of runs with an id of their own are compared as a group, since ids differ.
    """
    one, other = _grouped(first), _grouped(second)
    same: list[str] = []
    different: list[str] = []
    left_out = {}
    for name in sorted({*one, *other}):
        if name not in one or name not in other:
            run = "first" if name in one else "second"
            different.append(f"{name} (only the {run} run wrote it)")
        elif _sorted(one[name], "raw") == _sorted(other[name], "raw"):
            same.append(name)
        else:
            differ = _parts(one[name], other[name], volatile_metrics)
            if differ:
                parts = listed(sorted(filter(None, differ)))
                different.append(f"{name} ({parts})" if parts else name)
            else:
                same.append(name)
                left_out[name] = one[name][0]["left_out"]
    return Comparison(same, different, left_out)


def listed(names: list[str], shown: int = _SHOWN) -> str:
    """Return names in words, of many the first ones."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more


def read(path: Path) -> dict[str, Any]:
    """Return what `digests` wrote."""
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def _grouped(found: Mapping[str, Any]) -> dict[str, list[Any]]:
    groups = defaultdict(list)
    for name, digest in found.items():
        groups[common(name)].append(digest)
    return groups


def _sorted(group: list[Any], key: str) -> list[str]:
    return sorted(json.dumps(digest[key], sort_keys=True) for digest in group)


def _parts(one: list[Any], other: list[Any], volatile: tuple[str, ...]) -> set[str]:
    """Return the names of the parts that differ."""
    found: list[dict[str, list[str]]] = []
    for group in (one, other):
        parts = defaultdict(list)
        for digest in group:
            for name, value in digest["parts"].items():
                kind, _, metric = name.partition(" ")
                if kind != "metric" or not matches(metric, volatile):
                    parts[common(name)].append(value)
        found.append(parts)
    names = {*found[0], *found[1]}
    return {n for n in names if sorted(found[0].get(n, [])) != sorted(found[1].get(n, []))}
