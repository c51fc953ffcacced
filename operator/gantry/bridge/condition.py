"""What the findings of a finished Run say to a pipeline that starts after it.

Pure, but slow: 8 MiB of findings take 0.1 s to read and as long to ask about; a caller with an event loop uses a thread. What comes out is shown in
the Run's status, so no word of it may come from the findings.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from gantry.routing import ConditionFailed, FindingsCondition

NO_FINDINGS = (
    "Orthanc keeps no findings.json of this Run: it is of an older release, Orthanc takes no attachments, or the report was deleted or stored anew"
)
CHECK = "after.when"


def findings_document(content: bytes) -> Mapping[str, Any] | None:
    """findings.json, with what its schema leaves to be understood written out: a finding without `presence` is present. None: it is none."""
    try:
        document = json.loads(content)
    except ValueError:
        return None
    findings = document.get("findings") or [] if isinstance(document, dict) else None
    if not isinstance(findings, list):
        return None
    return {**document, "findings": [{"presence": "present", **one} for one in findings if isinstance(one, dict)]}


def findings_refusal(condition: FindingsCondition | None, document: Mapping[str, Any] | None) -> str:
    """Why the findings do not start the pipeline; empty when they do."""
    if document is None:
        return NO_FINDINGS
    if condition is None:
        return ""
    try:
        return "" if condition.holds(document) else f"{CHECK} does not hold"
    except ConditionFailed as error:
        return f"{CHECK} cannot be answered: {_without_values(str(error), condition.text)}"


def _without_values(words: str, expression: str) -> str:
    """CEL quotes the key that is missing. What is no text of the expression came from the findings, which may speak of the patient."""
    return re.sub(r'"([^"]*)"', lambda quoted: quoted[0] if re.search(rf"\b{re.escape(quoted[1])}\b", expression) else '"…"', words)
