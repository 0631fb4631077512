"""The reference of the checks is current, and each check says what people need."""

import re

import pytest

from groundwork.audit import reference
from groundwork.audit.catalogue import checks, families
from groundwork.audit.model import Check
from tests.conftest import ROOT


def test_the_reference_of_the_checks_is_current() -> None:
    page = (ROOT / "docs/reference/checks.md").read_text("utf-8")
    assert reference.markdown() == page, "groundwork checks > docs/reference/checks.md"


@pytest.mark.parametrize("check", checks().values(), ids=lambda check: check.id)
def test_a_check_has_a_rule_a_reason_a_mend_and_a_command(check: Check) -> None:
    assert re.fullmatch(r"[A-Z]{2}10\d|EX11\d", check.id)
    assert check.family in families()
    for text in (check.reason, check.mend):
        assert re.fullmatch(r"[A-Z`\"/].{15,110}\.", text), text
    assert re.fullmatch(r".{5,90}", check.title)
    assert check.command
    assert check.requires <= checks().keys()
    assert not check.link or check.link.startswith("https://")
