"""Pictures with known clouds."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.images.stack import make_stack

# two clouds apart, then one of them alone, then none
TRUTH = (
    (
        Gaussian2D(40.0, 30.0, 12.0, 7.0, 0.4, 1.2, 0.0),
        Gaussian2D(92.5, 60.25, 8.0, 6.0, -0.9, 0.7, 0.0),
    ),
    (Gaussian2D(92.5, 60.25, 8.0, 6.0, -0.9, 0.7, 0.0),),
    (),
)
NOISE = 0.02


@pytest.fixture
def truth() -> tuple[tuple[Gaussian2D, ...], ...]:
    return TRUTH


@pytest.fixture
def pictures() -> xr.DataArray:
    """Return three optical depths of 90 x 130 pixels of 2 um: two clouds, one, none."""
    rng = np.random.default_rng(11)
    data = np.stack(
        [sum((g.image((90, 130)) for g in clouds), np.zeros((90, 130))) for clouds in TRUTH]
    )
    return make_stack(
        data + rng.normal(0, NOISE, data.shape),
        name="shots",
        pixel_size=2.0,
        coords={"hold": [1.0, 2.0, 3.0], "source": ["a.h5", "b.h5", "c.h5"]},
        attrs={"kind": "optical_depth", "source": "/data/day"},
    )
