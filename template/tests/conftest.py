"""Fixtures for all tests. Yours go below; contract/ has the standard's."""

from .contract import *  # noqa: F403
