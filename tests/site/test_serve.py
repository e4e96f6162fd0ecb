"""The site as it is served: nobody waits for another page's results, and a saved page comes back by itself."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest

for needed in ("mkdocs", "matplotlib", "math_core"):
    pytest.importorskip(needed, reason="serving the site needs the book extra")

ROOT = Path(__file__).parents[2]
PATIENCE = 120
CONFIG = """\
site_name: s
theme: {name: null, custom_dir: theme}
nav: [One: index.md, Two: slow.md]
plugins: []
hooks: [HOOK]
"""
RUN = """\
# One

Ran {}.

```pycon
>>> with open('runs', 'a') as file:
...     _ = file.write('{}')
>>> {}
{}

```
"""
SLOW = RUN.format("slowly", "s", "import time; time.sleep(6); 20 + 1  # doctest: +ELLIPSIS", "2...")


def page(text, code="1 + 1", output="2"):
    return RUN.format(text, "f", code, output)


@pytest.fixture
def served(tmp_path):
    """A site of a quick page and one that takes six seconds, being served."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text(page("quickly"))
    (docs / "slow.md").write_text(SLOW)
    (tmp_path / "mkdocs.yml").write_text(
        CONFIG.replace("HOOK", json.dumps(str(ROOT / "docs" / "hooks" / "examples.py")))
    )
    (tmp_path / "theme").mkdir()
    (tmp_path / "theme" / "main.html").write_text("<html><head></head><body>{{ page.content }}</body></html>")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    log = (tmp_path / "log").open("w")
    command = [sys.executable, "-m", "mkdocs", "serve", "-a", f"127.0.0.1:{port}"]
    process = subprocess.Popen(command, cwd=tmp_path, env=env, stdout=log, stderr=log, start_new_session=True)

    def wait_for(address, *wanted, without="\0"):
        """The page, once it holds all that is wanted."""
        end, text = time.monotonic() + PATIENCE, ""
        while time.monotonic() < end:
            assert process.poll() is None, (tmp_path / "log").read_text()
            try:
                text = urllib.request.urlopen(f"http://127.0.0.1:{port}/{address}", timeout=PATIENCE).read().decode()
            except OSError:
                text = ""
            if text and all(word in text for word in wanted) and without not in text:
                return text
            time.sleep(0.1)
        pytest.fail(f"{wanted} not in {text}\n{(tmp_path / 'log').read_text()}")

    def runs():
        return (tmp_path / "runs").read_text()

    yield SimpleNamespace(docs=docs, wait_for=wait_for, runs=runs, log=tmp_path / "log", process=process)
    process.send_signal(signal.SIGINT)
    process.wait(PATIENCE)
    log.close()


def test_a_served_site_waits_for_no_page_and_brings_back_the_one_that_is_saved(served):
    early = served.wait_for("slow/")
    assert "2..." in early
    assert 'http-equiv="refresh"' in early, "it asks for itself while it is being run"
    whole = served.wait_for("slow/", "21", without="refresh")
    assert "2...</code></pre>" not in whole
    assert sorted(served.runs()) == ["f", "s"]
    assert "Running the code of 2 pages" in served.log.read_text()
    assert re.search(r"One, \d+ s\n", served.log.read_text())

    (served.docs / "index.md").write_text(page("again", "print(3)", "3"))
    served.wait_for("", "Ran again", "3")
    assert sorted(served.runs()) == ["f", "f", "s"], "the other page is not run again"

    (served.docs / "index.md").write_text(page("wrongly", "2 + 2", "5"))
    served.wait_for("", "Ran wrongly", "class='wrong'", "Expected:", "Got:")
    (served.docs / "index.md").write_text(page("quickly"))
    served.wait_for("", "Ran quickly", without="wrong")
    assert sorted(served.runs()) == ["f", "f", "f", "f", "s"]

    (served.docs.parent / "mkdocs.yml").write_text((served.docs.parent / "mkdocs.yml").read_text() + "# more\n")
    end = time.monotonic() + PATIENCE
    while served.log.read_text().count("Building documentation") < 2:
        assert time.monotonic() < end
        time.sleep(0.1)
    served.wait_for("slow/", "21", without="refresh")
    assert served.runs().count("s") == 1, "a whole build takes what is kept"


def test_ctrl_c_stops_at_once_and_in_silence(served):
    """A terminal sends it to the server and to the processes that run the pages."""
    served.wait_for("")
    began = time.monotonic()
    os.killpg(served.process.pid, signal.SIGINT)
    assert served.process.wait(PATIENCE) == 0
    assert time.monotonic() - began < 5, "the six seconds of the slow page are not waited for"
    assert "Traceback" not in served.log.read_text()


def test_no_process_outlives_a_server_that_is_killed(served):
    served.wait_for("")
    os.kill(served.process.pid, signal.SIGKILL)
    served.process.wait(PATIENCE)
    end = time.monotonic() + PATIENCE
    while True:
        try:
            os.killpg(served.process.pid, 0)
        except ProcessLookupError:
            break
        assert time.monotonic() < end
        time.sleep(0.1)
