"""The site, built once for all tests that look at it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
NEEDED = ("mkdocs", "material", "mkdocstrings_handlers", "mkdocs_jupyter", "math_core", "ziamath", "brotli")


def pytest_collection_modifyitems(items):
    """Under `pytest -n` with `--dist loadgroup` one worker takes all tests of the site, and builds it once."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.xdist_group("site"))


@pytest.fixture(scope="session")
def build():
    """build(target, **environment) builds the site strictly, and returns target. (--quiet would hide the warnings.)"""
    for name in NEEDED:
        pytest.importorskip(name, reason="building the site needs the book extra")

    def build(target, **more):
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        env = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": path}
        command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(target)]
        done = subprocess.run(command, cwd=ROOT, env=env | more, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.fail(done.stdout + done.stderr, pytrace=False)
        return target

    return build


@pytest.fixture(scope="session")
def site(build, tmp_path_factory):
    """The site that NNFUNC_SITE names, if somebody has built it already, or else one built now."""
    if "NNFUNC_SITE" in os.environ:
        return Path(os.environ["NNFUNC_SITE"])
    return build(tmp_path_factory.mktemp("site") / "first")


@pytest.fixture(scope="module")
def browser():
    """Chromium; it ends with the file that uses it, since its event loop runs as long as it does."""
    playwright = pytest.importorskip("playwright.sync_api", reason="the browser tests need the browser extra")
    with playwright.sync_playwright() as driver:
        path = next(filter(None, map(shutil.which, CHROMIUM)), driver.chromium.executable_path)
        if not Path(path).exists():
            pytest.skip("no Chromium here; Debian has it as `chromium`")
        chromium = driver.chromium.launch(executable_path=path, args=["--disable-gpu"])
        yield chromium
        chromium.close()
