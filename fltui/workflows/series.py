"""Several workflows one after the other: each begins with the model that the one before it has left."""

from __future__ import annotations

from dataclasses import dataclass, replace

from fltui.errors import BadInputError
from fltui.job.component import ServerComponent
from fltui.workflows.cross_site import CrossSiteEval
from fltui.workflows.statistics import Statistics
from fltui.workflows.workflow import Federation, Workflow


@dataclass(frozen=True)
class Series(Workflow):
    """The workflows of a job that has more than one."""

    workflows: tuple[Workflow, ...]

    def __post_init__(self) -> None:
        before, *others = self.workflows
        for workflow in others:
            if workflow.array_bytes:
                raise BadInputError(
                    f"{workflow.title} comes after {before.title} and begins with the model that it leaves, so it "
                    "takes no model of its own"
                )
            before = workflow
        for workflow in self.workflows:
            if isinstance(workflow, Statistics):
                raise BadInputError("Statistics makes a model of its own, so it is alone in its job")
        count = self.workflows[0].site_count
        object.__setattr__(
            self,
            "workflows",
            tuple(
                one.for_sites(count) if isinstance(one, CrossSiteEval) and one.num_clients is None else one
                for one in self.workflows
            ),
        )

    @property
    def title(self) -> str:
        """See `Workflow.title`."""
        return ", ".join(workflow.title for workflow in self.workflows)

    @property
    def parts(self) -> tuple[ServerComponent, ...]:
        """See `ServerComponent.parts`."""
        return self.workflows

    @property
    def array_bytes(self) -> int:
        """Size of all arrays of all workflows."""
        return sum(workflow.array_bytes for workflow in self.workflows)

    @property
    def rounds(self) -> range:
        """The rounds of all, from the first of the first one on."""
        start = self.workflows[0].rounds.start
        return range(start, start + sum(len(workflow.rounds) for workflow in self.workflows))

    @property
    def site_count(self) -> int:
        """How many sites they ask for."""
        return max(workflow.site_count for workflow in self.workflows)

    @property
    def quorum(self) -> int:
        """How many sites have to be there."""
        return max(workflow.quorum for workflow in self.workflows)

    def for_sites(self, count: int) -> Series:
        """The same workflows for `count` sites."""
        return replace(self, workflows=tuple(workflow.for_sites(count) for workflow in self.workflows))

    def for_rounds(self, count: int) -> Series:
        """The same workflows, the first with `count` rounds."""
        first, *others = self.workflows
        return replace(self, workflows=(first.for_rounds(count), *others))

    async def run(self, federation: Federation) -> str:
        """Go through those that are not over; see `Workflow.run`."""
        why = ""
        for place, workflow in enumerate(self.workflows):
            if place < federation.finished_stages():
                continue
            why = await workflow.run(federation)
            if place + 1 < len(self.workflows):
                federation.finish_stage(workflow.title, why)
        return why
