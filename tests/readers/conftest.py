"""Writers of small camera files for the tests of the readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture
def triplet() -> np.ndarray:
    """Return atoms, probe and dark frame (3, 40, 50), uint16, with a cloud."""
    rng = np.random.default_rng(7)
    y, x = np.mgrid[:40, :50]
    light = 1000 + 100 * np.sin(x / 7)
    od = np.exp(-2 * ((y - 20) ** 2 + (x - 25) ** 2) / 8**2)
    frames = np.stack([light * np.exp(-od), light, np.zeros_like(light)]) + 100
    return rng.poisson(frames).astype(np.uint16)


@pytest.fixture
def write_fits():
    from astropy.io import fits

    def write(path: Path, data: np.ndarray, **header: object) -> Path:
        unit = fits.PrimaryHDU(data)
        unit.header.update(header)
        unit.writeto(path)
        return path

    return write


@pytest.fixture
def write_h5():
    """Write datasets, given by their paths in the file."""
    import h5py

    def write(path: Path, datasets: dict[str, np.ndarray], **attrs: object) -> Path:
        with h5py.File(path, "w") as file:
            for name, data in datasets.items():
                file.create_dataset(name, data=data, compression="gzip" if data.ndim > 1 else None)
            file.attrs.update(attrs)
        return path

    return write
