"""evaluate: the scale-invariant signal-to-distortion ratio."""

import math

import numpy as np
import pytest

from rtsep.errors import BadInput
from rtsep.offline.evaluate import si_sdr


def pair(seed=1, channels=2):
    random = np.random.default_rng(seed)
    reference = random.standard_normal((1000, channels))
    return reference, reference + 0.3 * random.standard_normal((1000, channels))


def test_a_published_example_comes_out():
    # torchmetrics, ScaleInvariantSignalDistortionRatio, with its default of leaving the means in
    assert si_sdr([3.0, -0.5, 2.0, 7.0], [2.5, 0.0, 2.0, 8.0]) == pytest.approx(18.4030, abs=1e-4)


@pytest.mark.parametrize("channels", (1, 2))
def test_it_is_the_squared_cotangent_of_the_angle_between_the_signals(channels):
    reference, estimate = pair(channels=channels)
    cosine = np.sum(reference * estimate) / np.linalg.norm(reference) / np.linalg.norm(estimate)
    assert si_sdr(reference, estimate) == pytest.approx(-20 * math.log10(math.tan(math.acos(cosine))))


def test_means_count_as_signal():
    reference, estimate = pair()
    assert si_sdr(reference + 10, estimate + 10) > si_sdr(reference, estimate) + 10


@pytest.mark.parametrize("scale", (1e-6, -2.0, 1e6))
def test_the_scale_of_the_estimate_does_not_matter(scale):
    reference, estimate = pair()
    assert si_sdr(reference, scale * estimate) == pytest.approx(si_sdr(reference, estimate))


def test_swapped_channels_are_an_error():
    reference, estimate = pair()
    assert si_sdr(reference, estimate[:, ::-1]) < 0 < si_sdr(reference, estimate)


def test_the_ends_of_the_scale():
    reference = np.array([1.0, 2.0, 0.0])
    assert si_sdr(reference, 4 * reference) == math.inf
    assert si_sdr(reference, np.zeros(3)) == -math.inf
    assert si_sdr(reference, [0, 0, 1]) == -math.inf
    assert math.isnan(si_sdr(np.zeros(3), reference))


def test_two_shapes_are_refused_instead_of_spread():
    with pytest.raises(BadInput, match=r"\(1000, 2\).*\(1000,\)"):
        si_sdr(np.ones((1000, 2)), np.ones(1000))
