"""What a report must know of its Run, from the task: the same for what was found and for what could not be done."""

from gantry import __version__, runs
from gantry.report import Predecessor, ReportContext, for_comprehensive
from gantry.runs import Task


def alternative_context(task: Task, context: ReportContext) -> ReportContext:
    """The same for the reports that stand for them."""
    return for_comprehensive(context, _known(task.alternative_predecessors))


def _known(predecessors: tuple[runs.Predecessor, ...]) -> tuple[Predecessor, ...]:
    return tuple(Predecessor(one.sop_class_uid, one.sop_instance_uid, one.series_instance_uid) for one in predecessors)


def report_context(task: Task) -> ReportContext:
    """The Run, and its pipeline's settings of reports."""
    settings = task.spec.template.report
    return ReportContext(
        installation=task.installation,
        namespace=task.namespace,
        run=task.run,
        created=task.created,
        images=tuple(step.image for step in task.spec.template.steps),
        algorithm=settings.algorithm,
        evaluated_for=tuple(settings.evaluated_for),
        sop_class=settings.sop_class,
        character_set=settings.character_set,
        series_number=settings.series_number,
        series_description=settings.series_description,
        product_version=__version__,
        shadow=task.spec.mode == "Shadow",
        predecessors=_known(task.predecessors),
    )
