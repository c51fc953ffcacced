"""The pure parts: elements, names of modalities, words that are safe to show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gantry.orthanc import harmless, modality_name
from gantry.orthanc.elements import flat, with_numbers
from gantry.orthanc.models import moment, parse_dicom_web_root, parse_instance, parse_study

ELEMENTS = {
    "0008,103E": {"Name": "SeriesDescription", "Type": "String", "Value": "axial"},
    "0018,0050": {"Name": "SliceThickness", "Type": "String", "Value": "1.25"},
    "0008,0008": {"Name": "ImageType", "Type": "String", "Value": "ORIGINAL\\PRIMARY"},
    "0008,1110": {"Name": "ReferencedStudySequence", "Type": "Sequence", "Value": [{}]},
    "0010,4000": {"Name": "PatientComments", "Type": "TooLong", "Value": None},
    "7fe0,0010": {"Name": "PixelData", "Type": "Null", "Value": None},
    "0019,0010": {"Name": "PrivateCreator", "Type": "String", "Value": "ACME"},
    "0019,10AB": {"Name": "Unknown Tag & Data", "PrivateCreator": "ACME", "Type": "String", "Value": "7"},
}


def test_elements_are_found_by_keyword_by_number_and_by_private_creator() -> None:
    assert flat(ELEMENTS) == {
        "0008,103e": "axial", "SeriesDescription": "axial",
        "0018,0050": "1.25", "SliceThickness": "1.25",
        "0008,0008": "ORIGINAL\\PRIMARY", "ImageType": "ORIGINAL\\PRIMARY",
        "0019,0010": "ACME",
        "0019,10ab": "7", '0019,"ACME",ab': "7",
    }  # fmt: skip


def test_elements_orthanc_keeps_are_found_by_number_too() -> None:
    assert with_numbers({"Modality": "CT", "SomethingNew": "x"}) == {"Modality": "CT", "0008,0060": "CT", "SomethingNew": "x"}


NAMES = {
    "short names stand as they are": (("radiology", "main", "pacs"), "gantry_radiology_main_pacs"),
    "a dash does not make two names one": (("a", "b-c", "d"), "gantry_a_b-c_d"),
    "and another": (("a-b", "c", "d"), "gantry_a-b_c_d"),
}


@pytest.mark.parametrize(("names", "want"), NAMES.values(), ids=NAMES.keys())
def test_the_name_of_a_modality(names: tuple[str, str, str], want: str) -> None:
    assert modality_name(*names) == want


KUBERNETES = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", fullmatch=True)


@given(st.lists(st.tuples(KUBERNETES, KUBERNETES, KUBERNETES), min_size=2, max_size=2, unique=True))
def test_two_destinations_never_share_a_name_and_orthanc_takes_it(both: list[tuple[str, str, str]]) -> None:
    one, other = (modality_name(*names) for names in both)
    assert one != other
    assert len(one) <= 64
    assert set(one) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_")


WORDS = {
    "an association error is kept": (
        'DicomAssociation - connecting to AET "PACS": TCP Initialization Error: Connection refused (10.0.0.7:11112)',
        'DicomAssociation - connecting to AET "PACS": TCP Initialization Error: Connection refused (10.0.0.7:11112)',
    ),
    "a status code is kept": ("C-STORE failed: 0xA700 Out of resources", "C-STORE failed: 0xA700 Out of resources"),
    "a name is masked": ("cannot store Doe^John", "cannot store …"),
    "a UID is masked": ("cannot store 1.2.840.10008.5.1", "cannot store …"),
    "a long number is masked": ("patient 12345678", "patient …"),
    "lines become one": ("a\n\t b", "a b"),
}


@pytest.mark.parametrize(("words", "want"), WORDS.values(), ids=WORDS.keys())
def test_words_of_a_server_are_made_harmless(words: str, want: str) -> None:
    assert harmless(words) == want


def test_long_words_are_shortened() -> None:
    assert len(harmless("x " * 1000)) == 300


@pytest.mark.parametrize("text", [None, 3, "", "yesterday", "20261399T000000"])
def test_a_date_that_is_none_is_none(text: object) -> None:
    assert moment(text) is None


def test_a_study_of_an_older_server_is_read() -> None:
    study = parse_study({"ID": "s", "MainDicomTags": {}})
    assert (study.last_update, study.is_stable, study.series) == (None, True, ())


@pytest.mark.parametrize(("text", "number"), [("12 ", 12), ("", None), ("x", None), ("-3", -3)])
def test_an_instance_number_may_be_anything(text: str, number: int | None) -> None:
    raw = {"ID": "i", "MainDicomTags": {"SOPInstanceUID": "1.2\0", "InstanceNumber": text}}
    instance = parse_instance(raw)
    assert (instance.number, instance.size, instance.sop_instance_uid) == (number, None, "1.2")


ROOTS = {
    "where it is by default": ({"ID": "dicom-web", "RootUri": "../dicom-web/app/client/index.html", "Version": "1.7"}, "/dicom-web"),
    "another place": ({"RootUri": "../web/dicom/app/client/index.html"}, "/web/dicom"),
    "without its own page": ({"ID": "dicom-web"}, "/dicom-web"),
    "a page that does not tell": ({"RootUri": "https://elsewhere/app/x"}, "/dicom-web"),
}


@pytest.mark.parametrize(("said", "want"), ROOTS.values(), ids=ROOTS.keys())
def test_the_dicomweb_plugin_tells_where_it_answers(said: dict[str, str], want: str) -> None:
    assert parse_dicom_web_root(said) == want
