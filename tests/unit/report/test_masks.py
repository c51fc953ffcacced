"""Masks become segmentations that lie where the author's array lay, whatever library wrote it, or are refused with the reason."""

from collections.abc import Sequence
from itertools import permutations, product
from typing import Any

import highdicom
import nibabel
import numpy as np
import pytest
from pydicom import Dataset
from tests.builders_dicom import an_image, as_file, changed, ct_series, read_back, uid
from tests.builders_findings import ALGORITHM, VOLUME, Json, a_context, a_document, a_finding, code, image_uid, parsed
from tests.builders_masks import LPS_TO_RAS, Labels, a_sphere, asymmetric, nifti, numpy_file, oblique, placed, rearranged

from gantry.report import InvalidReport, build_masks, build_report, check_object, require_valid

SOURCE = ct_series(20)
LABELS = asymmetric(20, 128, 128)
LUNG = {"category": code("SCT", "123037004", "Anatomical Structure"), "type": code("SCT", "39607008", "Lung")}
SEGMENTS: list[Json] = [{"value": 1, "finding": "one"}, {"value": 2, "finding": "two"}, {"value": 7, **LUNG}]


def a_mask(file: str = "mask.nii.gz", **fields: Any) -> Json:
    return {"file": file, "segments": SEGMENTS} | fields


def document(*masks: Json, **fields: Any) -> Json:
    return a_document(a_finding("one"), a_finding("two"), **({"masks": list(masks)} | fields))


def drawn(content: bytes, source: Sequence[Dataset] = SOURCE, mask: Json | None = None) -> Dataset:
    """The segmentation, read back from its file."""
    chosen = mask or a_mask()
    findings, made = build_masks(parsed(document(chosen)), source, a_context(), {chosen["file"]: content})
    require_valid(build_report(findings, source, a_context(), made), source, made.values())
    return read_back(as_file(made[chosen["file"]]))


def labels_of(segmentation: Dataset, source: Sequence[Dataset], values: Sequence[int] = (1, 2, 7)) -> Labels:
    """What highdicom's reader sees on each image, as labels."""
    reader = highdicom.seg.Segmentation.from_dataset(segmentation)
    pixels = reader.get_pixels_by_source_instance(
        [image.SOPInstanceUID for image in source], assert_missing_frames_are_empty=True, ignore_spatial_locations=True
    )
    return sum((pixels[..., place].astype(np.uint8) * value for place, value in enumerate(values)), np.zeros(pixels.shape[:3], np.uint8))


ORDERS = [(axes, flips) for axes in permutations(range(3)) for flips in product((False, True), repeat=3)]


@pytest.mark.parametrize(("axes", "flips"), ORDERS, ids=[f"{''.join('zyx'[axis] for axis in axes)} {''.join('-+'[not flip] for flip in flips)}" for axes, flips in ORDERS])
def test_the_order_and_direction_of_axes_does_not_matter(axes: tuple[int, ...], flips: tuple[bool, ...]) -> None:
    labels, affine = rearranged(LABELS, placed(SOURCE), axes, flips)
    assert np.array_equal(labels_of(drawn(nifti(labels, affine)), SOURCE), LABELS)


@pytest.mark.parametrize("tilt", [0.0, 0.8], ids=["oblique", "oblique and sheared by a tilted gantry"])
@pytest.mark.parametrize("backwards", [False, True], ids=["from the feet", "from the head"])
def test_an_oblique_acquisition_is_drawn_where_it_lies(tilt: float, backwards: bool) -> None:
    source = oblique(12, tilt=tilt)
    source = source[::-1] if backwards else source
    labels = asymmetric(12, 96, 112)
    turned, affine = rearranged(labels, placed(source), (2, 1, 0), (False, True, True))
    segmentation = drawn(nifti(turned, affine), source)
    assert np.array_equal(labels_of(segmentation, source), labels)
    assert check_object(segmentation, name="own.dcm", source=source, accept=("SEG",)) == "SEG"


FILES = {
    "NIfTI-1, not compressed": nifti(LABELS, placed(SOURCE), compress=False),
    "NIfTI-2": nifti(LABELS, placed(SOURCE), kind=nibabel.Nifti2Image),
    "float64, as nibabel writes by default": nifti(LABELS, placed(SOURCE), dtype=np.float64),
    "int16": nifti(LABELS, placed(SOURCE), dtype=np.int16),
    "one time": nibabel.Nifti1Image(LABELS[..., None], LPS_TO_RAS @ placed(SOURCE)).to_bytes(),
    "big endian": nibabel.Nifti1Image(LABELS.astype(">i2"), LPS_TO_RAS @ placed(SOURCE), nibabel.Nifti1Header(endianness=">")).to_bytes(),
}


@pytest.mark.parametrize("content", FILES.values(), ids=FILES)
def test_every_way_to_write_nifti_is_read(content: bytes) -> None:
    assert np.array_equal(labels_of(drawn(content), SOURCE), LABELS)


def test_scaled_values_are_the_labels() -> None:
    content = bytearray(nifti(LABELS.astype(np.int16) * 2 + 6, placed(SOURCE), dtype=np.int16, compress=False))
    content[112:120] = np.array([0.5, -3], "<f4").tobytes()  # scl_slope and scl_inter
    assert np.array_equal(labels_of(drawn(bytes(content)), SOURCE), LABELS)


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_with_its_images_is_drawn_on_them(order: Any) -> None:
    backwards = [image_uid(number) for number in range(19, -1, -1)]
    content = numpy_file(np.array(LABELS[::-1], order=order))
    assert np.array_equal(labels_of(drawn(content, mask=a_mask("mask.npy", images=backwards)), SOURCE), LABELS)


def test_an_array_with_an_affine_is_like_a_nifti_file() -> None:
    mask = a_mask("mask.npy", affine=(LPS_TO_RAS @ placed(SOURCE)).tolist())
    assert np.array_equal(labels_of(drawn(numpy_file(LABELS.astype(np.int64)), mask=mask), SOURCE), LABELS)


def test_a_flat_array_is_drawn_on_a_projection() -> None:
    """A radiograph does not say where it lies."""
    image = an_image("DX")
    labels = np.zeros((128, 128), bool)
    labels[3:40, 100:120] = True
    mask = a_mask("mask.npy", images=[image.SOPInstanceUID], segments=[{"value": 1, "finding": "one"}])
    segmentation = drawn(numpy_file(labels), [image], mask)
    assert np.array_equal(labels_of(segmentation, [image], [1])[0].astype(bool), labels)
    assert "FrameOfReferenceUID" not in segmentation


def test_only_slices_that_have_the_segment_become_frames() -> None:
    segmentation = drawn(nifti(LABELS, placed(SOURCE)))
    assert [int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber) for group in segmentation.PerFrameFunctionalGroupsSequence] == [1, 1, 2, 3]
    assert len(segmentation.PixelData) == 4 * 128 * 128 // 8


def test_frames_that_fill_no_whole_bytes_are_packed_one_after_the_other() -> None:
    source = [changed(image, Rows=5, Columns=3) for image in ct_series(6)]
    labels = np.random.default_rng(1).choice([0, 1, 2, 7], (6, 5, 3)).astype(np.uint8)
    assert np.array_equal(labels_of(drawn(nifti(labels, placed(source)), source), source), labels)


def test_fractions_are_kept_compressed() -> None:
    fractions = np.zeros((20, 128, 128), np.float32)
    fractions[5, 10:50, 20:90] = np.linspace(0, 1, 70, dtype=np.float32)
    mask = a_mask(fractional="probability", segments=[{"finding": "one"}])
    segmentation = drawn(nifti(fractions, placed(SOURCE), dtype=np.float32), mask=mask)
    read = highdicom.seg.Segmentation.from_dataset(segmentation).get_pixels_by_source_instance(
        [image.SOPInstanceUID for image in SOURCE], assert_missing_frames_are_empty=True, ignore_spatial_locations=True
    )
    assert np.abs(read[..., 0] - fractions).max() <= 0.5 / 255 + 1e-6
    assert (segmentation.SegmentationType, segmentation.SegmentationFractionalType) == ("FRACTIONAL", "PROBABILITY")
    assert len(segmentation.PixelData) < 128 * 128


def test_a_segment_takes_from_its_finding_what_it_does_not_say() -> None:
    segments = [{"value": 1, "finding": "one"}, {"value": 2, "finding": "two", "label": "Knoten", "algorithm": "a2", "color": "#FF0000"}, SEGMENTS[2]]
    fields = {"algorithms": [ALGORITHM, ALGORITHM | {"id": "a2", "name": "Second"}]}
    findings, made = build_masks(parsed(document(a_mask(segments=segments), **fields)), SOURCE, a_context(), {"mask.nii.gz": nifti(LABELS, placed(SOURCE))})
    one, two, lung = made["mask.nii.gz"].SegmentSequence
    assert [each.SegmentLabel for each in (one, two, lung)] == ["Solitary nodule of lung", "Knoten", "Lung"]
    assert [each.SegmentAlgorithmName for each in (one, two, lung)] == ["LungNoduleNet", "Second", "LungNoduleNet"]
    assert [each.SegmentedPropertyCategoryCodeSequence[0].CodeValue for each in (one, lung)] == ["49755003", "123037004"]
    assert (one.AnatomicRegionSequence[0].CodeMeaning, one.AnatomicRegionSequence[0].AnatomicRegionModifierSequence[0].CodeMeaning) == ("Upper lobe of lung", "Right")
    assert list(two.RecommendedDisplayCIELabValue) == [34886, 53484, 50172]
    assert (one.TrackingID, "TrackingUID" in lung) == ("one", False)
    *_, report = [read_back(each.dicom) for each in build_report(findings, SOURCE, a_context(), made)]
    assert str(one.TrackingUID) in str(report)
    assert str(made["mask.nii.gz"].SOPInstanceUID) in str(report)


def measured(source: list[Dataset], labels: Labels) -> float:
    mask = a_mask(segments=[{"value": 1, "finding": "one", "measure": ["volume"]}])
    findings, _ = build_masks(parsed(document(mask)), source, a_context(), {"mask.nii.gz": nifti(labels, placed(source))})
    volume = findings.findings[0].measurements[-1]
    assert (volume.name.value, volume.unit) == (VOLUME["value"], "mm3")
    return volume.value


def test_the_volume_of_a_sphere_is_that_of_the_formula() -> None:
    source = [changed(image, PixelSpacing=[0.5, 0.5], ImagePositionPatient=[-32, -32, 0.5 * number]) for number, image in enumerate(ct_series(100))]
    value = measured(source, a_sphere(source, (3.1, -4.2, 24.7), 15))
    assert value == pytest.approx(4 / 3 * np.pi * 15**3, rel=0.002)


def test_thick_slices_count_by_their_distance_and_not_by_slice_thickness() -> None:
    """Overlapping reconstructions say 5 mm and lie 2.5 mm apart; a volume by Slice Thickness would be twice too large."""
    source = [changed(image, SliceThickness=10) for image in oblique(40)]
    centre = np.array(source[20].ImagePositionPatient, dtype=float) + placed(source)[:3, 1] * 48 + placed(source)[:3, 2] * 56
    assert measured(source, a_sphere(source, centre.tolist(), 18)) == pytest.approx(4 / 3 * np.pi * 18**3, rel=0.02)


def test_the_volume_of_an_uneven_stack_counts_each_gap() -> None:
    heights = [0, 1, 2, 4, 7, 8]
    source = [changed(image, ImagePositionPatient=[0, 0, height]) for height, image in zip(heights, ct_series(6), strict=True)]
    labels = np.zeros((6, 128, 128), np.uint8)
    labels[3, :10, :10] = 1
    mask = a_mask("mask.npy", images=[image.SOPInstanceUID for image in source], segments=[{"value": 1, "finding": "one", "measure": ["volume"]}])
    findings, _ = build_masks(parsed(document(mask)), source, a_context(), {"mask.npy": numpy_file(labels)})
    assert findings.findings[0].measurements[-1].value == pytest.approx(100 * 0.49 * 2.5)


def test_two_builds_give_the_same_bytes() -> None:
    content = nifti(LABELS, placed(SOURCE))
    assert as_file(drawn(content)) == as_file(drawn(content))


def test_of_two_series_the_named_one_is_drawn_on() -> None:
    both = [*SOURCE, *ct_series(20, series="lung")]
    content = nifti(LABELS, placed(SOURCE))
    with pytest.raises(InvalidReport, match=r"^masks\[0\] \(mask.nii.gz\): fits 2 series of the input; name one in series$"):
        drawn(content, both)
    segmentation = drawn(content, both, a_mask(series=uid("study-lung")))
    assert segmentation.ReferencedSeriesSequence[0].SeriesInstanceUID == uid("study-lung")


def moved(by: Sequence[float]) -> bytes:
    affine = placed(SOURCE)
    affine[:3, 3] += by
    return nifti(LABELS, affine)


def as_if_lps() -> bytes:
    return nifti(LABELS, LPS_TO_RAS @ placed(SOURCE))


def without_affine() -> bytes:
    image = nibabel.Nifti1Image(LABELS, None)
    image.header["sform_code"] = image.header["qform_code"] = 0
    return bytes(image.to_bytes())


FLOATS = LABELS * 0.5
REFUSED: dict[str, tuple[bytes, Json, str]] = {
    "half a pixel beside": (moved([0.35, 0, 0]), a_mask(), ": does not lie on the images: its affine puts voxels up to 0.35 mm beside them"),
    "one slice beside": (moved([0, 0, 5]), a_mask(), ": does not lie on the images: its affine puts voxels up to 5.00 mm beside them"),
    "an affine in LPS": (as_if_lps(), a_mask(), ": does not lie on the images: its affine puts voxels up to 0.99 mm beside them; it would fit with x and y negated: a NIfTI affine is RAS, not LPS"),
    "a slice too few": (nifti(LABELS[1:], placed(SOURCE)), a_mask(), ": does not lie on the images: its shape is 19 x 128 x 128; they are 20 slices of 128 rows and 128 columns"),
    "four axes": (nifti(np.stack([LABELS, LABELS], axis=-1), placed(SOURCE)), a_mask(), ": its shape is 20 x 128 x 128 x 2; a mask has three axes"),
    "no affine": (without_affine(), a_mask(), ": has no affine (sform_code and qform_code are 0); write that of the images"),
    "no file": (b"", a_mask("other.nii.gz"), ": no such file in /gantry/output, or not a regular one"),
    "not NIfTI": (b"not a mask", a_mask(), ": is neither NIfTI nor NumPy"),
    "broken gzip": (b"\x1f\x8b\x08\x00" + bytes(40), a_mask(), ": is not readable as gzip"),
    "cut off": (nifti(LABELS, placed(SOURCE), compress=False)[:-10], a_mask(), ": ends early"),
    "an array of objects": (numpy_file(np.array(["a", "b"])), a_mask("mask.npy", images=[image_uid(0)]), ": holds values of type str32; write whole numbers (uint8), or floats for fractions"),
    "another number of images": (numpy_file(LABELS), a_mask("mask.npy", images=[image_uid(0)]), ": its shape is 20 x 128 x 128; the images make 1 x 128 x 128 (slices, rows, columns)"),
    "an image twice": (numpy_file(LABELS[:2]), a_mask("mask.npy", images=[image_uid(0)] * 2), ".images: names an image twice"),
    "an unknown image": (numpy_file(LABELS[:1]), a_mask("mask.npy", images=["2.25.99"]), ".images: names an image that is not in the input (or of a private class); take SOPInstanceUID from the files there"),
    "an unknown series": (nifti(LABELS, placed(SOURCE)), a_mask(series="2.25.99"), ".series: is not a series of the input; take SeriesInstanceUID from the files under /gantry/input"),
    "a label nobody named": (nifti(LABELS, placed(SOURCE)), a_mask(segments=SEGMENTS[:2]), ": holds the label 7, which none of its segments has as value"),
    "a segment without voxels": (nifti(LABELS, placed(SOURCE)), a_mask(segments=[*SEGMENTS, {"value": 9, **LUNG}]), ".segments[3]: no voxel has the value 9; leave the segment and its finding out"),
    "half labels": (nifti(FLOATS, placed(SOURCE), dtype=np.float32), a_mask(), ": holds a value that is no whole number; write labels, or say what it means in fractional"),
    "a negative label": (nifti(LABELS.astype(np.int16) - 1, placed(SOURCE), dtype=np.int16), a_mask(), ": holds a label outside of 0 to 65535"),
    "NaN": (nifti(LABELS * np.nan, placed(SOURCE), dtype=np.float32), a_mask(), ": holds a value that is no whole number; write labels, or say what it means in fractional"),
    "fractions beyond 1": (nifti(FLOATS, placed(SOURCE), dtype=np.float32), a_mask(fractional="occupancy", segments=[{"finding": "one"}]), ": holds a value outside of 0 to 1; a fractional mask holds fractions"),
    "no fraction above 0": (nifti(LABELS * 0, placed(SOURCE)), a_mask(fractional="occupancy", segments=[{"finding": "one"}]), ": is empty; leave it out"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "mask", "message"), REFUSED.values(), ids=REFUSED)
def test_a_mask_that_does_not_fit_is_refused(content: bytes, mask: Json, message: str) -> None:
    files = {"mask.nii.gz": content, "mask.npy": content}
    with pytest.raises(InvalidReport) as caught:
        build_masks(parsed(document(mask)), SOURCE, a_context(), files)
    assert str(caught.value) == f"masks[0] ({mask['file']}){message}"


def test_a_volume_of_one_slice_is_refused() -> None:
    mask = a_mask("mask.npy", images=[image_uid(0)], segments=[{"value": 1, "finding": "one", "measure": ["volume"]}])
    with pytest.raises(InvalidReport, match="a volume needs two slices or more that say where they lie"):
        build_masks(parsed(document(mask)), SOURCE, a_context(), {"mask.npy": numpy_file(np.ones((128, 128), np.uint8))})


def test_a_small_file_that_would_inflate_to_gigabytes_is_refused_by_its_header() -> None:
    header = nibabel.Nifti1Header()
    header.set_data_shape((20_000, 20_000, 30_000))
    header.set_data_dtype(np.uint8)
    header.set_sform(LPS_TO_RAS @ placed(SOURCE), code=1)
    header["vox_offset"], header["magic"] = 352, b"n+1"
    with pytest.raises(InvalidReport, match="its shape is 20000 x 20000 x 30000"):
        drawn(bytes(header.binaryblock) + bytes(4))


WRONG: dict[str, tuple[Json, str]] = {
    "an unknown finding": (document(a_mask(segments=[{"value": 1, "finding": "three"}])), 'masks[0].segments[0].finding: "three" is not the id of one of the findings'),
    "a finding twice": (document(a_mask(segments=[{"value": 1, "finding": "one"}, {"value": 2, "finding": "one"}])), 'masks[0].segments[1].finding: "one" has another segment already; write a finding for each'),
    "a finding with a region": (
        a_document(a_finding("one", images=[image_uid(0)]), masks=[a_mask(segments=[{"value": 1, "finding": "one"}])]),
        'masks[0].segments[0].finding: "one" has a region or images already; a finding has one place',
    ),
    "a volume twice": (
        a_document(a_finding("one", measurements=[{"name": VOLUME, "value": 1, "unit": "mm3"}]), masks=[a_mask(segments=[{"value": 1, "finding": "one", "measure": ["volume"]}])]),
        'masks[0].segments[0].measure: "one" has a volume already; leave one of the two out',
    ),
    "an unknown algorithm": (document(a_mask(segments=[{"value": 1, "finding": "one", "algorithm": "x"}])), 'masks[0].segments[0].algorithm: "x" is not the id of one of the algorithms'),
    "neither finding nor type": (document(a_mask(segments=[{"value": 1}])), "masks[0].segments[0]: a segment names its finding, or else says what it is in category and type (and 1 more)"),
    "no value": (document(a_mask(segments=[{"finding": "one"}])), "masks[0]: segments need a value, the label in the file"),
    "a value twice": (document(a_mask(segments=[{"value": 1, "finding": "one"}, {"value": 1, **LUNG}])), "masks[0]: two segments have one value"),
    "an array nobody placed": (document(a_mask("mask.npy")), "masks[0]: an array needs either images (one for each index of the first axis) or affine"),
    "NIfTI with images": (document(a_mask(images=[image_uid(0)])), "masks[0]: affine and images are for .npy; a NIfTI file has its own"),
    "two fractional segments": (document(a_mask(fractional="probability")), "masks[0]: a fractional mask has one segment, without value; write a file for each"),
    "the volume of fractions": (document(a_mask(fractional="probability", segments=[{"finding": "one", "measure": ["volume"]}])), "masks[0]: only the volume of labels is measured; leave measure out, or write labels"),
    "a folder": (document(a_mask("a/mask.nii.gz")), "masks[0].file: text of 13 characters: write the name of a .nii, .nii.gz or .npy file in /gantry/output, without folder"),
    "one file twice": (document(a_mask(), a_mask()), "masks: two have one file; put all labels of a file into its segments"),
}


@pytest.mark.parametrize(("wrong", "message"), WRONG.values(), ids=WRONG)
def test_what_the_document_says_wrong_of_a_mask_is_told(wrong: Json, message: str) -> None:
    with pytest.raises(ValueError, match="masks") as caught:
        parsed(wrong)
    assert str(caught.value) == f"findings.json: {message}"
