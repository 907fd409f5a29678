"""What holds for all tests: in CI nothing skips, and nobody's presets and sessions are touched."""

import functools
import http.server
import os
import shutil
import threading
from contextlib import contextmanager

import pytest
from firefox import firefox as firefox_in

from rtsep import page


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    report = yield
    if report.skipped and os.environ.get("CI") == "true":
        report.outcome, report.longrepr = "failed", f"skipped in CI: {report.longrepr}"
    return report


@pytest.fixture(scope="session", autouse=True)
def _config(tmp_path_factory):
    os.environ["RTSEP_CONFIG"] = str(tmp_path_factory.mktemp("config"))


CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)


@pytest.fixture(scope="session")
def firefox(tmp_path_factory):
    """Another one; see firefox.py."""
    with firefox_in(tmp_path_factory.mktemp("firefox")) as browser:
        yield browser


@pytest.fixture(scope="module")
def chromium():
    """A browser without a window, with a microphone that beeps."""
    with chromium_with() as browser:
        yield browser


@contextmanager
def chromium_with(*flags):
    """Such a browser with more `flags`."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (Debian: apt install chromium chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, *flags):
        options.add_argument(flag)
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_script_timeout(120)
    try:
        yield driver
    finally:
        driver.quit()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return page.write(tmp_path_factory.mktemp("page") / "out")


class Quiet(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/blank":  # a page of the folder, and nothing else
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
        else:
            super().do_GET()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(scope="module")
def browser(chromium, address):
    chromium.get(f"{address}/blank")
    return chromium


@pytest.fixture(scope="module", params=["chromium", "firefox"])
def each_browser(request, address):
    browser = request.getfixturevalue(request.param)
    browser.get(f"{address}/blank")
    return browser
