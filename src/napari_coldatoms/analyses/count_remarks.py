"""Doubts about counted atoms in words of the parameters, each once, with what to do."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from napari_coldatoms.photons.control_setting import atoms

if TYPE_CHECKING:
    from napari_coldatoms.analyses.count_atoms import CountAtoms
    from napari_coldatoms.analyses.count_result import CountResult
    from napari_coldatoms.photons.checks import CountChecks

# what functions advise to who writes scripts, and what the parameters are called
_ADVICE = (
    ('look at check_counts, or fit with brightness_sd="fit"', "fit a varying brightness"),
    ('fit controls with brightness_sd="fit"', "fit a varying brightness"),
    ("bootstrap with block=", "set the block to at least "),
    (", or multiply distributions by camera.kernel(...)", ""),
    ("(event based)", "(basis 'events')"),
    (" (background=None)", ""),
)
_POOR_FIT = "the fit does not describe the counts"
_FITTED_ALREADY = "a varying brightness does not explain it"
# what to do about remarks that begin or go on like this, where they do not say so themselves
_MORE_ADVICE = (
    ("the loss from 1 to 0 atoms is at its bound, 0", "leave out the one-atom loss"),
    (_POOR_FIT, "were the controls taken under the same conditions?"),
    ("left out, which", "were the controls taken under the same conditions?"),
    ("the mean drifts by", "take controls and sample in turn, and set a block for the intervals"),
)
_NOT_THE_MODEL = "do not follow the model"
_WRONG_ORDER = "are the controls in the wrong order?"
_SAME_AS_WRONG_ORDER = ("expected rates that rise", "rates do not rise", "mean counts do not rise")
# remarks that say what was done, and no doubt
_NOTES = ("bins of ",)


def remarks_of(result: CountResult) -> tuple[str, ...]:
    """Return all doubts about a result, each once."""
    fitted = [*result.known.remarks, *result.fit.remarks, *result.intervals.remarks]
    found = [text for text in fitted if not text.startswith(_NOTES)]
    if any(_WRONG_ORDER in text for text in found):
        found = [text for text in found if not text.startswith(_SAME_AS_WRONG_ORDER)]
    for number, check in enumerate(result.control_checks):
        told = any(f"with {atoms(number)}" in text and "vary" in text for text in found)
        found += [
            f"controls of {atoms(number)}: {text}"
            for text in _of_check(check, result.analysis.block)
            if not (told and _is_dispersion(text))
        ]
    # with many more shots than controls it is their errors that are seen; χ² knows of them
    poor = any(_POOR_FIT in text for text in result.fit.remarks)
    found += [
        f"sample: {text}"
        for text in _of_check(result.sample_check, result.analysis.block)
        if poor or not _is_dispersion(text)
    ]
    if result.thresholds is None:
        found.append("there are no thresholds: counts do not rise with the atom number")
    return in_plain_words(found, result.analysis)


def in_plain_words(remarks: Iterable[str], analysis: CountAtoms | None = None) -> tuple[str, ...]:
    """Return what functions of `photons` remark in words of the parameters, each once.

    Nothing is advised that the `analysis` has done already.
    """
    return tuple(dict.fromkeys(_advised(text, analysis) for text in remarks))


def _of_check(check: CountChecks, block: int) -> list[str]:
    """Return the doubts of a check, less those that the block takes care of."""
    enough = check.block is not None and block >= check.block
    return [text for text in check.remarks if not (enough and "bootstrap with block=" in text)]


def _is_dispersion(text: str) -> bool:
    return text.startswith("counts vary")


def _advised(text: str, analysis: CountAtoms | None) -> str:
    told = False
    for advice, words in _ADVICE:
        if analysis is not None and analysis.varying_brightness and "brightness" in words:
            words = _FITTED_ALREADY
        told |= advice in text
        text = text.replace(advice, words)
    if told:
        return text
    if _NOT_THE_MODEL in text:
        untried = _untried(analysis)
        return f"{text}; try {' or '.join(untried)}" if untried else text
    for part, words in _MORE_ADVICE:
        if part in text:
            text = f"{text}; {words}"
    return text


def _untried(analysis: CountAtoms | None) -> list[str]:
    """Return what may describe controls that do not follow the model."""
    done = (
        ()
        if analysis is None
        else (analysis.one_atom_loss, analysis.varying_brightness, analysis.basis == "events")
    )
    words = ("a one-atom loss", "a varying brightness", "the basis 'events'")
    return [each for each, tried in zip(words, done or (False,) * 3, strict=True) if not tried]
