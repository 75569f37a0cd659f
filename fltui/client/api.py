"""The Client API: the verbs that turn a training script into a federated one.

import fltui.client as flare

flare.init()
while flare.is_running():
    model = flare.receive()
    params = train(model.params)
    flare.send(flare.FLModel(params=params, metrics={"accuracy": 0.9}))
"""

from __future__ import annotations

import atexit
import os
import sys
from types import TracebackType
from typing import Any

import msgspec

from fltui.client.config import ClientConfig, load_config
from fltui.client.output import capture
from fltui.client.script import reason
from fltui.client.seed import seed_of
from fltui.client.session import Session
from fltui.errors import ClientError
from fltui.model import SEED, FLModel

TASK_TRAIN = "train"
TASK_EVALUATE = "validate"
TASK_SUBMIT_MODEL = "submit_model"

_LARGEST_SEED = 1 << 53

_session: Session | None = None
_rank = "0"


def open_session(config: ClientConfig, *, stdout_is_log: bool) -> Session:
    """Open this process's conversation with the server; `init` does it where nobody did before."""
    global _session
    if _session is None:
        _session = Session(config, capture(stdout_is_log=stdout_is_log))
        atexit.register(_session.close)
    return _session


def init(rank: str | int | None = None, config_file: str | None = None) -> None:
    """Begin. Call it once, before everything else; a second call does nothing.

    Args:
        rank: of this process where several train one model together; only rank 0 talks to the server. Taken from
            ``RANK`` if not given.
        config_file: JSON with ``site``, ``exchange``, ``run``, ...; variables such as ``FLTUI_SITE`` win over it.

    Raises:
        BadInputError: no site is named, or its folder cannot be used.
    """
    global _rank
    _rank = str(rank if rank is not None else os.environ.get("RANK", "0"))
    if _rank != "0":
        return
    if _session is None:
        open_session(load_config(config_file), stdout_is_log=False)
        _report_failures()
    current_session().ready()


def receive(timeout: float | None = None) -> FLModel | None:
    """The global model of the task at hand, waiting for the next task if that was answered.

    Args:
        timeout: seconds to wait for a task; None waits as long as it takes.

    Returns:
        A model whose arrays belong to the script and may be changed; None when the run has ended or time is up.
    """
    return current_session().receive(timeout)


def send(model: FLModel, clear_cache: bool = True) -> None:
    """Answer the task at hand.

    Args:
        model: ``params`` of the received shapes and dtypes, or their difference with ``params_type="DIFF"``;
            ``metrics`` of finite numbers; ``meta["NUM_STEPS_CURRENT_ROUND"]`` is the weight in the average.
        clear_cache: forget the received model, so that the next `receive` waits for the next task.

    Raises:
        ClientError: `receive` was not called before, or something in the model cannot travel.
    """
    current_session().send(model, clear_cache=clear_cache)


def is_running() -> bool:
    """Wait for the next task: True when there is one, False when the run has ended.

    A task that was received is to be answered with `send` before the next call.
    """
    return current_session().is_running()


def is_train() -> bool:
    """Whether the task at hand asks for training."""
    return get_task_name() == TASK_TRAIN


def is_evaluate() -> bool:
    """Whether the task at hand asks for metrics of the received model."""
    return get_task_name() == TASK_EVALUATE


def is_submit_model() -> bool:
    """Whether the task at hand asks for the site's own model."""
    return get_task_name() == TASK_SUBMIT_MODEL


def system_info() -> dict[str, str]:
    """``job_id`` (the run), ``site_name``, ``exchange``."""
    session = current_session()
    return {
        "job_id": session.run,
        "site_name": session.site.name,
        "exchange": str(session.site.root.parent),
    }


def get_job_id() -> str:
    """The run's id; empty until the first task in a script that was not started for one run."""
    return current_session().run


def get_site_name() -> str:
    """The name of this site."""
    return current_session().site.name


def get_task_name() -> str:
    """The name of the task at hand, e.g. ``train``; empty when there is none."""
    task = current_session().task
    return task.task_name if task else ""


def get_seed() -> int:
    """A seed for what the script draws in this round; the same again when the round is done again.

    Sites draw differently from each other, and in every round anew, all of it from the run's seed:

        generator = numpy.random.default_rng(flare.get_seed())

    Returns:
        A whole number from 0 to 2**63 - 1, made by BLAKE3 from the run's seed (0 if the task names none), the name of
        the site and the round.

    Raises:
        ClientError: there is no task at hand, or what it names as the seed is no whole number.
    """
    session = current_session()
    if session.task is None:
        raise ClientError("get_seed() belongs to a round, but there is no task at hand: call receive() first")
    number = session.task.round
    seed = session.task.meta.get(SEED, 0)
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed <= _LARGEST_SEED:
        raise ClientError(f"get_seed(): the seed of round {number} is {seed!r:.80}, expected a whole number to 2**53")
    return seed_of(seed, session.site.name, number)


def get_data_path() -> str:
    """Where this site's data lies, as ``--site-data`` or the variable ``FLTUI_DATA`` says; empty if neither does."""
    return current_session().config.data


def get_config() -> dict[str, Any]:
    """The settings of this process by name."""
    return msgspec.structs.asdict(current_session().config)


def log(key: str, value: float, data_type: str = "SCALAR", **kwargs: Any) -> None:
    """Stream one number into the run's journal, at any time in a round.

    Args:
        key: what it is, e.g. ``"train_loss"``.
        value: a finite number.
        data_type: ``SCALAR`` or ``METRIC``.
        kwargs: ``global_step`` or ``step``: an integer to plot it over.

    Raises:
        ClientError: the value is not a finite number, the key is empty or too long, or an argument is unknown.
    """
    if str(data_type) not in ("SCALAR", "METRIC"):
        raise ClientError(f"log() of {key!r}: data type {data_type!r} is not known; these are: SCALAR, METRIC")
    current_session().log_value(key, value, str(data_type), **kwargs)


def shutdown() -> None:
    """Leave the run: final status, no more tasks. Also done when the script ends."""
    global _session
    if _session is not None:
        _session.close()
        _session = None


def current_session() -> Session:
    """The conversation that `init` has begun.

    Raises:
        ClientError: there is none in this process.
    """
    if _rank != "0":
        raise ClientError(f"this is rank {_rank}; only rank 0 talks to the server and hands the model to the others")
    if _session is None:
        raise ClientError("call init() before any other function of the Client API")
    return _session


def _report_failures() -> None:
    """Tell the server why a script died that was started by ``python SCRIPT``, then show the traceback as usual."""
    shown = sys.excepthook

    def report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        shown(kind, error, trace)
        if _session is not None:
            _session.close("failed", reason(error))

    sys.excepthook = report
