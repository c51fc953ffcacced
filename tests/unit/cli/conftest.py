"""The command line as a person meets it: arguments in; exit code, standard output and standard error out."""

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from gantry.cli.main import main


class Done(NamedTuple):
    code: int
    out: str
    err: str


Gantry = Callable[..., Done]


@pytest.fixture
def gantry(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Gantry:
    """Runs `gantry …`."""

    def run(*arguments: object) -> Done:
        monkeypatch.setattr(sys, "argv", ["gantry", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Done(int(ended.value.code or 0), captured.out, captured.err)

    return run
