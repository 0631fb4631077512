"""The canary: a new release answers part of the requests, and must do as well as the old one."""

import time
from collections import Counter as Counts
from collections.abc import Callable

from prometheus_client.parser import text_string_to_metric_families

from ..core.errors import UserError
from ..core.settings import Settings
from .release import Address, get

# How much worse than the old one: a share of requests, and of their mean time.
FAILED, REFUSED, SLOWER = 0.01, 0.1, 2.0
# Seconds by which a mean may differ in any case.
JITTER = 0.05


# How one release answered: `requests` to /predict, those of them that `failed` and were `refused`,
# and the `seconds` that they took together.
Count = Counts[str]
# Returns what a release has answered until now.
Counter = Callable[[], Count]


def counter(address: Address) -> Counter:
    """Return the counter of the one process at `address`."""

    def count() -> Count:
        try:
            return read(get(address, "/metrics", timeout=10)[1].decode())
        except UserError as error:
            raise UserError(f"canary: {error}") from None

    return count


def read(metrics: str) -> Count:
    """Count what a service's /metrics tell. Raises UserError where they are no metrics."""
    try:
        families = text_string_to_metric_families(metrics)
        samples = [one for family in families for one in family.samples]
    except ValueError as error:
        raise UserError(f"GET /metrics failed: {error}") from None
    own = [one for one in samples if one.labels.get("path") == "/predict"]
    found = Count()
    for one in own:
        if one.name == "ml_request_seconds_sum":
            found["seconds"] = one.value  # type: ignore[assignment]
        elif one.name == "ml_requests_total":
            kind = {"5": "failed", "4": "refused"}.get(one.labels["status"][:1], "given")
            found.update({"requests": one.value, kind: one.value})
    return found


def share(count: Count, part: str) -> float:
    """Return a part of a count for each request."""
    return count[part] / count["requests"] if count["requests"] else 0.0


def watch(old: Counter, new: Counter, before: Count, settings: Settings) -> str:
    """Compare two releases while they share the requests; return what to record.

    `before` is what the new one had answered until it got a share.

    Raises UserError, at once where requests fail, if the new one does worse than the old one, or if
    the settings require more requests than came.
    """
    begun = old()
    end = time.monotonic() + settings.canary_seconds
    while True:
        theirs, mine = old() - begun, new() - before
        if share(mine, "failed") > share(theirs, "failed") + FAILED:
            raise UserError(
                f"canary: {mine['failed']:.0f} of {mine['requests']:.0f} requests failed, "
                f"{theirs['failed']:.0f} of {theirs['requests']:.0f} on the old release"
            )
        if time.monotonic() > end:
            break
        time.sleep(min(0.25, settings.canary_seconds))
    fewest, enough = min(theirs["requests"], mine["requests"]), settings.canary_min_requests
    if fewest < enough:
        short = f"canary: not enough requests: {fewest:.0f} of {enough}"
        if settings.canary_required:
            raise UserError(f"{short}; ML_CANARY_REQUIRED asks for them")
        return f"{short}; errors, rejections and latency were not compared"
    _compare(theirs, mine)
    both = (mine + theirs)["requests"]
    return f"canary: {mine['requests']:.0f} of {both:.0f} requests"


def _compare(old: Count, new: Count) -> None:
    before, now = share(old, "refused"), share(new, "refused")
    if now > before + REFUSED:
        raise UserError(
            f"canary: {now:.0%} of the requests were refused, {before:.0%} by the old release"
        )
    before, now = share(old, "seconds"), share(new, "seconds")
    if now > before * SLOWER + JITTER:
        raise UserError(
            f"canary: a request takes {now * 1000:.0f} ms, "
            f"{before * 1000:.0f} ms on the old release"
        )
