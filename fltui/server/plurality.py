"""A model that nobody gave looks like most answers do: the most frequent look wins, never the one that was first."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from fltui.errors import RunFailedError
from fltui.exchange.manifest import ArrayEntry
from fltui.run.events import ResultAccepted

_LONGEST_LOOK = 400
"""Characters that tell what a model looks like."""


def odd_ones_out(round_number: int, task_id: str, accepted: Mapping[str, ResultAccepted]) -> dict[str, str]:
    """The sites whose answer looks other than most, and why each does not count.

    Of several looks the most frequent one wins: 2 of 5 do, where the others all differ.

    Args:
        round_number: for the sentence.
        task_id: likewise.
        accepted: by site.

    Raises:
        RunFailedError: no look is more frequent than every other one.
    """
    looks = {site: _look_of(event.arrays) for site, event in sorted(accepted.items())}
    counts = Counter(looks.values()).most_common()
    if len(counts) < 2:
        return {}
    if counts[0][1] == counts[1][1]:
        told = "; ".join(f"{site} sent {_shortened(look)}" for site, look in looks.items())
        raise RunFailedError(
            f"round {round_number}: the sites disagree on the model and there is none to compare with: "
            f"{told}; give FedAvg an initial model"
        )
    most = f"{counts[0][1]} of {len(looks)} sites sent {_shortened(counts[0][0])}"
    return {
        site: f"results/{task_id}.json holds {_shortened(look)}, while {most}"
        for site, look in looks.items()
        if look != counts[0][0]
    }


def _look_of(arrays: Sequence[ArrayEntry]) -> str:
    """Names, dtypes and shapes as text, which is not short."""
    entries = sorted(arrays, key=lambda entry: entry.name)
    return ", ".join(f"{entry.name!r} {entry.dtype} {tuple(entry.shape)}" for entry in entries)


def _shortened(look: str) -> str:
    return look if len(look) <= _LONGEST_LOOK else f"{look[: _LONGEST_LOOK - 1]}…"
