"""Metrics written as for TensorBoard."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fltui.client.session import Session
from fltui.client.tracking import SummaryWriter
from fltui.errors import ClientError
from fltui.exchange.layout import SiteFolder
from tests.client.by_hand import RUN, publish


def test_scalars_stand_in_the_runs_file_at_once(site: SiteFolder, bound: Session) -> None:
    publish(site, 2, {})
    bound.receive()
    with SummaryWriter() as writer:
        writer.add_scalar("loss", 0.5)
        writer.add_scalar(tag="loss", scalar=np.float32(0.25), global_step=3, walltime=1.0)
        writer.add_scalars("auc", {"train": 1, "test": np.array(0.5)}, global_step=np.int64(4))  # type: ignore[arg-type]
        writer.flush()
    assert site.metrics(RUN).read_text().splitlines() == [
        '{"key":"loss","value":0.5,"type":"SCALAR","round":2,"step":null}',
        '{"key":"loss","value":0.25,"type":"SCALAR","round":2,"step":3}',
        '{"key":"auc/train","value":1.0,"type":"SCALAR","round":2,"step":4}',
        '{"key":"auc/test","value":0.5,"type":"SCALAR","round":2,"step":4}',
    ]


def test_a_writer_may_be_made_before_init_but_not_used() -> None:
    writer = SummaryWriter()
    with pytest.raises(ClientError, match=r"call init\(\)"):
        writer.add_scalar("loss", 0.5)
    with pytest.raises(ClientError, match=r"call init\(\)"):
        writer.add_scalars("loss", {"train": 0.5})


@pytest.mark.usefixtures("bound")
def test_values_belong_to_a_run() -> None:
    with pytest.raises(ClientError, match="no task was received yet"):
        SummaryWriter().add_scalar("loss", 0.5)


@pytest.mark.parametrize(
    ("scalars", "told"),
    [
        ({"train": float("nan")}, "'loss/train' is nan"),
        ({"train": None}, "'loss/train' is None"),
        (0.5, "add_scalars() of 'loss': expected names and numbers, found float"),
        ({"t" * 200: 0.5}, "text of 1 to 200 characters"),
    ],
)
def test_what_is_no_number_is_named(site: SiteFolder, bound: Session, scalars: Any, told: str) -> None:
    publish(site, 0, {})
    bound.receive()
    with pytest.raises(ClientError) as error:
        SummaryWriter().add_scalars("loss", scalars)
    assert told in str(error.value)
    assert not site.metrics(RUN).exists()
