"""A small stack for all tests of the backend."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr


@pytest.fixture
def stack() -> xr.DataArray:
    """Return twelve shots of 6 x 5 pixels with a scan parameter, a source and a pixel size."""
    values = np.random.default_rng(7).normal(size=(12, 6, 5))
    return xr.DataArray(
        values,
        dims=("shot", "y", "x"),
        coords={
            "detuning": ("shot", np.linspace(-3, 3, 12)),
            "source": ("shot", [f"shot_{i:02d}.h5" for i in range(12)]),
            "y": ("y", 2.0 * np.arange(6), {"units": "um"}),
            "x": ("x", 2.0 * np.arange(5), {"units": "um"}),
        },
        name="pictures",
        attrs={"kind": "optical_depth", "source": "folder"},
    )
