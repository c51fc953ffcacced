"""Options that several commands have, worded once."""

from enum import StrEnum
from typing import Annotated

import typer


class Output(StrEnum):
    """How a command answers."""

    TEXT = "text"
    JSON = "json"


def plain(words: str) -> str:
    """One line without control characters: names of files and texts of others could steer the reader's terminal."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in words)


NamespaceOption = Annotated[
    str | None,
    typer.Option("--namespace", "-n", metavar="NAMESPACE", help="Default: the one of your kubeconfig's context.", show_default=False),
]
OutputOption = Annotated[Output, typer.Option("--output", "-o", help="For people, or for programs.")]
