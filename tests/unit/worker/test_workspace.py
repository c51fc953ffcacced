"""The volumes of a pod belong to the kubelet; fetch writes into them and may not change them."""

import os
import stat
from pathlib import Path

from gantry.worker.workspace import made, written


def test_a_volume_s_root_keeps_its_mode(tmp_path: Path) -> None:
    """In a real pod it belongs to root, and fetch, as user 1000, was refused with EPERM: every Run failed."""
    volume = tmp_path / "input"
    volume.mkdir()
    os.chmod(volume, 0o2777)
    written(volume / "study.json", b"{}")
    assert stat.S_IMODE(volume.stat().st_mode) == 0o2777
    assert stat.S_IMODE((volume / "study.json").stat().st_mode) & 0o444 == 0o444


def test_a_new_folder_can_be_read_by_every_user(tmp_path: Path) -> None:
    assert stat.S_IMODE(made(tmp_path / "1").stat().st_mode) & 0o555 == 0o555
