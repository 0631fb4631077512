"""Two runs side by side: the layers that differ, and every parameter and metric that does."""

from mlflow.tracking import MlflowClient

from ..core.settings import Settings
from ..provenance.manifest import LAYERS, Manifest, changes
from . import registry, runs


def compare(settings: Settings, first: str, second: str) -> list[str]:
    """Return a line for each layer of two runs, with what differs in params and metrics below.

    A run is named by the start of its id, `latest`, or an alias of the registry. Raises UserError
    where one is not there.
    """
    client = runs.connect(settings)
    found = [_find(settings, client, reference) for reference in (first, second)]
    one, two = (runs.manifest_of(client, run_id) for run_id in found)
    differences = one.differences(two)
    lines = [
        f"{place:<10}{run_id[:12]}, {runs.name_of(client, run_id)}"
        for place, run_id in zip(("first", "second"), found, strict=True)
    ]
    for layer in LAYERS:
        below = _table(layer, one, two)
        state = f"{len(below)} differ" if below else differences.get(layer, "same")
        lines += [f"{layer:<10}{state}", *below]
    return lines


def _find(settings: Settings, client: MlflowClient, reference: str) -> str:
    if reference in {registry.CHAMPION, registry.CHALLENGER}:
        return registry.resolve(settings, reference, client).run_id
    return runs.find(settings, client, reference)


def _table(layer: str, one: Manifest, two: Manifest) -> list[str]:
    if layer not in {"params", "metrics"}:
        return []
    rows = []
    for name, (old, new) in changes(getattr(one, layer), getattr(two, layer)).items():
        row = f"  {name:<32} {_short(old):>12} {_short(new):>12}"
        numbers = isinstance(old, int | float) and isinstance(new, int | float)
        rows.append(f"{row} {new - old:>+12.4g}" if numbers else row)
    return rows


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else "-" if value is None else str(value)
