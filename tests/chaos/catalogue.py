"""All faults, in the order of the table."""

import importlib
import inspect

from tests.chaos.fault import Fault

FAMILIES = ("load", "operator", "api_server", "orthanc", "pacs", "pod", "objects", "storm", "cluster")


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


def chosen(words: str, *, long: bool, level: str = "parts") -> list[type[Fault]]:
    """Those whose names hold one of the comma separated `words`; all without words. The long ones only if asked for, or by their whole name."""
    wanted = [word.strip().lower() for word in words.split(",") if word.strip()]
    if not wanted:
        return [one for one in catalogue() if one.level == level and (long or not one.long)]
    named = [one for one in catalogue() if one.level == level and any(word in one.name.lower() for word in wanted)]
    return [one for one in named if long or not one.long or one.name.lower() in wanted]
