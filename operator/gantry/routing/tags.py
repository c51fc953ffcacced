"""DICOM elements as the match language names and compares them.

Pure. `Tags` is a study's or series' elements by keyword or by `gggg,eeee`, values as Orthanc gives them: text, multi-valued joined by a backslash
(PS3.5 6.2). Trimming follows PS3.5: leading and trailing spaces of a value mean nothing, a padding NUL of a UID neither.
"""

from collections.abc import Mapping

Tags = Mapping[str, str]


def values_of(tags: Tags, tag: str) -> tuple[str, ...] | None:
    """The values of one element, trimmed; None when the element is missing or empty (PS3.5 7.4.2: an empty Type 2 says nothing)."""
    text = tags.get(canonical(tag))
    if text is None:
        return None
    values = tuple(part.strip(" \0") for part in text.split("\\"))
    return values if any(values) else None


def canonical(tag: str) -> str:
    """Keyword as it is; `gggg,eeee` and the numbers of a private tag in lower case, so that `0008,103E` finds `0008,103e`."""
    if "," not in tag:
        return tag
    head, _, rest = tag.partition(",")
    if rest.startswith('"'):
        creator, _, element = rest.rpartition(",")
        return f"{head.lower()},{creator},{element.lower()}"
    return f"{head.lower()},{rest.lower()}"
