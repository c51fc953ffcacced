"""Kubernetes quantities as numbers, as far as the API's own pattern lets them be written (base.Quantity)."""

import re
from decimal import Decimal

_FACTORS = {
    "": Decimal(1), "m": Decimal("0.001"), "k": Decimal(10**3), "M": Decimal(10**6), "G": Decimal(10**9), "T": Decimal(10**12),
    "Ki": Decimal(2**10), "Mi": Decimal(2**20), "Gi": Decimal(2**30), "Ti": Decimal(2**40),
}  # fmt: skip
_PATTERN = re.compile(r"([0-9]+(?:\.[0-9]+)?)(m|k|Ki|M|Mi|G|Gi|T|Ti)?")


def number_of(quantity: int | str) -> Decimal:
    """`6Gi` -> 6442450944. Raises ValueError on anything else."""
    found = _PATTERN.fullmatch(str(quantity))
    if found is None:
        raise ValueError(f"{quantity!r} is not a quantity; write for example 500m, 2 or 8Gi")
    return Decimal(found[1]) * _FACTORS[found[2] or ""]


def at_least(one: int | str, other: int | str) -> bool:
    """Whether the first quantity is not smaller."""
    return number_of(one) >= number_of(other)
