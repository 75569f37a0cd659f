"""All steps at which a process can die: what changes a file or decides something, in the order in which it is done.

`test_kill_matrix` compares this table with what processes really do: a step that is new in the product has to be put
in here, and is then killed at, too.
"""

from __future__ import annotations

EXCHANGE = ("make exchange.json", "write exchange.json", "rename exchange.json")
"""The first server in a folder makes it an exchange."""

IDENTITY = ("link exchange.json", "remove exchange.json")
"""Its identity is there: nobody makes it again."""

BEFORE_THE_FIRST_EVENT = (
    "make run folder",
    "make job",
    "write job",
    "rename job",
    "remove job",
    "make exchange folder",
    "make lock",
    "make journal",
    "make metrics",
    "write metrics",
    "make server log",
    "write journal run_started",
)
"""The server lays the run folder. A person whose server dies here starts it anew."""

BEGIN = (
    "write server log",
    "make reserve",
    "write journal site_joined",
)
"""It begins."""

MODEL = (
    "make new model",
    "make new model array",
    "write new model array",
    "make new model.json",
    "write new model.json",
    "rename model",
    "write journal model_saved",
)
"""It saves a model: the first one, and one in every round."""

ROUND = (
    "write journal round_started",
    "write journal task_published",
    "make task arrays",
    "remove staged task array",
    "make staged task array",
    "write staged task array",
    "rename task array",
    "make staged task manifest",
    "write staged task manifest",
    "rename task manifest",
    "sweep",
    "read result",
    "store arrays",
    "make staged copy",
    "write staged copy",
    "rename copy",
    "write journal result_accepted",
    "average",
    "finish round",
    "write journal round_finished",
)
"""A round: publish, collect, aggregate, check the books."""

MIRROR = ("make mirrored log", "write mirrored log", "write journal metric_logged")
"""It takes in what a site logged, at some time in a round; the file is made once in a run."""

RETENTION = (
    "remove copy",
    "remove file of model",
    "remove model",
    "link spare task manifest",
    "remove task manifest",
    "remove task array",
    "rename task arrays",
    "write spare task manifest",
    "cut spare task manifest",
)
"""What goes while the sites are at the next round, and is used again by the round after it; models where
``--keep-models`` says so."""

SPARED = ("remove spare task manifest", "remove task arrays")
"""What was kept to be used again goes with the end of the run."""

END = (
    "remove staged pointer",
    "link staged pointer",
    "rename pointer",
    "make staged end manifest",
    "write staged end manifest",
    "rename end manifest",
    "remove reserve",
    "make summary",
    "write summary",
    "make staged seal",
    "write staged seal",
    "rename seal",
    "write journal run_finished",
)
"""The end of the run."""

KEPT = ("make kept manifest", "write kept manifest", "rename kept manifest")
"""With ``--keep-results``."""

ODD = (
    "write journal result_rejected",
    "write journal result_delayed",
    "write journal result_discarded",
    "write journal run_paused",
    "write journal request_refused",
    "write journal run_resumed",
    "remove request",
)
"""Where people ask and a site misbehaves."""

LOST = ("write journal site_lost",)
"""Where a site is lost."""

RECOVERED = {
    "server half of write journal task_published": ("cut journal", "write journal run_resumed"),
    "server half of write spare task manifest": ("remove spare task manifest",),
    "server half of write staged task manifest": ("remove staged task manifest",),
    "server half of write staged task array": ("remove staged task array",),
    "server half of write staged copy": ("remove staged copy",),
    "server after rename copy": ("remove copy",),
    "server half of write new model array": ("remove new model array", "remove new model"),
    "server after rename model": ("remove file of model", "remove model"),
    "server half of write staged end manifest": ("remove staged end manifest",),
    "server after rename end manifest": ("remove end manifest",),
    "server after link staged pointer": ("remove staged pointer",),
    "server half of write summary": ("remove summary",),
    "server after rename seal": ("remove seal",),
    "site half of write staged status": ("remove staged status",),
    "site half of write spare result manifest": ("remove spare result manifest",),
    "site half of write staged result manifest": ("remove staged result manifest",),
    "site half of write staged result array": ("remove staged result array",),
    "site half of write logged values": ("write logged values",),
}
"""What puts in order what a process left that was killed at a step: here the next one can be killed."""

SITE = (
    "make exchange folder",
    "make site lock",
    "make staged status",
    "write staged status",
    "rename status",
    "read task",
    "make site log",
    "receive",
    "write site log",
    "make logged values",
    "write logged values",
    "send",
    "make result arrays",
    "make staged result array",
    "write staged result array",
    "rename result array",
    "make staged result manifest",
    "write staged result manifest",
    "rename result manifest",
    "link staged status",
    "cut staged status",
    "retire results",
    "link spare result manifest",
    "remove result manifest",
    "rename result arrays",
    "write result array",
    "write spare result manifest",
    "cut spare result manifest",
    "remove result array",
    "remove result arrays",
    "remove spare result manifest",
    "remove staged status",
    "remove site lock",
)
"""The script of a site, from its start to its end."""

_ONLY_BEFORE = {"remove staged task array", "remove staged pointer"}
"""Tries that come to nothing where all is well: there was nothing to remove."""


def phases(who: str, does: tuple[str, ...]) -> list[str]:
    """The steps of things that are done: before and after each, and with half of it written.

    Args:
        who: ``server`` or ``site``.
        does: what is done, in order.
    """
    return [f"{who} {phase} {one}" for one in does for phase in _phases(one)]


def _phases(one: str) -> tuple[str, ...]:
    if one in _ONLY_BEFORE:
        return ("before",)
    return ("before", "half of", "after") if one.startswith("write ") else ("before", "after")
