"""Running a job's workflow, which its author may have written: what it does against the rules fails its run alone."""

from __future__ import annotations

from fltui.client.script import reason
from fltui.errors import FltuiError, RunFailedError
from fltui.job.job import Job
from fltui.run.logs import ServerLog
from fltui.server.federation import RunFederation
from fltui.workflows.workflow import Workflow


async def run_workflow(workflow: Workflow, federation: RunFederation, job: Job, log: ServerLog) -> str:
    """Run a workflow to its end; why it ended before its last round, empty if it did not.

    Raises:
        RunFailedError: it cannot go on, broke a rule, or is the job's own and raised something.
        OSError: of the server's own disks and folders, which it may be worth to sit out.
    """
    try:
        why: object = await workflow.run(federation)
    except (FltuiError, OSError):
        raise
    except (Exception, SystemExit) as error:
        if not job.server_files:
            raise  # a bug of this program
        log.failed(error)
        raise RunFailedError(
            f"the job's own code failed: {reason(error)}; the traceback is in logs/server.log"
        ) from error
    if not isinstance(why, str):
        raise RunFailedError(f"{workflow.title}.run() returned {why!r:.80}, expected a sentence or an empty text")
    federation.check_over(workflow.title)
    return why
