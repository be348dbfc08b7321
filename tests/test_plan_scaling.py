"""Where scaling ends, on made points whose knee follows by hand."""

from types import SimpleNamespace

from estimator.cost import rent
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


def test_dollars_are_those_of_whole_machines_where_every_count_has_a_price():
    """Machines of eight: four devices pay for eight, so that eight cost half as much a step."""
    points = (point(4, 8.0), point(8, 4.0), point(16, 2.4))
    machine = SimpleNamespace(usd_per_hour=3600.0, device_count=8)
    rentals = {count: rent(machine, count) for count in (4, 8, 16)}
    priced = Scaling(None, points, rentals)
    assert [priced.usd_per_step(each) for each in points] == [8.0, 4.0, 4.8]
    assert priced.knee("dollars") == (8, 8)
    assert Scaling(None, points).knee("dollars") == (8, 8)
    assert Scaling(None, points[:2], {8: rentals[8]}).spent(points[0], "mid") == 32.0  # devices × seconds: one unpriced


def test_links_at_the_ends_of_their_range_make_the_knee_a_band():
    found = Scaling(None, (point(8, 8.0), point(16, 4.0), point(32, 2.5, (0.2, 0.5, 1.5))))
    assert found.knee("hours") == (16, 32)


def test_counts_where_nothing_fits_have_no_knee():
    assert Scaling(None, (Point(8, SimpleNamespace(best=None)),)).knee("hours") is None
