"""What the steps of a pipeline are allowed beyond the default, told so that nobody has to read every template to find it.

Pure. It must not judge whether that is right: the chart's admission policy and the namespace's Pod Security do.
"""

from gantry.api.pipeline import RunTemplate

from .contracts import contract_of


def relaxed(template: RunTemplate) -> dict[str, tuple[str, ...]]:
    """Step -> `root` (user 0), `network` (sockets), `writable-image` (its own root file system); steps without any are left out.

    A writable image counts when the step asks for it beyond what its contract has by itself.
    """
    found = {}
    for step in template.steps:
        security = step.security
        asked = {
            "root": security.run_as_user == 0,
            "network": security.allow_network,
            "writable-image": security.read_only_root_filesystem is False and contract_of(step).read_only_root,
        }
        if names := tuple(name for name, holds in asked.items() if holds):
            found[step.name] = names
    return found
