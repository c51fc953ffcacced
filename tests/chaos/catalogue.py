"""All faults, in the order of the table."""

import importlib
import inspect

from tests.chaos.fault import Fault

FAMILIES = ("load", "operator", "api_server", "orthanc", "pacs", "pod", "objects", "storm")


def catalogue() -> list[type[Fault]]:
    """Every class with a name of its own."""
    found: list[type[Fault]] = []
    for family in FAMILIES:
        module = importlib.import_module(f"tests.chaos.faults.{family}")
        found += [
            one for one in vars(module).values()
            if inspect.isclass(one) and issubclass(one, Fault) and one.__module__ == module.__name__ and "name" in vars(one)
        ]  # fmt: skip
    return found


def chosen(words: str, *, long: bool) -> list[type[Fault]]:
    """Those whose names hold one of the comma separated `words`; all without words, the long ones only if asked for."""
    wanted = [word.strip().lower() for word in words.split(",") if word.strip()]
    if not wanted:
        return [one for one in catalogue() if long or not one.long]
    return [one for one in catalogue() if any(word in one.name.lower() for word in wanted)]
