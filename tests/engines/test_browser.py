"""The console in a browser: the hello job by clicks and keys, and what other pages cannot do."""

from __future__ import annotations

import functools
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from tests.engines.browser import Browser
from tests.jobs import HELLO, command, environment
from tests.web.served import children_of, is_gone, until

pytestmark = [pytest.mark.programs, pytest.mark.timeout(300)]


@contextmanager
def web(folder: Path, *arguments: str) -> Iterator[tuple[str, int]]:
    """``fltui web``: its address and its process id."""
    process = subprocess.Popen(
        command("web", "--port", "0", "--json", "--jobs", str(HELLO.parent), *arguments),
        cwd=folder,
        env={**environment(folder), "FLTUI_CONFIG": str(folder / "config.toml"), "TEXTUAL_ANIMATIONS": "none"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield json.loads(process.stdout.readline())["url"], process.pid
    finally:
        process.terminate()
        assert process.wait(30) == 143
        process.stdout.close()


@contextmanager
def other_site(folder: Path, page: str) -> Iterator[str]:
    """A page of another web site, on this machine."""
    folder.mkdir()
    (folder / "index.html").write_text(page)

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


async def test_the_hello_job_by_clicks_and_keys(tmp_path: Path) -> None:
    with web(tmp_path) as (url, pid), Browser(tmp_path / "browser") as browser:
        browser.requests()
        browser.open(url)
        browser.wait_for("hello-fedavg-numpy", "no runs yet")
        assert {urlsplit(asked).netloc for asked in browser.requests() if not asked.startswith("data:")} == {
            urlsplit(url).netloc
        }
        (console,) = children_of(pid)

        browser.click("hello-fedavg-numpy")
        browser.press("r")
        shown = browser.wait_for("COMPLETED", "12.000")
        assert all(f"{number}.000" in shown for number in range(4, 13))
        (run,) = (tmp_path / "runs").iterdir()
        expected = np.arange(4, 13, dtype=np.float32).reshape(3, 3)
        assert (np.load(run / "models" / "final" / "numpy_key.npy") == expected).all()

        browser.driver.execute_script("navigator.clipboard.writeText = (text) => { window.copied = text; }")
        browser.press("y")
        browser.wait_for("copied")
        assert browser.driver.execute_script("return window.copied")

        browser.resize(1700, 900)
        browser.wait_for("COMPLETED", "Metrics", "Weights", "Rounds")
        browser.press("e")
        downloads = tmp_path / "browser" / "downloads"
        await until(lambda: any(downloads.glob("*.svg")), "the picture is not downloaded")

        browser.press("q")
        browser.wait_until_said("The console was left. Runs go on.")
        await until(lambda: is_gone(console), "the console outlives its page")
        browser.press("\n")  # on the button
        browser.wait_for("COMPLETED", f"#{run.name[-4:]}")
        (again,) = children_of(pid)
        browser.driver.refresh()
        browser.wait_for("Jobs", "Runs")
        await until(lambda: is_gone(again), "a console outlives the page that was loaded again")


def test_other_pages_and_the_token(tmp_path: Path) -> None:
    with web(tmp_path, "--token-file", "token", "--make-token") as (url, _), Browser(tmp_path / "browser") as browser:
        token = (tmp_path / "token").read_text().strip()
        browser.open(url)
        assert "asks for its token" in browser.said()
        browser.open(f"{url}/?token={token[:-1]}")
        assert "That is not its token." in browser.said()
        browser.press(token, "\n")
        browser.wait_for("hello-fedavg-numpy")
        assert browser.driver.current_url == f"{url}/"
        browser.driver.delete_all_cookies()
        browser.open(f"{url}/?token={token}")
        browser.wait_for("hello-fedavg-numpy")
        assert browser.driver.current_url == f"{url}/"
        assert browser.driver.execute_script("return document.cookie") == ""

        attack = f"""
        <title>waiting</title>
        <iframe src="{url}/"></iframe>
        <script>
          const socket = new WebSocket("{url.replace("http", "ws")}/ws?width=80&height=24");
          socket.onopen = () => {{ document.title = "open"; }};
          socket.onerror = () => {{ document.title = "refused"; }};
        </script>
        """
        with other_site(tmp_path / "site", attack) as other:
            browser.open(other)
            browser.wait_until(lambda: browser.driver.title != "waiting", "nothing came of it")
            assert browser.driver.title == "refused"
            browser.driver.switch_to.frame(0)
            assert not browser.driver.find_elements("id", "terminal"), "it is shown in a frame of another page"


def test_without_a_token_other_pages_get_no_console_either(tmp_path: Path) -> None:
    with web(tmp_path) as (url, pid), Browser(tmp_path / "browser") as browser:
        script = f"""
        <title>waiting</title>
        <script>
          const socket = new WebSocket("{url.replace("http", "ws")}/ws?width=80&height=24");
          socket.onopen = () => {{ document.title = "open"; }};
          socket.onerror = () => {{ document.title = "refused"; }};
        </script>
        """
        with other_site(tmp_path / "site", script) as other:
            browser.open(other)
            browser.wait_until(lambda: browser.driver.title != "waiting", "nothing came of it")
        assert browser.driver.title == "refused"
        assert not children_of(pid)
