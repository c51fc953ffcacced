"""The containers of a Run that are Gantry's own, from their start to their exit code.

Whatever happens, a receipt is left that says why, and the exit code follows the rule in `outcome.py`. It must not hold any work of its own.
"""

import os
import signal
import sys
from types import FrameType
from typing import NoReturn

from pydantic import ValidationError

from gantry.api import RunReason, parse_duration
from gantry.orthanc import Credentials
from gantry.runs import NOTICE_SECONDS, FetchReceipt, PublishReceipt, Task, failed
from gantry.runs.receipt import Receipt, room
from gantry.runs.task import VARIABLE

from . import log
from .certificates import mounted_trust
from .outcome import RETRY, Stop, exit_code, hand_over, unexpected
from .patience import patience_for
from .workspace import Workspace, rooted

UNEXPECTED = {"fetch": RunReason.FETCH_FAILED, "publish": RunReason.PUBLISH_FAILED, "not-performed": RunReason.PUBLISH_FAILED}
RECEIPTS: dict[str, type[Receipt]] = {"fetch": FetchReceipt, "publish": PublishReceipt, "not-performed": PublishReceipt}

MOST_STEPS = 8
"""Of a Run (api/pipeline.py)."""


class Ended(BaseException):
    """The kubelet ends the pod. Process 1 has no default action for SIGTERM, so without this every end would take the whole grace period."""


def main(arguments: list[str]) -> int:
    """The exit code, after the receipt was written."""
    if len(arguments) != 1 or arguments[0] not in UNEXPECTED:
        print("usage: python -m gantry.worker fetch|publish|not-performed", file=sys.stderr)
        return 2
    role = arguments[0]
    log.configure()
    os.umask(0o022)
    signal.signal(signal.SIGTERM, _end)
    receipt = _receipt(role)
    if receipt.failure:
        log.complain(f"{role} failed", {"reason": receipt.failure.reason, "message": receipt.failure.message})
    try:
        hand_over(receipt, receipt_limit(role))
    except (OSError, ValueError) as error:  # no receipt: the operator reports PublishFailed or FetchFailed by the exit code
        log.complain("the receipt cannot be written", {"error": type(error).__name__})
        return RETRY
    return exit_code(receipt.failure)


def receipt_limit(role: str) -> int:
    """Bytes that the kubelet hands on of a receipt."""
    try:
        steps = len(_task(role).spec.template.steps)
    except Stop:
        steps = MOST_STEPS
    return room(1 if role == "not-performed" else steps + 2)


def _receipt(role: str) -> Receipt:
    try:
        return _work(role)
    except Stop as stop:
        return RECEIPTS[role](failure=stop.failure)
    except Ended:
        return RECEIPTS[role](failure=failed(UNEXPECTED[role], "ended from outside (SIGTERM) before it was done", step=role))
    except Exception as error:  # noqa: BLE001 - the last resort of the process: a receipt with a reason beats a traceback nobody can fetch
        return RECEIPTS[role](failure=unexpected(UNEXPECTED[role], role, error))


def _work(role: str) -> Receipt:
    task = _task(role)
    log.belongs(_whose(task))
    username, password = os.environ.get("ORTHANC_USERNAME"), os.environ.get("ORTHANC_PASSWORD")
    credentials = Credentials(username, password) if username and password is not None else None
    workspace = Workspace(rooted())
    trust = mounted_trust(workspace.certificates, reason=UNEXPECTED[role], role=role)
    timeout = NOTICE_SECONDS if role == "not-performed" else parse_duration(task.spec.template.timeout).total_seconds()
    patience = patience_for(timeout)
    # Each container loads its own half only: fetch no pydicom and highdicom, publish no routing.
    if role == "fetch":
        from .fetch import LAUNCHER, Source, fetch

        source = Source(task.orthanc_url, credentials, task.connections, patience, trust)
        return fetch(task, workspace, source, launcher=type(LAUNCHER)(os.environ.get("GANTRY_LAUNCHER", LAUNCHER)))
    from .publish import Sink, publish

    if role == "not-performed":
        from .not_performed import report_not_performed

        return report_not_performed(task, Sink(task.orthanc_url, credentials, patience, trust))
    return publish(task, workspace, Sink(task.orthanc_url, credentials, patience, trust))


def _task(role: str) -> Task:
    try:
        return Task.model_validate_json(os.environ.get(VARIABLE, ""))
    except ValidationError as error:
        fields = ", ".join(sorted({".".join(map(str, one["loc"])) or "the whole" for one in error.errors()}))
        words = f"{VARIABLE} cannot be read ({fields}): operator and worker image are of different releases"
        raise Stop(UNEXPECTED[role], words, step=role) from None


def _whose(task: Task) -> dict[str, str]:
    """Under the same names as in the operator's log."""
    made = {"namespace": task.namespace, "run": task.run, "bridge": task.spec.bridge_ref.name}
    made |= {"pipeline": task.spec.pipeline_ref.name} if task.spec.pipeline_ref else {}
    trace = os.environ.get("TRACEPARENT", "").split("-")  # W3C Trace Context: version, trace, parent, flags
    return made | ({"trace_id": trace[1]} if len(trace) == 4 else {})


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise Ended
