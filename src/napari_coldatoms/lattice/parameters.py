"""What an image of the sites looks like: occupation, brightness, background and camera."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class ImagingParameters:
    """Imaging parameters, as in Table 1 of Cheneau et al. 2025, arXiv:2502.08511.

    Parameters
    ----------
    occupancy : float
        Probability p that a site is occupied.
    brightness, brightness_sd : float
        Mean µ and standard deviation σ of the light of an occupied site, in counts.
    background : float
        Background k, in counts per pixel.
    read_noise : float
        Standard deviation σr of the camera's read noise, in counts per pixel.
    excess_noise : float
        Factor F on the variance of the shot noise: 1 without electron multiplication, 2 with a
        high gain of it.

    Raises
    ------
    ValueError
        If a number is not finite or out of its range.
    """

    occupancy: float
    brightness: float
    brightness_sd: float
    background: float
    read_noise: float = 0.0
    excess_noise: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(
                    f"expected {field.name} to be finite and at least 0, found {value}"
                )
        if self.occupancy > 1:
            raise ValueError(f"expected an occupancy between 0 and 1, found {self.occupancy}")
        if self.brightness == 0:
            raise ValueError("expected a positive brightness, found 0")
        if self.excess_noise < 1:
            raise ValueError(f"expected an excess noise of at least 1, found {self.excess_noise}")

    @property
    def site_variance(self) -> float:
        """Variance of the light of a site over empty and occupied ones, ``p(1-p)µ² + pσ²``.

        Eq. 15 for one occupancy of all sites, in counts².
        """
        p = self.occupancy
        return p * (1 - p) * self.brightness**2 + p * self.brightness_sd**2

    def noise_variance(self, site_area: float) -> float:
        """Return the mean variance of a pixel's noise, ``F (pµ / area + k) + σr²``, in counts².

        Eq. 16 for one occupancy of all sites, where each site's light spreads over its area.

        Parameters
        ----------
        site_area : float
            Area per site, in px² (see `Lattice.site_area`).
        """
        if not site_area > 0:
            raise ValueError(f"expected a positive area per site (px²), found {site_area}")
        light = self.occupancy * self.brightness / site_area + self.background
        return self.excess_noise * light + self.read_noise**2
