"""Tell how often there were 0, 1, 2, ... atoms from counts of photons and from control shots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from napari_coldatoms.analyses.count_result import CountResult
from napari_coldatoms.backend.analysis import ParameterError, check
from napari_coldatoms.photons.bootstrap import Intervals, bootstrap
from napari_coldatoms.photons.checks import check_controls, check_counts
from napari_coldatoms.photons.control_setting import Channel, loss_channels
from napari_coldatoms.photons.controls import ControlFit, fit_histograms
from napari_coldatoms.photons.fit import fit_histogram
from napari_coldatoms.photons.fit_setting import fit_setting
from napari_coldatoms.photons.histogram import (
    Counts,
    CountsByAtomNumber,
    Histogram,
    control_histograms,
    histogram,
)
from napari_coldatoms.photons.thresholds import Thresholds, thresholds

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class CountAtoms:
    """Tell how often there were 0, 1, 2, ... atoms, from counts of photons in single shots."""

    name: ClassVar[str] = "count_atoms"
    thing: ClassVar[str] = "atom number"

    exposure: Annotated[
        float,
        {
            "min": 1e-9,
            "max": 1e6,
            "tooltip": "how long photons are counted in each shot (s); rates are told per second, "
            "probabilities do not depend on it",
        },
    ] = 1.0
    basis: Annotated[
        Literal["model", "events"],
        {
            "tooltip": "'model': fit with the distributions of rates and losses that were fitted "
            "to the controls; 'events': with the counted controls as they are, which needs some "
            "thousand control shots"
        },
    ] = "model"
    one_atom_loss: Annotated[
        bool,
        {
            "label": "one-atom loss",
            "tooltip": "single atoms leave during the exposure, too, not only two at a time or one "
            "of several",
        },
    ] = False
    varying_brightness: Annotated[
        bool,
        {
            "tooltip": "the brightness changes from shot to shot, as with unsteady light: find by "
            "how much"
        },
    ] = False
    resamples: Annotated[
        int,
        {
            "min": 2,
            "max": 100_000,
            "tooltip": "how often the measurement is drawn anew from itself and fitted, for the "
            "intervals",
        },
    ] = 200
    level: Annotated[
        float,
        {
            "min": 0.01,
            "max": 0.999,
            "step": 0.01,
            "tooltip": "probability of the intervals; 0.68 is that of one standard deviation",
        },
    ] = 0.68
    block: Annotated[
        int,
        {
            "min": 0,
            "max": 1_000_000,
            "tooltip": "draw so many neighbouring shots together for the intervals, where shots "
            "are not independent; 0: they are",
        },
    ] = field(default=0, metadata={"advanced": True})
    resample_controls: Annotated[
        bool,
        {
            "tooltip": "draw the controls anew, too; without it the intervals are too narrow, "
            "unless there are many more controls than shots"
        },
    ] = field(default=True, metadata={"advanced": True})
    controls_fit: Annotated[
        Literal["steps", "joint"],
        {
            "tooltip": "'steps': rates from the control of 0 atoms, then of 1 atom, and so on; "
            "'joint': all controls together"
        },
    ] = field(default="steps", metadata={"advanced": True})
    likelihood: Annotated[
        Literal["poisson", "effective", "least-squares"],
        {
            "tooltip": "'poisson': maximum likelihood; 'effective': it knows that the controls are "
            "counted, for the basis 'events'; 'least-squares': for comparison"
        },
    ] = field(default="poisson", metadata={"advanced": True})
    seed: Annotated[
        int,
        {
            "min": 0,
            "max": 2**31 - 1,
            "tooltip": "of the random numbers that draw the measurement anew",
        },
    ] = field(default=1, metadata={"advanced": True})

    def __post_init__(self) -> None:
        check(self)
        if self.likelihood == "effective" and self.basis == "model":
            raise ParameterError(
                "likelihood: 'effective' is about counted controls: expected the basis 'events', "
                "found 'model'"
            )

    def fit_controls(self, controls: CountsByAtomNumber) -> ControlFit:
        """Fit rates and losses to shots of known atom number.

        Parameters
        ----------
        controls : sequence or mapping
            Counts for 0, 1, 2, ... atoms, see `photons.fit_controls`.

        Returns
        -------
        ControlFit
            Its doubts are in its `remarks`; nothing is warned of.

        Raises
        ------
        ValueError
            If counts are not usable or a control is missing.
        """
        histograms = control_histograms(controls)
        return fit_histograms(
            histograms,
            self.exposure,
            method=self.controls_fit,
            losses=self._losses(len(histograms) - 1),
            brightness_sd="fit" if self.varying_brightness else 0.0,
        )

    def count(
        self,
        sample: Counts,
        controls: CountsByAtomNumber | None = None,
        *,
        known: ControlFit | None = None,
        sources: dict[str, str] | None = None,
        progress: Progress | None = None,
    ) -> CountResult:
        """Fit the controls, then the sample, and find the intervals.

        Parameters
        ----------
        sample : counts
            Of the shots with unknown atom numbers, see `photons.histogram`.
        controls : sequence or mapping, optional
            Counts for 0, 1, 2, ... atoms; not needed where `known` is given.
        known : ControlFit, optional
            What was fitted to the controls before, by `fit_controls`.
        sources : dict of str, optional
            Where the counts are from: "sample", "controls".
        progress : callable, optional
            Called with (steps done, all). What it raises ends the work.

        Returns
        -------
        CountResult

        Raises
        ------
        ValueError
            If counts are not usable, there are no controls, or blocks are asked for that the sample
            does not have.
        """
        data = histogram(sample, "counts of the sample")
        total = self.resamples + 2

        def tell(done: int) -> None:
            if progress is not None:
                progress(done, total)

        tell(0)
        if known is None:
            if controls is None:
                raise ValueError("expected controls, or what was fitted to them, found neither")
            known = self.fit_controls(controls)
        tell(1)
        setting = fit_setting(known, data.max_count, likelihood=self.likelihood, basis=self.basis)
        fit, _ = fit_histogram(data, setting)
        tell(2)
        intervals = self._intervals(data, known, lambda drawn: tell(drawn + 2))
        return CountResult(
            analysis=self,
            known=known,
            sample=data,
            fit=fit,
            intervals=intervals,
            thresholds=self._thresholds(known),
            control_checks=check_controls(known),
            sample_check=check_counts(data, expected=fit.expected),
            sources=dict(sources or {}),
        )

    def _losses(self, most_atoms: int) -> tuple[Channel, ...]:
        usual = loss_channels(None, most_atoms)
        return (((1, 0),) if self.one_atom_loss else ()) + usual

    def _intervals(
        self, data: Histogram, known: ControlFit, tell: Callable[[int], None]
    ) -> Intervals:
        return bootstrap(
            data,
            known,
            resamples=self.resamples,
            resample_controls=self.resample_controls,
            block=self.block or None,
            level=self.level,
            rng=self.seed,
            likelihood=self.likelihood,
            basis=self.basis,
            progress=lambda done, _: tell(done),
            quiet=True,  # the result tells the doubts
        )

    def _thresholds(self, known: ControlFit) -> Thresholds | None:
        """Return the best cuts for equally frequent atom numbers; None where counts do not rise."""
        try:
            return thresholds(
                known if self.basis == "model" else known.histograms, level=self.level
            )
        except ValueError:
            return None
