"""UCUM units, which no validator of DICOM looks at."""

import pytest

from gantry.findings.units import advice, is_ucum, unit_meaning

UNITS = ["mm", "mm2", "cm3", "ml", "mL", "l", "%", "1", "[hnsf'U]", "g/ml{SUVbw}", "{0:1}", "{-1:1}", "{pixels}", "/min", "mg/cm3", "10*3/uL", "10^6", "mm[Hg]", "um2/s", "g.m-2", "mL/min/{1.73_m2}", "kg/(s.m2)", "mGy.cm", "s-1", "1/s", "deg", "Cel", "kPa", "mSv", "MBq", "dB", "a", "d", "'", "''"]
OTHERS = ("", "mm 2", "millimetres", "MM", "Mm3x", "HU", "SUV", "pixels", "mm^2", "mm²", "mm//s", "(mm", "mm)", "{a", "a}", "mm2.", "**", "{", "μm", "cc", "10**3", "m**2")
ADVICE = {
    "millimetres": "mm",
    "Millimeter": "mm",
    "square millimeters": "mm2",
    "cubic centimeters": "cm3",
    "mm^3": "mm3",
    "cm²": "cm2",
    "cm**3": "cm3",
    "cc": "cm3",
    "HU": "[hnsf'U]",
    "SUV": "g/ml{SUVbw}",
    "percent": "%",
    "pixels": "{pixels}",
    "none": "1",
    "": "1",
    "seconds": "s",
    "degrees": "deg",
    "bpm": "/min",
    "MM": "mm",
    "liter": "l",
    "milliliters": "ml",
    "µm": "um",
    "blobs": None,
    "mm//s": None,
}


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_of_ucum_is_one(unit: str) -> None:
    assert is_ucum(unit)


@pytest.mark.parametrize("unit", OTHERS)
def test_anything_else_is_none(unit: str) -> None:
    assert not is_ucum(unit)


@pytest.mark.parametrize(("unit", "better"), ADVICE.items())
def test_advice_names_the_unit_that_was_meant(unit: str, better: str | None) -> None:
    assert advice(unit) == better
    assert better is None or is_ucum(better)


def test_a_unit_without_a_name_is_its_own_meaning() -> None:
    assert (unit_meaning("mm"), unit_meaning("mm/h")) == ("millimeter", "mm/h")
