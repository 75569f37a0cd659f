"""The end of a connection, whatever went wrong before."""

from __future__ import annotations

import asyncio
import os
from typing import Any

import pytest

from fltui.errors import BadInputError
from fltui.simulator.cluster import connection as module
from fltui.simulator.cluster.connection import Connection


class _Client:
    """One that says goodbye badly."""

    def unsubscribe_topic(self, _: str) -> None:
        raise KeyError("topic")

    async def close(self) -> None:
        raise AssertionError


async def test_the_cluster_that_was_started_ends_whatever_the_goodbye_was(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(module, "_CLOSE", 0.0)
    connection = Connection(None, 1)
    connection.lost = asyncio.get_running_loop().create_future()
    client: Any = _Client()
    local = await asyncio.create_subprocess_exec("sleep", "1000", start_new_session=True)
    connection.client, connection._local = client, local
    await connection.close()
    assert local.returncode == -9
    assert capsys.readouterr().err == "warning: the local cluster was left without a goodbye: 'topic'\n"
    await connection.close()  # there is nothing left to do


async def test_a_cluster_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_START", 0.01)
    connection = Connection(None, 1)
    with pytest.raises(BadInputError, match=r"no cluster can be started on this machine: .* after 0\.01 s"):
        await connection.open()
    local = connection._local
    await connection.close()
    if local is not None:  # it came so far
        with pytest.raises(ProcessLookupError):
            os.kill(local.pid, 0)
