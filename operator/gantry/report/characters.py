"""Texts of an object in a character set that does not hold them: the set is named, and letters that were lost are the study's.

Pure. Some SDKs write Latin-1 whatever the study is written in: other letters become question marks, and the element that names the set may be
missing (MONAI Deploy App SDK 0.5.1 and 3.5.0, tests/recorded). A patient whose name is "?????" is another patient for an archive. Only texts that
are equal to the input's but for lost letters are mended; a name that really differs is not.
"""

from collections.abc import Iterator, Sequence

from pydicom import DataElement, Dataset
from pydicom.charset import convert_encodings
from pydicom.multival import MultiValue
from pydicom.tag import Tag

from .verbatim import copied, text

UTF_8 = "ISO_IR 192"
LATIN_1 = "ISO_IR 100"
"""What pydicom takes for granted where no set is named, and what those SDKs write."""
_SET = "SpecificCharacterSet"
_LOST = "?\ufffd"
_OF_THE_STUDY = ("PatientName", "ReferringPhysicianName", "StudyDescription", "StudyID", "AccessionNumber")
_TEXTS = frozenset(("LO", "LT", "PN", "SH", "ST", "UC", "UT"))
"""The VRs that Specific Character Set is about (PS3.5 6.1.2.3)."""
_MANY = "PerFrameFunctionalGroupsSequence"
"""Thousands of items without texts."""


def mend_characters(result: Dataset, image: Dataset) -> Iterator[str]:
    """Mends `result` in place, a line for each fault. It must have been read whole: what is still raw would be written as it was read."""
    if not text(result, _SET) and not all(word.isascii() for word in _texts(result)):
        known = [keyword for keyword in _OF_THE_STUDY if not text(result, keyword).isascii() and _same(text(result, keyword), text(image, keyword))]
        if known:
            _name_the_set(result, LATIN_1)
        yield f"{_SET}: is missing, but there are texts beyond ASCII" + (f"; Gantry wrote {LATIN_1}" if known else "")
    for keyword in _OF_THE_STUDY:
        theirs, ours = text(result, keyword), text(image, keyword)
        element = copied(image, keyword) if theirs != ours and _same(theirs, ours) else None
        if element is not None:
            result[Tag(keyword)] = element
            hold(result, [ours])
            yield f"{keyword}: has question marks for letters that its character set lacks; Gantry copied it from the input"


def hold(result: Dataset, words: Sequence[str]) -> None:
    """Changes the character set of `result` to UTF-8, unless the one it has holds all these words."""
    if not all(word.isascii() or any(_encodes(codec, word) for codec in _codecs(result)) for word in words):
        _name_the_set(result, UTF_8)


def _name_the_set(result: Dataset, name: str) -> None:
    result[Tag(_SET)] = DataElement(Tag(_SET), "CS", name)


def _codecs(dataset: Dataset) -> list[str]:
    value = dataset.get(_SET)
    return convert_encodings(list(value) if isinstance(value, MultiValue) else value) if value else ["ascii"]


def _encodes(codec: str, word: str) -> bool:
    try:
        word.encode(codec)
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _same(theirs: str, ours: str) -> bool:
    """Equal, but for letters beyond ASCII that were lost."""
    return len(theirs) == len(ours) and all(
        one == other or (one in _LOST and not other.isascii()) for one, other in zip(theirs, ours, strict=True)
    )


def _texts(dataset: Dataset) -> Iterator[str]:
    for element in dataset:
        if element.VR == "SQ" and element.keyword != _MANY:
            for item in element.value or ():
                yield from _texts(item)
        elif element.VR in _TEXTS:
            yield str(element.value or "")
