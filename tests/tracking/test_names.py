"""Names that trackers take."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("mlflow")
pytest.importorskip("tensorboard")

from fltui.tracking.metric_keys import MetricKeys
from fltui.tracking.records import Kind, Series
from fltui.tracking.tensorboard import tag_of

NASTY = [
    "accuracy", "a/b", "a//b", "/a", "../a", ".", "", " ", "a\x1b[2J", "Größe (%)", "x" * 200, "x" * 201, "é" * 200,
    "a:b", "a_b", "a?b", "a-0123abcd", "sites/site-1/accuracy", "global/a", "logged/a", "round/seconds", "exact/a",
    "run/parameters", "metric/a", "a/" * 90 + "a", "‮abc", "con",
]  # fmt: skip


def series() -> list[Series]:
    return [Series(kind, name, site) for kind in Kind for name in NASTY for site in ("", "site-1", "s.2")]


def test_mlflow_takes_every_key_and_none_is_anothers() -> None:
    from mlflow.utils import validation

    check: Any = validation._validate_metric

    keys = MetricKeys()
    found: dict[str, Series] = {}
    for one in series():
        if one.site == ("site-1" if one.kind is Kind.ROUND else "" if one.kind is Kind.LOGGED else "nobody"):
            continue
        key, _ = keys.of(one)
        check(key, 1.0, 1, 1)
        assert all(len(part.encode()) <= 255 for part in key.split("/"))
        assert found.setdefault(key, one) == one
        assert keys.of(one) == (key, False)
    folders = {key.rsplit("/", size)[0] for key in found for size in range(1, key.count("/") + 1)}
    assert not folders & found.keys(), "a key that is the folder of another one"


def test_names_that_can_stay_do() -> None:
    keys = MetricKeys()
    assert keys.of(Series(Kind.METRIC, "train/loss")) == ("train/loss", False)
    assert keys.of(Series(Kind.METRIC, "loss", "site-1")) == ("sites/site-1/loss", False)
    assert keys.of(Series(Kind.LOGGED, "loss", "site-1")) == ("logged/site-1/loss", False)
    key, changed = keys.of(Series(Kind.LOGGED, "loss/part", "site-1"))
    assert changed
    assert key.startswith("logged_site-1_loss_part-"), "loss is a file in some stores, so it cannot be a folder, too"


def test_tags_are_of_one_series() -> None:
    for site in ("", "site-1"):
        here = [one for one in series() if one.site == site]
        tags = {tag_of(one) for one in here}
        assert len(tags) == len(here)
        assert not tags & {"run/parameters", "run/outcome"}
    assert tag_of(Series(Kind.METRIC, "a/b")) == "a/b"
