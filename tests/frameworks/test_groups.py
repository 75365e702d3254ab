"""Tests that share something expensive run in one process."""

from __future__ import annotations

import pytest


@pytest.mark.frameworks
@pytest.mark.xdist_group("together")
def test_a_group_is_what_pytest_xdist_goes_by(request: pytest.FixtureRequest) -> None:
    if not request.config.getoption("loadgroup", False):
        pytest.skip("not spread by groups")
    assert request.node.nodeid.endswith("@together")
