"""A place that speaks the S3 protocol on this machine: moto's server, a process of its own."""

from __future__ import annotations

import http.client
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.engines.syncthing import await_true

_REMOTE = """\
[{name}]
type = s3
provider = Other
endpoint = http://127.0.0.1:{port}
access_key_id = test
secret_access_key = test
region = us-east-1
"""


@contextmanager
def bucket_server(folder: Path, name: str, bucket: str) -> Iterator[str]:
    """Run it with an empty bucket; gives the remote for rclone's configuration."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "moto.log"
    with log.open("wb") as out:
        command = [sys.executable, "-c", "from moto.server import main; main()", "-H", "127.0.0.1", "-p", "0"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:

        def port() -> int:
            assert process.poll() is None, log.read_text()
            found = re.search(r"http://127\.0\.0\.1:(\d+)", log.read_text())
            return int(found[1]) if found else 0

        await_true(port, "moto listens")
        await_true(lambda: _make(port(), bucket), "moto has made a bucket")
        yield _REMOTE.format(name=name, port=port())
    finally:
        process.kill()
        process.wait()


def _make(port: int, bucket: str) -> bool:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    with suppress(OSError, http.client.HTTPException):
        line.request(
            "PUT", f"/{bucket}", headers={"Authorization": "AWS4-HMAC-SHA256 Credential=test/x/us-east-1/s3/x"}
        )
        return line.getresponse().status == 200
    return False
