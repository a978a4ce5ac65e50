"""Which parameters of a test are for every run, and which for the slow one."""

import pytest


def a_few(values, *default):
    """All of these parameters, of which those that are not among the default ones are slow."""
    assert set(default) <= set(values)
    return [each if each in default else pytest.param(each, marks=pytest.mark.slow) for each in values]
