"""What holds for all tests: in CI nothing skips, and nobody's presets and sessions are touched."""

import os

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome, report.longrepr = "failed", f"skipped in CI: {report.longrepr}"
    return report


@pytest.fixture(scope="session", autouse=True)
def _config(tmp_path_factory):
    os.environ["RTSEP_CONFIG"] = str(tmp_path_factory.mktemp("config"))
