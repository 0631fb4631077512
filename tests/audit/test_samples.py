"""How often the audit is right: repositories of many shapes against what a reader says of them."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest

from groundwork.audit.model import Status
from groundwork.audit.run import audit
from tests.audit.good import write
from tests.audit.samples import SAMPLES, Sample

# Of what is said to fail, how much does; and of what does, how much is found.
PRECISION = RECALL = 0.97


def found(sample: Sample, folder: Path) -> set[str]:
    report = audit(write(folder / "x", sample.files), today=date(2026, 11, 26))
    return {one.check.id for one in report.results if one.status is Status.FAILED}


@pytest.mark.parametrize("sample", SAMPLES, ids=[one.name for one in SAMPLES])
def test_a_repository_fails_what_a_reader_says(sample: Sample, tmp_path: Path) -> None:
    assert found(sample, tmp_path) == sample.fails


def test_precision_and_recall_over_all_labels(
    tmp_path: Path,
    record_property: Any,  # noqa: ANN401
) -> None:
    right = said = labelled = 0
    for number, sample in enumerate(SAMPLES):
        names = found(sample, tmp_path / str(number))
        right += len(names & sample.fails)
        said += len(names)
        labelled += len(sample.fails)
    precision, recall = right / said, right / labelled
    record_property(
        "told",
        f"audit of {len(SAMPLES)} repositories, {labelled} labels: "
        f"precision {precision:.3f}, recall {recall:.3f}",
    )
    assert precision >= PRECISION
    assert recall >= RECALL
