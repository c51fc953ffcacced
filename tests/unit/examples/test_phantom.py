"""The phantom: its truth is what its images show, and the same options make the same files."""

import json
from pathlib import Path

import numpy as np
import pytest
from examples.phantom import anatomy
from examples.phantom.make_ct import CENTRE, Options, draw, main, make_series
from pydicom import dcmread

SMALL = Options(slices=4, matrix=32, spheres=0, vessels=0)


def test_the_same_options_make_the_same_bytes(tmp_path: Path) -> None:
    for name in ("one", "two"):
        make_series(tmp_path / name, SMALL)
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["ct0001.dcm", "ct0002.dcm", "ct0003.dcm", "ct0004.dcm", "truth.json"]
    assert all((tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes() for name in files)


@pytest.mark.parametrize("changed", [{"seed": 2}, {"slices": 5}, {"patient_id": "B"}, {"accession": "7"}], ids=lambda c: next(iter(c)))
def test_no_uid_is_used_for_other_content(changed: dict[str, object]) -> None:
    other = Options(**{**vars(SMALL), **changed})  # type: ignore[arg-type]
    assert {SMALL.uid(role) for role in ("study", "series")}.isdisjoint(other.uid(role) for role in ("study", "series"))


@pytest.mark.parametrize(("oblique", "slice_spacing"), [(0.0, 2.0), (0.0, 5.0), (20.0, 1.5)], ids=["axial", "thick slices", "oblique"])
def test_a_sphere_is_where_and_as_large_as_the_truth_says(oblique: float, slice_spacing: float) -> None:
    planted = anatomy.Sphere((70.0, -12.0, 3.0), 17.0)
    options = Options(slices=int(80 / slice_spacing), matrix=128, slice_spacing=slice_spacing, exact=(planted,), vessels=0, noise=0, oblique=oblique)
    volume, grid, (sphere,) = draw(options)
    empty, _, _ = draw(Options(**{**vars(options), "exact": ()}))
    share = (volume.astype(float) - empty) / (anatomy.NODULE - anatomy.LUNG)
    assert share.sum() * grid.spacing.prod() == pytest.approx(4 / 3 * np.pi * 8.5**3, rel=0.01)
    center = (np.argwhere(share) * share[share != 0][:, None]).sum(axis=0) / share.sum()
    assert grid.origin + (center * grid.spacing) @ grid.axes == pytest.approx(np.array(sphere.center), abs=0.05)
    assert sphere.center == pytest.approx(tuple(CENTRE + planted.center))


def test_spheres_lie_in_the_lungs_apart_from_each_other_and_from_vessels() -> None:
    random = np.random.default_rng(5)
    spheres = anatomy.place_spheres(random, 12, (5, 20), lambda center, reach: bool(abs(center[2]) + reach < 60))
    vessels = anatomy.grow_vessels(random, spheres, trees=6)
    assert len(vessels) > 100
    for sphere in spheres:
        assert anatomy.depth_in_lung(np.array(sphere.center)) > sphere.radius
        assert min(anatomy.distance_to_tube(np.array(sphere.center), tube) for tube in vessels) > sphere.radius
        others = [other for other in spheres if other is not sphere]
        assert min(np.linalg.norm(np.subtract(sphere.center, o.center)) - o.radius for o in others) > sphere.radius


def test_spheres_that_do_not_fit_are_an_error_and_not_a_shorter_list(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"4 spheres of 6\.0 to 18\.0 mm do not fit"):
        main([str(tmp_path), "--slices", "3", "--matrix", "32"])


def test_run_by_hand_it_takes_every_option(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(tmp_path), "--slices", "8", "--matrix", "64", "--spheres", "1", "--largest", "8", "--patient-id", "P7", "--study-description", "CT Schädel"])
    assert "8 slices and truth.json with 1 spheres" in capsys.readouterr().out
    image = dcmread(tmp_path / "ct0003.dcm")
    assert (image.PatientID, image.StudyDescription, image.Rows) == ("P7", "CT Schädel", 64)
    assert len(json.loads((tmp_path / "truth.json").read_text())["spheres"]) == 1
