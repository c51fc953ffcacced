"""A hostile application in a real pod gets nowhere: not to credentials, network, node, other containers, nor to a result that is not its own."""

from pathlib import Path

from examples.demo.hospital import Hospital
from examples.phantom.make_ct import make_series
from tests.e2e.attack_program import ATTACKS
from tests.e2e.attacks import OUTPUTS, SMALL, attack


def test_every_attack_is_refused(hospital: Hospital, tmp_path: Path) -> None:
    make_series(tmp_path / "study", SMALL)
    tried = attack(hospital, sorted((tmp_path / "study").glob("*.dcm")))
    assert len(tried) == len(ATTACKS) + len(OUTPUTS)
    assert [f"{one.name}: {one.how}" for one in tried if one.succeeded] == []
