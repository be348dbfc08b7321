"""Where scaling ends, on made points whose knee follows by hand."""

from types import SimpleNamespace

from estimator.plan.scaling import Point, Scaling
from estimator.ranges import Range


def point(count, seconds, gradients=(0.0, 0.0, 0.0)):
    parts = {"gradients": Range(*gradients), "forward": Range(seconds / 2, seconds, 2 * seconds)}
    best = SimpleNamespace(seconds=seconds, step=SimpleNamespace(parts=parts))
    return Point(count, SimpleNamespace(best=best))


def test_the_knee_is_the_last_count_that_gains_half_of_the_ideal():
    found = Scaling(None, (point(8, 8.0), point(16, 4.0), point(32, 2.5), point(64, 2.0)))
    assert found.knee("hours") == (32, 32)  # 4 / 2.5 = 1.6 times as fast pays, 2.5 / 2 = 1.25 does not
    assert found.knee("dollars") == (16, 16)  # 32 × 2.5 = 80 device seconds are 25 % more than 64


def test_links_at_the_ends_of_their_range_make_the_knee_a_band():
    found = Scaling(None, (point(8, 8.0), point(16, 4.0), point(32, 2.5, (0.2, 0.5, 1.5))))
    assert found.knee("hours") == (16, 32)


def test_counts_where_nothing_fits_have_no_knee():
    assert Scaling(None, (Point(8, SimpleNamespace(best=None)),)).knee("hours") is None
