"""Which strings are UCUM units (https://ucum.org/ucum, case sensitive), and what to write instead of those that are not.

Pure text. No validator of DICOM checks units, so a report with "millimetres" would reach the archive and no reader would understand it.
The grammar is UCUM's, the atoms are those that occur in imaging.
"""

import re

_METRIC = frozenset(
    (
        "m", "s", "g", "rad", "K", "C", "cd", "mol", "sr", "Hz", "N", "Pa", "J", "W", "A", "V", "F", "Ohm", "S", "Wb", "Cel", "T", "H",
        "lm", "lx", "Bq", "Gy", "Sv", "l", "L", "t", "bar", "u", "eV", "kat", "U", "cal", "Ci", "R", "RAD", "REM", "[iU]", "[IU]", "m[Hg]",
        "m[H2O]", "B", "bit", "By",
    )
)
"""Atoms that take prefixes (UCUM tables 4 to 20), those that imaging uses."""
_PLAIN = frozenset(
    (
        "%", "[ppth]", "[ppm]", "[ppb]", "[pi]", "deg", "'", "''", "min", "h", "d", "wk", "mo", "a", "[in_i]", "[ft_i]", "[lb_av]",
        "[hnsf'U]", "[arb'U]", "[diop]", "[degF]", "[Ch]", "10*", "10^", "gon",
    )
)
"""Atoms that take none."""
_PREFIXES = ("da", "Y", "Z", "E", "P", "T", "G", "M", "k", "h", "d", "c", "m", "u", "n", "p", "f", "a", "z", "y")
_NOTE = r"\{[\x21-\x7a\x7c\x7e]*\}"
_COMPONENT = re.compile(rf"(?P<atom>10[*^]|(?:[^0-9+\-./(){{}}\[\]]|\[[^\]]+\])+)(?:[+-]?[0-9]+)?(?:{_NOTE})?|[0-9]+(?:{_NOTE})?|{_NOTE}")

_MEANINGS = {
    "1": "no units",
    "%": "percent",
    "mm": "millimeter",
    "cm": "centimeter",
    "m": "meter",
    "um": "micrometer",
    "mm2": "square millimeter",
    "cm2": "square centimeter",
    "m2": "square meter",
    "mm3": "cubic millimeter",
    "cm3": "cubic centimeter",
    "ml": "milliliter",
    "mL": "milliliter",
    "l": "liter",
    "L": "liter",
    "deg": "degree",
    "g": "gram",
    "kg": "kilogram",
    "mg/cm3": "milligram per cubic centimeter",
    "g/cm3": "gram per cubic centimeter",
    "g/ml{SUVbw}": "Standardized Uptake Value body weight",
    "[hnsf'U]": "Hounsfield unit",
    "{0:1}": "range: 0:1",
    "{ratio}": "ratio",
    "{pixels}": "pixels",
    "{score}": "score",
    "s": "second",
    "ms": "millisecond",
    "/min": "per minute",
    "mGy": "milligray",
    "mGy.cm": "milligray centimeter",
    "mSv": "millisievert",
    "kPa": "kilopascal",
    "mm/s": "millimeter per second",
    "um2/s": "square micrometer per second",
}

_ADVICE = {
    "": "1",
    "none": "1",
    "unitless": "1",
    "ratio": "{ratio}",
    "score": "{score}",
    "px": "{pixels}",
    "pixel": "{pixels}",
    "pixels": "{pixels}",
    "voxel": "{voxels}",
    "voxels": "{voxels}",
    "percent": "%",
    "pct": "%",
    "hu": "[hnsf'U]",
    "[hu]": "[hnsf'U]",
    "hounsfield": "[hnsf'U]",
    "suv": "g/ml{SUVbw}",
    "cc": "cm3",
    "ccm": "cm3",
    "bpm": "/min",
    "sec": "s",
    "secs": "s",
    "second": "s",
    "seconds": "s",
    "msec": "ms",
    "hour": "h",
    "hours": "h",
    "hr": "h",
    "minute": "min",
    "minutes": "min",
    "day": "d",
    "days": "d",
    "year": "a",
    "years": "a",
    "degree": "deg",
    "degrees": "deg",
    "°": "deg",
    "°c": "Cel",
    "µm": "um",
    "μm": "um",
    "micron": "um",
    "microns": "um",
    "mmhg": "mm[Hg]",
    "inch": "[in_i]",
    "inches": "[in_i]",
    "gram": "g",
    "grams": "g",
}
_WORDS = {"millimet": "mm", "centimet": "cm", "micromet": "um", "millilit": "ml", "lit": "l", "met": "m"}
_POWERS = {"²": "2", "³": "3", "^2": "2", "^3": "3", "**2": "2", "**3": "3"}
_SQUARE_OR_CUBIC = {"square ": "2", "sq ": "2", "cubic ": "3"}


def is_ucum(unit: str) -> bool:
    """Whether the unit follows UCUM's grammar with an atom known here."""
    if not unit or not unit.isascii() or "**" in unit:
        return False
    return _is_term(unit)


def _is_term(text: str) -> bool:
    for part in _split(text.removeprefix("/")):
        if part.startswith("(") and part.endswith(")"):
            if not _is_term(part[1:-1]):
                return False
        elif not _is_component(part):
            return False
    return True


def _split(text: str) -> list[str]:
    """The factors: '.' and '/' outside of braces, brackets and parentheses separate them."""
    parts, depth, start = [], 0, 0
    for index, character in enumerate(text):
        depth += character in "([{"
        depth -= character in ")]}"
        if character in "./" and depth == 0:
            parts.append(text[start:index])
            start = index + 1
    return [*parts, text[start:]]


def _is_component(part: str) -> bool:
    match = _COMPONENT.fullmatch(part)
    if match is None:
        return False
    atom: str | None = match["atom"]
    if atom is None or atom in _PLAIN or atom in _METRIC:
        return True
    return any(atom.startswith(prefix) and atom[len(prefix) :] in _METRIC for prefix in _PREFIXES)


def advice(unit: str) -> str | None:
    """What the author probably meant, in UCUM; None: no idea."""
    text = unit.strip().lower()
    power = ""
    for word, exponent in _SQUARE_OR_CUBIC.items():
        if text.startswith(word):
            text, power = text.removeprefix(word), exponent
    for suffix, exponent in _POWERS.items():
        if text.endswith(suffix):
            text, power = text.removesuffix(suffix), exponent
    for start, symbol in _WORDS.items():
        if text.startswith(start):
            return symbol + power
    candidate = _ADVICE.get(text, text if power or text != unit else "") + power
    return candidate if is_ucum(candidate) else None


def unit_meaning(unit: str) -> str:
    """The code meaning of a unit: its English name where known, else the unit itself."""
    return _MEANINGS.get(unit, unit)
