"""A job as data: one workflow at the server, one script per site."""

from __future__ import annotations

import filecmp
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from fltui.errors import BadInputError
from fltui.exchange.layout import check_name, check_site
from fltui.job.component import Part, ServerComponent
from fltui.job.executors import ScriptExecutor


@dataclass(frozen=True)
class SiteApp:
    """What one site runs.

    Attributes:
        executor: its script and arguments.
        files: path below ``custom/`` to the file that is copied there.
        filters: change the model that comes in and the update that goes out; see `fltui.aggregation.filters`.
    """

    executor: ScriptExecutor
    files: dict[str, Path] = field(default_factory=dict)
    filters: tuple[Part, ...] = ()

    def is_like(self, other: SiteApp) -> bool:
        """Whether both run the same: executor, names and contents of the files."""
        return (
            self.executor == other.executor
            and self.filters == other.filters
            and self.files.keys() == other.files.keys()
            and all(filecmp.cmp(path, other.files[inside], shallow=False) for inside, path in self.files.items())
        )


@dataclass(frozen=True)
class Job:
    """A whole job.

    Attributes:
        name: also the name of its folder.
        workflow: what the server does.
        sites: the named sites' apps.
        everywhere: the app of sites that have none of their own.
        min_clients: sites that must be there for the run to begin.
        mandatory_clients: sites that must answer in every round that asks them.
        require_signatures: refuse results that are not signed with the site's trusted key.
        server_files: path below the server's ``custom/`` to the file that is copied there: code of the job's own.
        resource_spec: what a site's script needs of a cluster, by the site's name and that of the resource; ``@ALL`` is
            for the sites that are not named.
    """

    name: str
    workflow: ServerComponent
    sites: dict[str, SiteApp]
    everywhere: SiteApp | None = None
    min_clients: int = 1
    mandatory_clients: tuple[str, ...] = ()
    require_signatures: bool = False
    server_files: dict[str, Path] = field(default_factory=dict)
    resource_spec: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name(self.name, "job")
        for name in (*self.sites, *self.mandatory_clients):
            check_site(name)
        if len({name.lower() for name in self.sites}) < len(self.sites):
            raise BadInputError(f"job {self.name}: two sites differ in upper and lower case only")
        if self.min_clients < 1:
            raise BadInputError(f"job {self.name}: min_clients is {self.min_clients}, expected at least 1")
        if self.sites and not self.everywhere and (unknown := set(self.mandatory_clients) - self.sites.keys()):
            raise BadInputError(f"job {self.name}: mandatory client {min(unknown)!r} is not one of its sites")
        filtered = [target for target, app in self._apps.items() if app.filters]
        for part in self.workflow.parts:
            if filtered and part.no_site_filters:
                raise BadInputError(
                    f"job {self.name}: {type(part).__name__} goes without filters at sites, and there are some for "
                    f"{filtered[0]}: {part.no_site_filters}"
                )

    @property
    def _apps(self) -> dict[str, SiteApp]:
        """Of whom: each site that is named, and all others."""
        return {**self.sites, **({"all sites": self.everywhere} if self.everywhere else {})}

    def app(self, site: str) -> SiteApp:
        """The app of one site.

        Raises:
            BadInputError: the job has none for it.
        """
        app = self.sites.get(site, self.everywhere)
        if app is None:
            raise BadInputError(
                f"job {self.name} has no app for site {site!r}; its sites: {', '.join(sorted(self.sites))}"
            )
        return app

    def check_scripts(self) -> None:
        """Make sure that every site's script is among its files.

        Raises:
            BadInputError: one is not; the sentence names it.
        """
        for target, app in self._apps.items():
            if app.executor.task_script_path not in app.files:
                raise BadInputError(
                    f"job {self.name}: the script {app.executor.task_script_path} of {target} does not exist, neither "
                    "beside the job script nor in the current folder"
                )

    def with_sites(self, count: int | None) -> Job:
        """The same job with `count` named sites, and its workflow told so.

        Named sites come first. Further ones get the app for all sites, or the named sites' app where that is the
        same at each. None takes the named sites, or as many as the workflow asks for.

        Raises:
            BadInputError: no app for so many sites, or a count below 1.
        """
        if count is not None and count < 1:
            raise BadInputError(f"job {self.name} cannot run with {count} sites, expected at least 1")
        apps = list(self.sites.values())
        wanted: int = count or (len(apps) if apps else self.workflow.site_count)
        sites = dict(list(self.sites.items())[:wanted])
        common = self.everywhere
        if len(sites) < wanted and common is None and all(app.is_like(apps[0]) for app in apps):
            common = apps[0]
        if len(sites) < wanted and common is None:
            raise BadInputError(
                f"job {self.name} has its own app for each of {len(apps)} sites and none for all, so it cannot run "
                f"with {wanted} sites"
            )
        number = 0 if "site-0" in sites else 1
        while len(sites) < wanted and common is not None:
            sites.setdefault(f"site-{number}", common)
            number += 1
        workflow = self.workflow if count is None else self.workflow.for_sites(wanted)
        mandatory = tuple(name for name in self.mandatory_clients if name in sites)
        if len(sites) < (needed := max(workflow.quorum, self.min_clients)):
            raise BadInputError(f"job {self.name} has {len(sites)} sites, but needs {needed} of them in every round")
        return replace(self, sites=sites, everywhere=None, workflow=workflow, mandatory_clients=mandatory)

    def with_rounds(self, count: int | None) -> Job:
        """The same job with `count` rounds; None leaves them."""
        return self if count is None else replace(self, workflow=self.workflow.for_rounds(count))
