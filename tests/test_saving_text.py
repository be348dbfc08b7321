"""What one change saves, in words."""

from estimator.advice.result import Saving
from estimator.text.advice import saving_text


def test_a_change_that_takes_no_longer_says_so():
    assert saving_text(Saving("spot", 3e-6, -2.0)) == "spot: -$2.00, same time"
    assert saving_text(Saving("4 devices", 7200.0, 2.0)) == "4 devices: +$2.00, +2.00 h"
