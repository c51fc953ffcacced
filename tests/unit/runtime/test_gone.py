"""A late answer to a write does not bring back what has gone."""

from gantry.runtime.gone import KEPT, Gone


def test_what_is_older_than_its_end_has_gone() -> None:
    gone = Gone()
    gone.note("a", 52)
    assert [gone.outlived("a", version) for version in (51, 52, 53)] == [True, False, False]
    assert not gone.outlived("b", 1)


def test_the_latest_are_kept() -> None:
    gone = Gone()
    for number in range(KEPT):
        gone.note(f"u-{number}", 10)
    gone.note("u-0", 11)
    gone.note("new", 12)
    assert (gone.outlived("u-1", 9), gone.outlived("u-0", 9), gone.outlived("new", 9)) == (False, True, True)
