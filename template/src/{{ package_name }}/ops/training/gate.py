"""What a run has to show before its model may be registered. Every check can fail."""

import math
from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict

from ..core.settings import Params
from ..data.features import NOISE
from ..provenance.manifest import Manifest

UNMEASURED = "not measured by a quick training; train without --quick"


class Check(BaseModel):
    """One requirement, and whether it was met."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    passed: bool
    detail: str


def judge(
    manifest: Manifest,
    params: Params,
    costs: Mapping[str, float],
    champion: float | None,
) -> list[Check]:
    """Return every check on a run.

    `costs` is milliseconds a feature takes per 1,000 rows; `champion` is the present champion's
    metric on the same holdout, None where there is no champion yet.
    """
    gate, found = params.gate, manifest.metrics
    metric, reached = gate.metric, found[gate.metric]
    simple = found.get(f"baseline.{metric}", math.nan)
    checks = [
        _check("reproducible", manifest.reproducible, "clean commit, packages as locked"),
        Check(
            name="minimum",
            passed=reached >= gate.minimum,
            detail=f"{metric} {reached:.4f}, at least {gate.minimum}",
        ),
        Check(
            name="baseline",
            passed=reached >= simple + gate.baseline_margin,
            detail=UNMEASURED
            if math.isnan(simple)
            else f"{metric} {reached:.4f} against {simple:.4f} for the simpler model, "
            f"at least {gate.baseline_margin} better",
        ),
        Check(
            name="champion",
            passed=champion is None or reached >= champion - gate.champion_margin,
            detail="there is no champion yet"
            if champion is None
            else f"{metric} {reached:.4f} against {champion:.4f} for the champion, "
            f"at most {gate.champion_margin} worse",
        ),
    ]
    slices = {name: value for name, value in found.items() if name.startswith("slice.")}
    low = [f"{name} {value:.4f}" for name, value in slices.items() if value < gate.slices.minimum]
    gaps = {name: value for name, value in found.items() if name.startswith("gap.")}
    wide = [f"{name} {value:.4f}" for name, value in gaps.items() if value > gate.fairness.max_gap]
    carried = {
        name.removeprefix("importance."): value
        for name, value in found.items()
        if name.startswith("importance.")
    }
    noise = carried.pop(NOISE, math.nan)
    useless = (
        [UNMEASURED]
        if math.isnan(noise)
        else [
            f"{name} {value:.4f} (noise {noise:.4f})"
            for name, value in carried.items()
            # A feature that changes nothing has 0, which chance can put above noise.
            if value < noise + gate.importance_margin or value == 0 <= gate.importance_margin
        ]
    )
    limit = params.budgets.feature_ms
    slow = [f"{name} {cost:.1f} ms" for name, cost in costs.items() if cost > limit]
    return [
        *checks,
        _check("slices", low, f"{len(slices)} groups, each at least {gate.slices.minimum}"),
        _check(
            "fairness", wide, f"{len(gaps)} kinds of group, gap at most {gate.fairness.max_gap}"
        ),
        _check("features help", useless, f"{len(carried)} features, each no less than noise"),
        _check("features are cheap", slow, f"at most {limit} ms per 1,000 rows each"),
    ]


def failures(checks: list[Check]) -> str:
    """Say in one line what was not met; empty when all was."""
    return "; ".join(f"{check.name}: {check.detail}" for check in checks if not check.passed)


def _check(name: str, problems: list[str], good: str) -> Check:
    return Check(name=name, passed=not problems, detail="; ".join(problems) or good)
