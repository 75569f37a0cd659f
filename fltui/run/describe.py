"""Events as sentences: for ``server.log``, for the plain output of the commands and for the console."""

from __future__ import annotations

from collections.abc import Mapping

from fltui.exchange.sizes import size_text
from fltui.run.events import (
    AnyEvent,
    MetricLogged,
    ModelChosen,
    ModelSaved,
    PrivacySpent,
    RequestRefused,
    ResultAccepted,
    ResultDelayed,
    ResultDiscarded,
    ResultRejected,
    RoundFinished,
    RoundNoted,
    RoundStarted,
    RunFinished,
    RunPaused,
    RunResumed,
    RunStarted,
    RunStatus,
    SiteJoined,
    SiteLost,
    TaskPublished,
    WorkflowFinished,
)


def describe(event: AnyEvent) -> tuple[str, str]:
    """Level (``DEBUG``, ``INFO``, ``WARN``, ``ERROR``) and sentence of an event."""
    match event:
        case RunStarted():
            many = "round" if event.total_rounds == 1 else "rounds"
            return "INFO", f"run {event.run} started: {event.total_rounds} {many}, sites {', '.join(event.sites)}"
        case SiteJoined():
            return "DEBUG", f"site {event.site} joined"
        case SiteLost():
            return "WARN", f"site {event.site} is lost: {event.reason}"
        case RoundStarted():
            again = f" again, attempt {event.attempt}" if event.attempt > 1 else ""
            part = f" with the model of {event.part}" if event.part else ""
            many = "site" if len(event.sites) == 1 else "sites"
            return "INFO", f"round {event.round} started{again}, {len(event.sites)} {many} asked{part}"
        case TaskPublished():
            return "DEBUG", f"round {event.round}: task published for {event.site}, {size_text(event.bytes)}"
        case ResultAccepted():
            return "DEBUG", f"round {event.round}: result of {event.site} accepted{metrics_text(event.metrics)}"
        case ResultRejected():
            return "WARN", f"round {event.round}: result of {event.site} rejected: {event.reason}"
        case ResultDelayed():
            return "WARN", f"round {event.round}: result of {event.site} is waited for: {event.reason}"
        case ResultDiscarded():
            late = "came after the round had ended and does not count"
            return "WARN", f"round {event.round}: result of {event.site} {late} ({event.task_id})"
        case RoundNoted():
            return "WARN", f"round {event.round}: {event.note}"
        case ModelChosen():
            return "INFO", f"the model that entered round {event.round} is the best so far: {describe_best(event)}"
        case PrivacySpent():
            return "INFO", f"round {event.round}: epsilon {event.epsilon:.4g} is spent, with delta {event.delta:g}"
        case WorkflowFinished():
            return "INFO", f"{event.workflow} is over{': ' if event.reason else ''}{event.reason}"
        case ModelSaved():
            return "DEBUG", f"model saved in {event.path}, {size_text(event.bytes)}"
        case RoundFinished():
            counted = sum(1 for weight in event.weights.values() if weight)
            answered = f"{len(event.weights)} answered" + f", {counted} counted" * (counted < len(event.weights))
            rest = f"update norm {event.update_norm:.4g}{metrics_text(event.metrics)}"
            return "INFO", f"round {event.round} finished in {event.seconds:.3f} s, {answered}, {rest}"
        case MetricLogged():
            return "DEBUG", f"site {event.site} logged {event.key} {event.value:.6g}"
        case RunPaused():
            return "WARN", f"run paused{': ' if event.reason else ''}{event.reason}"
        case RunResumed():
            return "INFO", "run resumed by another server" if event.restarted else "run resumed"
        case RequestRefused():
            return "WARN", f"request to {event.request} was not carried out: {event.reason}"
        case RunFinished():
            level = "INFO" if event.state is RunStatus.COMPLETED else "ERROR"
            why = f": {event.reason}" if event.reason else ""
            told = f"; {', '.join(event.untold)} could not be told" if event.untold else ""
            return level, f"run {event.state.value.removeprefix('FINISHED:')} after {event.seconds:.2f} s{why}{told}"


def describe_best(event: ModelChosen) -> str:
    """By what a model is the best: ``accuracy 0.91``."""
    return f"{event.metric} {event.value:.6g}"


def metrics_text(metrics: Mapping[str, float]) -> str:
    """``, accuracy 0.91, loss 0.3``; empty without metrics."""
    return "".join(f", {name} {value:.6g}" for name, value in metrics.items())
