"""What can go wrong when a run is tracked."""

from __future__ import annotations

from fltui.errors import FltuiError


class TrackingError(FltuiError):
    """A tracker cannot be told of a run; the run itself is not touched by it."""
