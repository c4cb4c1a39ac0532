"""A Gaussian process of what a tuning has found, as in Fig. 5 of Hofer et al. 2021."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from napari_coldatoms.clouds.tuning import Tuning

__all__ = ["LEAST_TRIALS", "Slice", "surrogate_slices"]

LEAST_TRIALS = 5
"""How many trials have to be done: as many as hyperparameters, and one."""

_RESTARTS = 4


@dataclass(frozen=True)
class Slice:
    """Two hyperparameters vary, the others are those of the best trial.

    Attributes
    ----------
    x, y : str
        Names of the two.
    x_values, y_values : (nx,) and (ny,) arrays
        Where the surrogate was asked.
    mean, error : (ny, nx) arrays
        What it expects of the objective, and the standard deviation of that.
    """

    x: str
    y: str
    x_values: NDArray[np.float64]
    y_values: NDArray[np.float64]
    mean: NDArray[np.float64]
    error: NDArray[np.float64]


def surrogate_slices(tuning: Tuning, *, points: int = 41) -> tuple[Slice, ...]:
    """Return the six slices of a Gaussian process through the best trial.

    The process has a Matérn kernel (ν = 5/2) with a length for each hyperparameter, on scales as
    in the space of the tuning, and noise; all by the highest likelihood (Rasmussen and Williams
    2006, chapters 4 and 5).

    Parameters
    ----------
    tuning : Tuning
        Its trials that are done.
    points : int
        Along each side of a slice; all values of a hyperparameter that is a whole number.

    Raises
    ------
    ValueError
        Fewer than `LEAST_TRIALS` are done.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

    best = tuning.best
    known = [each for each in tuning.done if each.hyperparameters is not None]
    if best is None or best.hyperparameters is None or len(known) < LEAST_TRIALS:
        raise ValueError(f"expected {LEAST_TRIALS} trials that are done, found {len(known)}")
    space, names = tuning.space, tuple(tuning.space.ranges)
    places = np.array([space.parts(each.hyperparameters) for each in known if each.hyperparameters])
    values = np.array([each.value for each in known], dtype=float)
    lengths = np.full(len(names), 0.5)
    kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(lengths, (5e-2, 2e1), nu=2.5)
    process = GaussianProcessRegressor(
        kernel + WhiteKernel(1e-2, (1e-8, 1.0)),
        normalize_y=True, n_restarts_optimizer=_RESTARTS, random_state=0,
    )  # fmt: skip
    with warnings.catch_warnings():
        # a hyperparameter that does not matter has a length at its bound
        warnings.simplefilter("ignore", ConvergenceWarning)
        process.fit(places, values)
    at_best = asdict(best.hyperparameters)
    slices = []
    for x, y in combinations(names, 2):
        columns, rows = space.ranges[x].grid(points), space.ranges[y].grid(points)
        asked = [
            space.parts(space.take(at_best | {x: column, y: row}))
            for row, column in product(rows, columns)
        ]
        mean, error = process.predict(np.array(asked), return_std=True)
        shape = (len(rows), len(columns))
        slices.append(Slice(x, y, columns, rows, mean.reshape(shape), error.reshape(shape)))
    return tuple(slices)
