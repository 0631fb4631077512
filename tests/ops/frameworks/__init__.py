"""Tests of the standard that depend on the framework: each file runs in a render of its own."""

import pytest

# The tests that two frameworks share report what they compared, too.
pytest.register_assert_rewrite(f"{__name__}.networks")
