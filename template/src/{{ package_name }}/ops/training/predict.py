"""Batch inference: score the rows of a file."""

from pathlib import Path

from ..core.files import write_file
from ..core.project import model, schema
from ..core.settings import Settings
from ..data import dataset
from .bundle import fetched, score


def predict_file(settings: Settings, reference: str, source: Path, out: Path) -> int:
    """Score the rows of a CSV file with a registered version and write them to `out`.

    Identifiers are carried through, other columns must be schema.Inputs'. Returns the number of
    rows. Raises UserError, with `out` untouched, for rows that break the schema.
    """
    from ..tracking import registry

    rows = dataset.read_csv(source)
    own = rows.filter(items=[schema.IDENTIFIER])
    checked = dataset.check(rows.drop(columns=own.columns), schema.Inputs, source.name)
    version = registry.resolve(settings, reference)
    with fetched(settings, version) as bundle:
        scores = score(bundle.model, checked)
    names = dataset.classes(scores)
    columns = (
        {"score": scores}
        if names is None
        else {f"score_{name}": column for name, column in zip(names, scores.T, strict=True)}
    )
    answers = own.assign(**columns, label=model.decide(scores), model_version=version.number)
    write_file(out, answers.to_csv(index=False, lineterminator="\n").encode())
    return len(answers)
