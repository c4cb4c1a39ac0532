"""From a camera's counts to photons, and what electron multiplication does to their numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from napari_coldatoms.photons.histogram import FloatArray

# pieces of a distribution before read noise is added: in photons, and in sds of the read noise
_PIECE = 1 / 16
_PIECE_OF_NOISE = 1 / 8
_LEAST_NOISE = 0.01
_NOISE_REACH = 9.0


@dataclass(frozen=True)
class CameraGain:
    """What a camera makes of photons: ``photons = (ADU - offset) sensitivity / em_gain / QE``.

    Parameters
    ----------
    offset : float
        Counts (ADU) of a pixel without light.
    sensitivity : float
        Electrons for each count, after multiplication.
    em_gain : float
        Mean electrons that leave the multiplying register for each one that enters it; 1 without
        multiplication.
    quantum_efficiency : float
        Electrons for each photon, at most 1. With 1, photons are the detected ones.
    read_noise : float, optional
        Standard deviation of the read noise of a pixel, in electrons after multiplication.

    Raises
    ------
    ValueError
        If a number is not finite or out of its range.
    """

    offset: float = 0.0
    sensitivity: float = 1.0
    em_gain: float = 1.0
    quantum_efficiency: float = 1.0
    read_noise: float | None = None

    def __post_init__(self) -> None:
        for name in ("offset", "sensitivity", "em_gain", "quantum_efficiency"):
            value = float(getattr(self, name))
            if not math.isfinite(value):
                raise ValueError(f"expected a finite {name}, found {value}")
            object.__setattr__(self, name, value)
        if self.sensitivity <= 0:
            raise ValueError(
                f"expected a sensitivity above 0 electrons per count, found {self.sensitivity}"
            )
        if self.em_gain < 1:
            raise ValueError(f"expected an em_gain of at least 1, found {self.em_gain}")
        if not 0 < self.quantum_efficiency <= 1:
            raise ValueError(
                "expected a quantum efficiency above 0 and at most 1, found "
                f"{self.quantum_efficiency}"
            )
        if self.read_noise is not None and not 0 <= self.read_noise < math.inf:
            raise ValueError(f"expected a read noise not below 0, found {self.read_noise}")

    @classmethod
    def of_profile(
        cls, offset: float, gain: float, read_noise: float = 0.0, excess_noise: float = 1.0
    ) -> CameraGain:
        """Return the camera of a profile as reconstructions of lattices use it.

        Parameters
        ----------
        offset : float
            Counts without light.
        gain : float
            Counts for each photoelectron, electron multiplication included.
        read_noise : float
            In photoelectrons, before multiplication.
        excess_noise : float
            Factor on the variance of the shot noise, 1 to 2; 2 stands for an em_gain of 1000.
        """
        if not (gain > 0 and 1 <= excess_noise <= 2):
            raise ValueError(
                "expected a gain above 0 and an excess noise from 1 to 2, found "
                f"{gain} and {excess_noise}"
            )
        em_gain = 1 / max(2 - excess_noise, 1e-3)
        return cls(offset, em_gain / gain, em_gain, 1.0, read_noise * em_gain)

    @property
    def photons_per_count(self) -> float:
        """Photons for each count above the offset."""
        return self.sensitivity / self.em_gain / self.quantum_efficiency

    @property
    def excess_noise(self) -> float:
        """Factor of the register on the variance of the shot noise, ``2 - 1 / em_gain``."""
        return 2 - 1 / self.em_gain

    def photons(self, counts: ArrayLike) -> FloatArray:
        """Return the photons of each pixel; negative where noise leads below the offset."""
        above = np.asarray(counts, dtype=np.float64) - self.offset
        return np.asarray(above * self.photons_per_count)

    def kernel(self, max_photons: int, max_count: int, pixels: int = 1) -> FloatArray:
        """Return `em_kernel` for a site of so many pixels, read noise included where it is known.

        With a quantum efficiency below 1 it begins with the photons before detection.
        """
        noise = (self.read_noise or 0.0) / self.em_gain * math.sqrt(pixels)
        return em_kernel(
            max_photons,
            max_count,
            em_gain=self.em_gain,
            quantum_efficiency=self.quantum_efficiency,
            read_noise=noise,
        )


def em_kernel(
    max_photons: int,
    max_count: int,
    *,
    em_gain: float = math.inf,
    quantum_efficiency: float = 1.0,
    read_noise: float = 0.0,
) -> FloatArray:
    """Return the distribution of rounded output photons for each number of input photons.

    One electron leaves a multiplying register as about an exponential number of them, and n
    electrons as their sum. Divided by the gain, this is a gamma distribution of mean n and variance
    ``n (F - 1)`` with ``F = 2 - 1 / em_gain``: shape ``n / (F - 1)``, scale ``F - 1``. The Poisson
    distribution of photons becomes one of about twice the variance. What follows is rounded to
    whole photons, and what is negative counts as 0.

    Parameters
    ----------
    max_photons : int
        Largest number of input photons.
    max_count : int
        Largest number of output photons; what lies above is left out.
    em_gain : float
        1 for a camera without multiplication; infinite by default, which differs little from 300.
    quantum_efficiency : float
        Probability that an input photon gives an electron; the output is divided by it.
    read_noise : float
        Standard deviation of the sum over the site's pixels, in electrons before multiplication:
        ``read noise of a pixel * sqrt(pixels) / em_gain``.

    Returns
    -------
    (max_photons + 1, max_count + 1) array
        ``P(output | input)``. With a distribution of input photons (atoms + 1, max_photons + 1)
        from `LossModel.distribution`, ``distribution @ kernel`` is that of the camera's counts.

    Raises
    ------
    ValueError
        If a number is out of its range.
    """
    if max_photons < 0 or max_count < 0:
        raise ValueError(
            f"expected largest numbers not below 0, found {max_photons} and {max_count}"
        )
    if not em_gain >= 1:
        raise ValueError(f"expected an em_gain of at least 1, found {em_gain}")
    if not 0 < quantum_efficiency <= 1:
        raise ValueError(
            f"expected a quantum efficiency above 0 and at most 1, found {quantum_efficiency}"
        )
    if not 0 <= read_noise < math.inf:
        raise ValueError(f"expected a read noise not below 0, found {read_noise}")
    # in electrons before multiplication, from the first photon on
    edges = np.arange(0.5, max_count + 1, dtype=np.float64) * quantum_efficiency
    spread = 1 - 1 / em_gain
    if read_noise < _LEAST_NOISE:
        below = _multiplied(max_photons, edges, spread)
    else:
        below = _with_noise(max_photons, edges, spread, read_noise)
    kernel = np.diff(below, axis=1, prepend=0.0)
    if quantum_efficiency < 1:
        from scipy.stats import binom

        n = np.arange(max_photons + 1)
        kernel = binom.pmf(n, n[:, None], quantum_efficiency) @ kernel
    return np.asarray(np.maximum(kernel, 0.0))


def _multiplied(electrons: int, edges: FloatArray, spread: float) -> FloatArray:
    """Return the probability that up to `electrons` electrons end below edges, (n + 1, edges)."""
    from scipy.special import gammainc

    n = np.arange(electrons + 1)[:, None]
    if spread == 0:
        return np.asarray(n < edges, dtype=np.float64)
    below = np.ones((electrons + 1, len(edges)))
    below[1:] = gammainc(n[1:] / spread, np.maximum(edges, 0) / spread)
    below[0] = edges > 0
    return np.where(edges > 0, below, 0.0)


def _with_noise(electrons: int, edges: FloatArray, spread: float, noise: float) -> FloatArray:
    """Return the same with normal noise: cut into small pieces, each moved from its middle."""
    from scipy.special import ndtr

    piece = min(_PIECE, noise * _PIECE_OF_NOISE)
    # one piece lies around each whole number, for cameras without multiplication
    piece = 1 / (2 * math.ceil(1 / (2 * piece)) + 1)
    number = math.ceil((edges[-1] + _NOISE_REACH * noise) / piece) + 1
    ends = np.arange(0.5, number, dtype=np.float64) * piece
    parts = np.diff(_multiplied(electrons, ends, spread), axis=1, prepend=0.0)
    middles = np.arange(number) * piece
    middles[0] = 0.0
    return parts @ ndtr((edges - middles[:, None]) / noise)
