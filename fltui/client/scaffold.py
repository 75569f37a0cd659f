"""The site's part of SCAFFOLD: its control variate, which corrects the drift of local training.

Karimireddy et al., "SCAFFOLD: Stochastic Controlled Averaging for Federated Learning", ICML 2020, algorithm 1, with
option II for the new control variate:

from fltui.client.scaffold import Scaffold

flare.init()
scaffold = Scaffold()
while flare.is_running():
    model = flare.receive()
    correction = scaffold.begin(model)
    params = model.params
    for batch in batches:  # K of them
        for name, gradient in gradients(params, batch).items():
            params[name] -= learning_rate * (gradient + correction[name])
    flare.send(scaffold.end(params, steps=K, learning_rate=learning_rate))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsFloat

import numpy as np

from fltui.client.api import current_session
from fltui.client.config import Durability
from fltui.client.kept import Kept, kept_folder
from fltui.client.outgoing import finite
from fltui.client.session import Session
from fltui.errors import ClientError, NotYetError, RefusedError
from fltui.exchange.durable import make_folder
from fltui.model import CONTROL, CONTROL_ROUND, FLModel, Params, ParamsType, as_params


def control_change(control: Params, received: Params, trained: Params, *, steps: int, learning_rate: float) -> Params:
    """How the site's control variate changes, by option II: c_i+ - c_i = (x - y) / (K * learning rate) - c.

    Args:
        control: c, the server's control variate.
        received: x, the model before training; the names and shapes of `control`.
        trained: y, the model after it; likewise.
        steps: K, how many steps led from x to y.
        learning_rate: of each step, constant.

    Returns:
        By name, in float64; zeros where a parameter is not of floats, as it has no gradient.
    """
    change: Params = {}
    for name, variate in control.items():
        if received[name].dtype.kind == "f":
            step = np.asarray(received[name], np.float64) - np.asarray(trained[name], np.float64)
            change[name] = np.asarray(step / (steps * learning_rate) - variate)
        else:
            change[name] = np.zeros(received[name].shape)
    return change


class Scaffold:
    """Keeps this site's control variate c_i, zeros at first, from round to round, also when the script starts again.

    c_i lies in float64 in the site's own folder, in ``.syncthing.fltui.kept/``, by the round that has made it: the last
    two, as a round may be asked again. It tells nobody more than the answers do, whose sum it is. When the run
    completes, it is removed from there.

    Args:
        state: another folder to keep it in, of this site alone; it is made if it is missing.
    """

    def __init__(self, state: Path | str | None = None) -> None:
        self._state = None if state is None else Path(state).absolute()
        self._round: _Round | None = None

    def begin(self, model: FLModel) -> Params:
        """Begin a round with the model received.

        Args:
            model: with the server's control variate c in ``groups["control"]``. It may be changed afterwards.

        Returns:
            c - c_i by parameter name, in the parameters' dtypes, to be added to every gradient g:
            y <- y - learning_rate * (g + c - c_i).

        Raises:
            ClientError: the task is none of Scaffold's, or the control variate that belongs to the round is lost.
        """
        session = current_session()
        number = model.current_round
        params = _arrays(model.params or {}, "Scaffold.begin()")
        sent = _arrays(model.groups.get(CONTROL, {}), "Scaffold.begin()")
        control = {name: np.array(c, np.float64) for name, c in sent.items()}
        if number is None or not control or control.keys() != params.keys():
            raise ClientError(
                f"Scaffold.begin(): round {number} came without a control variate for every parameter in "
                f"groups[{CONTROL!r}]; a job with the workflow Scaffold and an initial model sends it"
            )
        kept = self._kept(session)
        base = _base(session, kept, model, number)
        own = {name: np.zeros_like(c) for name, c in control.items()} if base is None else _read(session, kept, base)
        _check_like(own, control, f"Scaffold.begin(): the control variate kept in round {base}")
        received = {name: np.array(value) for name, value in params.items()}
        dtypes = {name: c.dtype for name, c in sent.items()}
        self._round = _Round(number, base, kept, received, control, own, dtypes)
        return {
            name: np.asarray(control[name] - own[name]).astype(value.dtype if value.dtype.kind == "f" else np.float64)
            for name, value in received.items()
        }

    def end(
        self,
        params: Mapping[str, Any],
        *,
        steps: int,
        learning_rate: float,
        params_type: ParamsType | str = ParamsType.FULL,
        metrics: Mapping[str, SupportsFloat] | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> FLModel:
        """End the round: keep the new control variate, and make the model to send.

        Args:
            params: y, the model trained; or with ``params_type="DIFF"`` y - x.
            steps: K, how many steps were made in this round, at least 1.
            learning_rate: of each of them, above 0, without the schedule or momentum that the formula does not know.
            params_type: FULL or DIFF.
            metrics: of `FLModel`.
            meta: of `FLModel`.

        Returns:
            The model, with c_i+ - c_i in ``groups["control"]`` in the dtypes of c.

        Raises:
            ClientError: `begin` was not called, an argument is out of range, or training has left the finite numbers.
        """
        if self._round is None:
            raise ClientError("Scaffold.end() ends a round, but none was begun: call begin() with the model received")
        now = self._round
        if isinstance(steps, bool) or not isinstance(steps, int | np.integer) or steps < 1:
            raise ClientError(f"Scaffold.end(): steps is {steps!r:.80}, expected a whole number from 1")
        rate = finite(learning_rate, "Scaffold.end(): learning_rate")
        if not rate > 0:
            raise ClientError(f"Scaffold.end(): learning_rate is {rate}, expected a number above 0")
        kind, sent = ParamsType(params_type), _arrays(params, "Scaffold.end()")
        _check_like(sent, now.control, "Scaffold.end(): what was trained")
        trained: Params = sent
        if kind is ParamsType.DIFF:
            trained = {name: np.asarray(now.received[name] + np.float64(value)) for name, value in sent.items()}
        with np.errstate(all="ignore"):  # it is told below, in a sentence
            change = control_change(now.control, now.received, trained, steps=int(steps), learning_rate=rate)
            change = {name: value.astype(now.dtypes[name]) for name, value in change.items()}
            # c is the mean of all c_i only if each of them changes by just what the server is told.
            own = {name: np.asarray(now.own[name] + np.float64(value)) for name, value in change.items()}
        for name, value in own.items():
            if not np.isfinite(value).all():
                raise ClientError(
                    f"Scaffold.end(): the control variate of {name!r} is not finite in round {now.number}: "
                    "training has diverged, lower the learning rate"
                )
        session = current_session()
        session.persist(lambda: now.keep(own), "the control variate")
        self._round = None
        return FLModel(
            params_type=kind,
            params=sent,
            metrics=metrics,
            meta=dict(meta or {}),
            groups={CONTROL: change},
        )

    def _kept(self, session: Session) -> Kept:
        durable = session.config.durability is Durability.POWER
        stem = f"{session.run}.scaffold"
        if self._state is None:
            return Kept(kept_folder(session.site), session.site.staging("site"), stem, durable=durable)
        make_folder(self._state, durable=durable)
        return Kept(self._state, None, f"{session.run}.{session.site.name}.scaffold", durable=durable)


@dataclass(frozen=True)
class _Round:
    """A round that has begun.

    Attributes:
        number: of the round.
        base: of the round that has made `own`; None if `own` is the first, all zeros.
        kept: where control variates of this site are.
        received: x.
        control: c, in float64.
        own: c_i, in float64.
        dtypes: of c as it was received.
    """

    number: int
    base: int | None
    kept: Kept
    received: Params
    control: Params
    own: Params
    dtypes: Mapping[str, np.dtype[Any]]

    def keep(self, own: Params) -> None:
        """Keep the new control variate, and the one that it came from, for a round that is asked again."""
        self.kept.put(self.number, own)
        self.kept.drop_others({self.number, self.number if self.base is None else self.base})


def _base(session: Session, kept: Kept, model: FLModel, number: int) -> int | None:
    """The round that has made the control variate to go on from; None at the first."""
    found: list[int] = []

    def look() -> None:
        found[:] = kept.rounds()

    session.persist(look, "the folder of its control variate")
    if CONTROL_ROUND not in model.meta:
        # The answer to this very round may have been made already, by a script that was killed before it was sent.
        return max((one for one in found if model.start_round <= one < number), default=None)
    base = model.meta[CONTROL_ROUND]
    if base is None:
        return None
    if not isinstance(base, int) or isinstance(base, bool):
        raise ClientError(f"Scaffold.begin(): meta {CONTROL_ROUND!r} is {base!r:.80}, expected a round or nothing")
    if base < model.start_round:  # in a workflow before this one
        return None
    if base not in found:
        raise ClientError(
            f"site {session.site.name} has lost its control variate of round {base}, which the server has counted; "
            f"it has those of rounds {found}: start a new run, or bring back the folder it was kept in"
        )
    return base


def _read(session: Session, kept: Kept, number: int) -> Params:
    try:
        return kept.get(number)
    except (NotYetError, RefusedError) as error:
        raise ClientError(
            f"site {session.site.name} cannot read its control variate of round {number}: {error}"
        ) from error


def _arrays(params: Mapping[str, Any], where: str) -> Params:
    try:
        return as_params(dict(params))
    except TypeError as error:
        raise ClientError(f"{where}: {error}") from error


def _check_like(found: Params, expected: Params, what: str) -> None:
    """Make sure of names and shapes.

    Raises:
        ClientError: they differ.
    """
    shapes = {name: value.shape for name, value in found.items()}
    wanted = {name: value.shape for name, value in expected.items()}
    for name in sorted(shapes.keys() | wanted.keys()):
        if shapes.get(name) != wanted.get(name):
            have, want = (str(one.get(name, "nothing")) for one in (shapes, wanted))
            raise ClientError(f"{what} has {have} for {name!r}, expected {want}")
