"""Models compared by information criteria, on counts whose law is known."""

from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.photons.loss_model import LossModel
from napari_coldatoms.photons.model_choice import (
    atom_number_table,
    choose_model,
    default_candidates,
)

PAIRS = {(2, 1): 800.0, (2, 0): 400.0}
RATES = (1e3, 15e3, 29e3)
ONE, TWO, SINGLE = (
    "one atom lost at a time",
    "one or two atoms lost",
    "one or two atoms lost, single ones too",
)


def _drawn(model: LossModel, seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    shots = (300, 900, 1500)
    return [model.sample(rng.binomial(i, 0.97, n), rng=rng) for i, n in enumerate(shots)]


@pytest.mark.parametrize(
    ("losses", "sd", "name"),
    [
        ({}, 0.0, "no losses"),
        ({(2, 1): 900.0}, 0.0, ONE),
        (PAIRS, 0.0, TWO),
        (PAIRS, 0.2, f"{TWO}, brightness varies"),
        ({(1, 0): 200.0, **PAIRS}, 0.0, SINGLE),
    ],
)
def test_the_law_of_the_counts_is_chosen(losses: dict, sd: float, name: str) -> None:
    chosen = [
        choose_model(_drawn(LossModel(RATES, losses, 1e-3, sd), seed), 1e-3).best_bic
        for seed in range(4)
    ]
    assert chosen.count(name) >= 3


def test_the_table_is_that_of_the_fits() -> None:
    choice = choose_model(_drawn(LossModel(RATES, PAIRS, 1e-3), 0), 1e-3)
    table = choice.table()
    assert len(table) == len(default_candidates(2)) == 8
    assert table["model"].iloc[0] == choice.best_bic
    assert table["bic"].iloc[0] == 0
    assert table["aic"].min() == 0
    assert table.set_index("model")["parameters"].to_dict()[TWO] == 6
    assert choice.best.model.losses.keys() == PAIRS.keys()
    nested = table.set_index("model")["log_likelihood"]
    assert nested["no losses"] <= nested[ONE] + 1e-6 <= nested[TWO] + 2e-6 <= nested[SINGLE] + 3e-6


def test_controls_of_one_atom() -> None:
    counts = _drawn(LossModel(RATES, PAIRS, 1e-3), 1)[:2]
    assert choose_model(counts, 1e-3).best_bic == "no losses"
    with_loss = _drawn(LossModel(RATES, {(1, 0): 300.0}, 1e-3), 1)[:2]
    assert choose_model(with_loss, 1e-3).best_aic == "single atoms lost"


def test_own_candidates() -> None:
    counts = _drawn(LossModel(RATES, PAIRS, 1e-3), 2)
    choice = choose_model(
        counts, 1e-3, {"given": {"brightness_sd": 0.1}, "none": {}}, method="steps"
    )
    assert list(choice.fits) == ["none", "given"]
    with pytest.raises(ValueError, match="at least one candidate"):
        choose_model(counts, 1e-3, {})
    with pytest.raises(ValueError, match=r"losses and brightness_sd as options of 'a', found loss"):
        choose_model(counts, 1e-3, {"a": {"loss": []}})


@pytest.mark.parametrize("most", [0, 1, 2, 3])
def test_the_largest_atom_number_is_found(most: int) -> None:
    model = LossModel((1e3, 15e3, 29e3, 43e3), {**PAIRS, (3, 2): 900.0}, 1e-3)
    rng = np.random.default_rng(3)
    counts = model.sample(rng.integers(0, most + 1, 1500), rng=rng)
    table = atom_number_table(counts, model)
    assert table["bic"].idxmin() == most
    assert (table["log_likelihood"].diff()[1:] > -1e-6).all()
    probabilities = table.loc[most, [f"p{i}" for i in range(4)]].to_numpy(dtype=float)
    np.testing.assert_allclose(probabilities[: most + 1], 1 / (most + 1), atol=0.06)
    assert probabilities.sum() == pytest.approx(1.0)
