"""`FedJob`: build a job in Python, then export it or run it in the simulator."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from fltui.aggregation.filters import Filter
from fltui.errors import BadInputError
from fltui.exchange.layout import check_name, check_site
from fltui.job import bundle, handover, registry
from fltui.job.code import class_files
from fltui.job.component import ServerComponent
from fltui.job.executors import ScriptExecutor
from fltui.job.folder import write_job
from fltui.job.job import Job, SiteApp

SERVER = "server"
ALL_SITES = "@ALL"


class FedJob:
    """A job under construction.

    Args:
        name: also the name of the exported folder.
        min_clients: sites that must be there for a run to begin.
        mandatory_clients: sites that must answer in every round that asks them.
        require_signatures: refuse results that are not signed with the site's trusted key; see ``docs/identity.md``.

    Raises:
        BadInputError: the name cannot be a file name.
    """

    def __init__(
        self,
        name: str = "fed_job",
        min_clients: int = 1,
        mandatory_clients: list[str] | None = None,
        require_signatures: bool = False,
    ) -> None:
        self.name = check_name(name, "job")
        self.min_clients = min_clients
        self.mandatory_clients = tuple(mandatory_clients or ())
        self.require_signatures = require_signatures
        self._workflows: list[ServerComponent] = []
        self._executors: dict[str, ScriptExecutor] = {}
        self._filters: dict[str, list[Filter]] = {}
        self._files: dict[str, dict[str, Path]] = {}
        self._resource_spec: dict[str, dict[str, Any]] = {}

    def to(self, obj: Any, target: str, id: str | None = None, **kwargs: Any) -> None:  # noqa: A002
        """Send a part of the job to where it runs.

        Args:
            obj: a workflow for the server, which begins where the one sent before it has ended; an executor or a filter
                for a site; or the path of a file or folder that goes along with a site's script.
            target: ``"server"`` or the name of a site.
            id: accepted for familiarity; a site has one executor.
            kwargs: ``tasks=["*"]``, accepted for familiarity.

        Raises:
            BadInputError: the part does not belong there, or the target's name cannot be used.
        """
        del id
        if unknown := kwargs.keys() - {"tasks"}:
            raise BadInputError(f"FedJob.to() has no argument {min(unknown)!r}")
        if target not in (SERVER, ALL_SITES):
            check_site(target)
        if isinstance(obj, ServerComponent) and target == SERVER:
            self._workflows.append(obj)
        elif isinstance(obj, ScriptExecutor) and target != SERVER:
            if target in self._executors:
                raise BadInputError(f"job {self.name} has an executor for {target} already; a site has one")
            self._executors[target] = obj
        elif isinstance(obj, Filter) and target != SERVER:
            self._filters.setdefault(target, []).append(obj)
        elif isinstance(obj, str | os.PathLike) and target != SERVER:
            self._files.setdefault(target, {}).update(bundle.named_files(os.fspath(obj)))
        else:
            raise BadInputError(
                f"job {self.name}: a {type(obj).__name__} does not go to {target!r}; workflows go to 'server', "
                "executors, filters and files to sites; filters at the server are an argument of its workflow"
            )

    def to_server(self, obj: Any, id: str | None = None, **kwargs: Any) -> None:  # noqa: A002
        """`to` the server."""
        self.to(obj, SERVER, id, **kwargs)

    def to_clients(self, obj: Any, id: str | None = None, **kwargs: Any) -> None:  # noqa: A002
        """`to` every site that has no executor of its own."""
        self.to(obj, ALL_SITES, id, **kwargs)

    def add_resource_spec(self, site_name: str, resource_spec: dict[str, Any]) -> None:
        """Say what a site's script needs of a cluster, e.g. ``{"GPU": 1}``; see ``docs/cluster.md``.

        Args:
            site_name: the site, or ``"@ALL"`` for those that are not named.
            resource_spec: numbers by the names that the workers have for their resources.

        Raises:
            BadInputError: it is no table, or that site has one already.
        """
        if site_name != ALL_SITES:
            check_site(site_name)
        try:
            spec = msgspec.convert(msgspec.to_builtins(resource_spec), dict[str, Any])
        except (msgspec.ValidationError, TypeError) as error:
            raise BadInputError(f"job {self.name}: the resource_spec of {site_name} is no table: {error}") from error
        if site_name in self._resource_spec:
            raise BadInputError(f"job {self.name} has a resource_spec for {site_name} already")
        self._resource_spec[site_name] = spec

    def export_job(self, job_root: str | os.PathLike[str]) -> None:
        """Write the job as the folder ``<job_root>/<name>``.

        Raises:
            BadInputError: the job is incomplete, a script does not exist, or the folder cannot be written.
        """
        if (desk := handover.desk()) is not None:
            handover.hand_over(desk, self._job())
            return
        job = self._job()
        job.check_scripts()
        write_job(job, Path(job_root) / self.name)

    def simulator_run(
        self,
        workspace: str | os.PathLike[str],
        n_clients: int | None = None,
        threads: int | None = None,
    ) -> None:
        """Run the job with a process per site on this machine, and print where the results are.

        Runs lie in ``<workspace>/runs``, the exchange in ``<workspace>/exchange``.

        Args:
            workspace: a folder; made if it does not exist.
            n_clients: how many sites; the job's named sites if not given.
            threads: how many sites work at once; all if not given.

        Raises:
            SystemExit: the run did not complete; the code is that of ``fltui run``.
        """
        if (desk := handover.desk()) is not None:
            handover.hand_over(desk, self._job(), n_clients, threads)
            raise SystemExit(0)
        root = Path(workspace).absolute()
        with tempfile.TemporaryDirectory(prefix="fltui-job-") as temporary:
            folder = write_job(self._job(), Path(temporary) / self.name)
            command = [sys.executable, "-P", "-m", "fltui", "run", str(folder)]
            command += ["--runs", str(root / "runs"), "--exchange", str(root / "exchange")]
            command += ["--sites", str(n_clients)] if n_clients is not None else []
            command += ["--threads", str(threads)] if threads is not None else []
            code = _run_with_lifeline(command)
        if code:
            raise SystemExit(code)

    def _job(self) -> Job:
        if not self._workflows:
            raise BadInputError(f"job {self.name} has no workflow; send one with job.to(FedAvg(...), 'server')")
        if not self._executors:
            raise BadInputError(f"job {self.name} has no site; send one with job.to(ScriptExecutor(...), 'site-0')")
        for what, targets in (("files", self._files.keys()), ("filters", self._filters.keys())):
            if lonely := targets - self._executors.keys():
                raise BadInputError(f"job {self.name} sends {what} to {min(lonely)!r}, which has no executor")
        apps = {target: self._app(target, executor) for target, executor in self._executors.items()}
        everywhere = apps.pop(ALL_SITES, None)
        return Job(
            self.name,
            registry.series(self._workflows),
            apps,
            everywhere,
            self.min_clients,
            self.mandatory_clients,
            self.require_signatures,
            _own_files(self._workflows),
            self._resource_spec,
        )

    def _app(self, target: str, executor: ScriptExecutor) -> SiteApp:
        script = executor.task_script_path
        files = bundle.script_files(script)
        files.update(self._files.get(target, {}))
        filters = self._filters.get(target, [])
        files.update(_own_files(filters))
        executor = replace(executor, task_script_path=bundle.place(script))
        return SiteApp(executor, files, tuple(registry.written(one) for one in filters))


def _own_files(parts: Iterable[object]) -> dict[str, Path]:
    """The files of the classes that the job's author wrote, by their place below ``custom/``."""
    files: dict[str, Path] = {}
    for part in parts:
        for kind in registry.own_classes(part):
            files.update(class_files(kind))
    return files


def _run_with_lifeline(command: list[str]) -> int:
    """Run a command that ends itself when this process dies, however that happens."""
    read, write = os.pipe()
    try:
        environment = {**os.environ, handover.LIFELINE: str(read)}
        process = subprocess.Popen(command, env=environment, pass_fds=(read,))
        os.close(read)
        while True:
            with contextlib.suppress(KeyboardInterrupt):  # the command got the same Ctrl-C and is stopping its sites
                code = process.wait()
                return code if code >= 0 else 128 - code
    finally:
        os.close(write)
