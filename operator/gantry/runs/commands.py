"""The command that a step is started with: whose it is, and what people read when the launcher could not start it. Pure.

The pipeline's (steps[].command), the image's own (entrypoint and arguments, which the registry told when the Run was made), or that of a MAP's
manifest, which only the launcher reads.
"""

from gantry.api.pipeline import RunTemplate
from gantry.api.step import Step

LONGEST = 200
"""Characters of a program's name in a message."""


def commands_of_images(before: RunTemplate, after: RunTemplate) -> tuple[str, ...]:
    """Steps that have no command in a pipeline's template and have one in its Runs'."""
    named = {step.name for step in before.steps if step.command is not None}
    return tuple(step.name for step in after.steps if step.command is not None and step.name not in named)


def not_found(step: Step, *, of_image: bool) -> str:
    """Exit code 127 of the launcher: the end of a sentence about the step. `of_image`: the command is the image's own."""
    if step.command is None:
        return "was not started: the command of its manifest (app.json), or the interpreter of it, is not in the image; see the container's log"
    return f"was not started: {_program(step)}, or the interpreter of it, is not in the image; {_whose(of_image=of_image)}"


def not_executable(step: Step, *, of_image: bool) -> str:
    """Exit code 126: it is there, without the right to execute it, for another processor, or a folder."""
    if step.command is None:
        return "was not started: the command of its manifest (app.json) cannot be executed; see the container's log"
    return f"was not started: {_program(step)} cannot be executed (its mode, or built for another processor); {_whose(of_image=of_image)}"


def _program(step: Step) -> str:
    name = (step.command or [""])[0]
    return name if len(name) <= LONGEST else f"{name[:LONGEST]}…"


def _whose(*, of_image: bool) -> str:
    if of_image:
        return "it is the image's own (entrypoint), for the pipeline gives no command: build the image anew, or write steps[].command"
    return "steps[].command of the template names it"
