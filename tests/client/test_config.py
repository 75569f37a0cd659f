"""What a script's process is told."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fltui.client.config import ClientConfig, TransferType, load_config
from fltui.errors import BadInputError


@pytest.fixture(autouse=True)
def _no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ClientConfig.__struct_fields__:
        monkeypatch.delenv(f"FLTUI_{name.upper()}", raising=False)


def test_the_environment_is_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    config = ClientConfig("a", "/exchange", "run", TransferType.DIFF)
    for name, value in config.environment().items():
        monkeypatch.setenv(name, value)
    assert load_config() == config


@pytest.mark.parametrize("value", ["true", "True", "1", True])
def test_signatures_can_be_demanded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | bool) -> None:
    (tmp_path / "client.json").write_text(json.dumps({"site": "a", "require_signatures": value}))
    assert load_config(tmp_path / "client.json").require_signatures
    monkeypatch.setenv("FLTUI_REQUIRE_SIGNATURES", "false")
    assert not load_config(tmp_path / "client.json").require_signatures


def test_a_variable_wins_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "client.json").write_text('{"site": "a", "exchange": "/one"}')
    monkeypatch.setenv("FLTUI_EXCHANGE", "/two")
    config = load_config(tmp_path / "client.json")
    assert (config.site, config.exchange) == ("a", "/two")


@pytest.mark.parametrize("value", ["2.5", 2.5])
def test_statuses_can_be_rare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str | float) -> None:
    (tmp_path / "client.json").write_text(json.dumps({"site": "a", "status_every": value}))
    assert load_config(tmp_path / "client.json").status_every == 2.5
    monkeypatch.setenv("FLTUI_STATUS_EVERY", "0.0")
    assert load_config(tmp_path / "client.json").status_every == 0


def test_no_site_is_an_error() -> None:
    with pytest.raises(BadInputError, match="set FLTUI_SITE"):
        load_config()


@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[]",
        b'{"site": 1}',
        b'{"site": "a", "transfer": "HALF"}',
        b'{"site": "a", "x": "y"}',
        b'{"site": "a", "require_signatures": "maybe"}',
        b'{"site": "a", "status_every": -1}',
        b'{"site": "a", "status_every": "often"}',
        b'{"site": "a", "status_every": "nan"}',
        b'{"site": true}',
        b'{"site": "\xff"}',
    ],
)
def test_a_file_that_makes_no_sense_is_an_error(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "client.json").write_bytes(data)
    with pytest.raises(BadInputError):
        load_config(tmp_path / "client.json")
