"""Many sites at once: a threshold for each, its fidelity, loading and survival."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.analyses.count_remarks import in_plain_words
from napari_coldatoms.photons.count_modes import Modes, modes_of_sites
from napari_coldatoms.photons.histogram import CountsByAtomNumber
from napari_coldatoms.photons.thresholds import thresholds
from napari_coldatoms.statistics.intervals import binomial_interval
from napari_coldatoms.statistics.mixture import Mixture

if TYPE_CHECKING:
    import pandas as pd

    from napari_coldatoms.photons.controls import ControlFit
    from napari_coldatoms.photons.loss_model import LossModel
    from napari_coldatoms.photons.site_counts import SiteCounts

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Source = Literal["modes", "model", "controls"]

DARK, BRIGHT, UNKNOWN = 0, 1, -1
"""What a site is called in an image: without an atom, with one, or not known."""

_LEAST_VALUES = 4
_NAN = math.nan


@dataclass(frozen=True, eq=False)
class SiteResult:
    """Thresholds of sites, how good they are, and what they say.

    Attributes
    ----------
    site_counts : SiteCounts
    images : int
        Number of images of each shot.
    threshold : (sites,)
        A site with more counts is called bright: it holds an atom. NaN where there is none.
    false_bright, false_dark : (sites,)
        Probability that an empty site is called bright, and that one with an atom is called dark.
    source : {"modes", "model", "controls"}
        What threshold and false rates are from: two modes fitted to the counts of each site,
        gamma-Poisson ones of whole counts, otherwise skewed ones, see `photons.count_modes`;
        their overlap is counted, but no atom that is lost while it is detected; a model; or
        counted controls.
    modes : tuple of (Mixture or None)
        Those of each site, where there are two.
    called : (sites, shots, images) int
        1 bright, 0 dark, -1 not known: no threshold, or no counts.
    level : float
        Confidence of the intervals.
    site_remarks : tuple of str
        Of each site; empty where there is nothing to say.
    certainty : (sites,)
        Modes that overlap tell less of the loading than counted atoms would: as much as this part
        of the shots. 1 where modes were not fitted or do not overlap.
    """

    site_counts: SiteCounts
    images: int
    threshold: FloatArray
    false_bright: FloatArray
    false_dark: FloatArray
    source: Source
    modes: tuple[Mixture | None, ...]
    called: IntArray
    level: float
    site_remarks: tuple[str, ...]
    certainty: FloatArray

    @property
    def fidelity(self) -> FloatArray:
        """One less the mean of both false rates, (sites,)."""
        return np.asarray(1.0 - (self.false_bright + self.false_dark) / 2)

    @property
    def loading(self) -> FloatArray:
        """Share of the shots that are bright in their first image, and its interval, (sites, 3).

        The interval is one for as many shots as the modes are worth, see `certainty`.
        """
        first = self.called[..., 0]
        known = (first != UNKNOWN).sum(axis=1)
        return self._share((first == BRIGHT).sum(axis=1), known, self.certainty)

    @property
    def survival(self) -> FloatArray | None:
        """Share of the bright sites that are bright in the second image, too, (sites, 3).

        With its interval; None where shots have one image only.
        """
        if self.images < 2:
            return None
        begun = (self.called[..., 0] == BRIGHT) & (self.called[..., 1] != UNKNOWN)
        left = begun & (self.called[..., 1] == BRIGHT)
        return self._share(left.sum(axis=1), begun.sum(axis=1))

    @property
    def remarks(self) -> tuple[str, ...]:
        """All doubts, those of sites with the numbers of these."""
        by_text: dict[str, list[str]] = {}
        for number, text in zip(self.site_counts.numbers, self.site_remarks, strict=True):
            if text:
                by_text.setdefault(text, []).append(str(number))
        found = [
            f"site{'s' * (len(sites) > 1)} {_listed(sites)}: {text}"
            for text, sites in by_text.items()
        ]
        return (*in_plain_words(self.site_counts.remarks), *found)

    def table(self) -> pd.DataFrame:
        """Return one row per site.

        Columns: site (label, or index of the region), y, x and pixels (its place in pixels and
        their number), shots, threshold, fidelity, false_bright, false_dark, mean_dark, mean_bright
        (of the two modes), loading, loading_low, loading_high, and where shots have two images
        survival, survival_low, survival_high; source, remark. ``attrs["units"]`` has the units.
        """
        import pandas as pd

        counts = self.site_counts
        places = counts.positions
        means = np.array([[_NAN, _NAN] if mode is None else mode.means for mode in self.modes])
        columns = {
            "site": counts.numbers,
            "y": places[:, 0],
            "x": places[:, 1],
            "pixels": counts.pixels,
            "shots": (self.called[..., 0] != UNKNOWN).sum(axis=1),
            "threshold": self.threshold,
            "fidelity": self.fidelity,
            "false_bright": self.false_bright,
            "false_dark": self.false_dark,
            "mean_dark": means[:, 0],
            "mean_bright": means[:, 1],
            **_columns("loading", self.loading),
            **({} if self.survival is None else _columns("survival", self.survival)),
            "source": [self.source] * len(counts.numbers),
            "remark": list(self.site_remarks),
        }
        table = pd.DataFrame(columns)
        names = ("threshold", "mean_dark", "mean_bright")
        table.attrs["units"] = {"y": "px", "x": "px"} | dict.fromkeys(names, counts.unit)
        table.attrs["level"] = self.level
        return table

    def features(self) -> pd.DataFrame:
        """Return what to put on the layer of the regions, one row per region.

        The column ``index`` is the number of the site: in a layer of Labels napari finds the row of
        a label by it.
        """
        table = self.table()
        kept = ["threshold", "fidelity", "loading"]
        kept += ["survival"] if self.survival is not None else []
        found = table[["site", *kept]].rename(columns={"site": "index"})
        found.attrs.clear()
        return found

    def shots(self) -> pd.DataFrame:
        """Return one row per site, shot and image: site, shot, image, counts, called."""
        import pandas as pd

        sites, shots, images = self.called.shape
        table = pd.DataFrame(
            {
                "site": np.repeat(self.site_counts.numbers, shots * images),
                "shot": np.tile(np.repeat(np.arange(shots), images), sites),
                "image": np.tile(np.arange(images), sites * shots),
                "counts": self.site_counts.counts.ravel(),
                "called": self.called.ravel(),
            }
        )
        table.attrs["units"] = {"counts": self.site_counts.unit}
        return table

    def _share(
        self, events: IntArray, trials: IntArray, certainty: FloatArray | float = 1.0
    ) -> FloatArray:
        low, high = binomial_interval(events * certainty, trials * certainty, self.level)
        share = np.divide(events, trials, out=np.full(len(events), _NAN), where=trials > 0)
        result = np.stack([share, low, high], axis=1)
        result[trials == 0] = _NAN
        return result


class _Cut(NamedTuple):
    threshold: float = _NAN
    false_bright: float = _NAN
    false_dark: float = _NAN
    mode: Mixture | None = None
    remark: str = ""
    certainty: float = 1.0


def count_sites(
    site_counts: SiteCounts,
    *,
    images: int = 1,
    model_or_controls: LossModel | ControlFit | CountsByAtomNumber | None = None,
    level: float = 0.68,
) -> SiteResult:
    """Call each site bright or dark in each image.

    Parameters
    ----------
    site_counts : SiteCounts
        From `photons.counts_from_stack`.
    images : int
        Number of images of each shot, one after the other along the stack; loading is that of the
        first, survival from the first to the second.
    model_or_controls : LossModel, ControlFit or counts by atom number, optional
        What tells the threshold, the same for all sites, see `photons.thresholds`. By default each
        site has its own, where the two modes of its counts are equally likely.
    level : float
        Confidence of the intervals, which are binomial (Wilson).

    Returns
    -------
    SiteResult
        Sites whose counts show no two modes have no threshold (NaN), and a remark.

    Raises
    ------
    ValueError
        If the images do not make up whole shots, the level is not between 0 and 1, or mean counts
        of the model do not rise with the atom number.
    """
    counts = site_counts.counts
    sites, length = counts.shape
    if isinstance(images, bool) or images != int(images) or images < 1:
        raise ValueError(f"expected at least 1 image of each shot, found {images}")
    if length % images:
        raise ValueError(f"expected {images} images of each shot, found {length} images in all")
    if not 0 < level < 1:
        raise ValueError(f"expected a level between 0 and 1, found {level}")
    source: Source = "modes"
    if model_or_controls is None:
        cuts = _by_modes([values[np.isfinite(values)] for values in counts])
    else:
        common = _by_model(model_or_controls)
        cuts = [common] * sites
        source = "controls" if _counted(model_or_controls) else "model"
    threshold = np.array([cut.threshold for cut in cuts])
    known = np.isfinite(counts) & np.isfinite(threshold)[:, None]
    called = np.where(known, counts > threshold[:, None], UNKNOWN).astype(np.int64)
    return SiteResult(
        site_counts,
        int(images),
        threshold,
        np.array([cut.false_bright for cut in cuts]),
        np.array([cut.false_dark for cut in cuts]),
        source,
        tuple(cut.mode for cut in cuts),
        called.reshape(sites, -1, int(images)),
        level,
        tuple(cut.remark for cut in cuts),
        np.array([cut.certainty for cut in cuts]),
    )


def _by_modes(sites: list[FloatArray]) -> list[_Cut]:
    """Return the threshold between two modes of each site, if there are two."""
    doubts = [_too_few(values) for values in sites]
    usable = [values for values, doubt in zip(sites, doubts, strict=True) if not doubt]
    found = iter(modes_of_sites(usable))
    return [_Cut(remark=doubt) if doubt else _between(next(found)) for doubt in doubts]


def _too_few(values: FloatArray) -> str:
    if len(values) < _LEAST_VALUES:
        return "no threshold: fewer than 4 shots with counts"
    if values.min() == values.max():
        return "no threshold: all counts are equal"
    return ""


def _between(found: Modes | None) -> _Cut:
    if found is None:
        return _Cut(
            remark="no threshold: the counts show no two modes; is there always an atom, or never, "
            "or too little light?"
        )
    return _Cut(
        found.threshold,
        found.false_bright,
        found.false_dark,
        found.mixture,
        certainty=found.certainty,
    )


def _by_model(model_or_controls: LossModel | ControlFit | CountsByAtomNumber) -> _Cut:
    """Return the threshold between none and one atom; counts are whole numbers there."""
    found = thresholds(model_or_controls)
    return _Cut(
        float(found.cuts[0]) - 0.5,
        float(found.confusion[1:, 0].sum()),
        float(found.confusion[0, 1]),
    )


def _counted(model_or_controls: object) -> bool:
    return not (hasattr(model_or_controls, "model") or hasattr(model_or_controls, "distribution"))


def _columns(name: str, values: FloatArray) -> dict[str, FloatArray]:
    return {name: values[:, 0], f"{name}_low": values[:, 1], f"{name}_high": values[:, 2]}


def _listed(sites: list[str], most: int = 8) -> str:
    return ", ".join(sites[:most]) + (", ..." if len(sites) > most else "")
