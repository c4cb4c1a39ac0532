"""How the shipped weights are made, at the smallest scale."""

from __future__ import annotations

from dataclasses import replace

import pytest

from napari_coldatoms.clouds import train_shipped
from napari_coldatoms.clouds.inference import Network
from napari_coldatoms.clouds.weights import SHIPPED, digest, read_card


@pytest.mark.slow
def test_two_stages_and_a_card(tmp_path, monkeypatch, capsys):
    small = [
        replace(each, epochs=1, batch=4, canvas=128, large=0.0) for each in train_shipped.STAGES
    ]
    monkeypatch.setattr(train_shipped, "STAGES", small)
    monkeypatch.setattr(train_shipped.os, "cpu_count", lambda: 1)
    weights = tmp_path / "shipped" / "small.safetensors"
    given = ["--output", str(tmp_path / "work"), "--weights", str(weights), "--device", "cpu"]
    given += ["--frames", "8", "--held-out", "2", "--judged", "2"]
    assert train_shipped.main(given) == 0
    assert Network(weights, "cpu").card == read_card(weights)
    about = read_card(weights).about
    assert (about["training pictures"], about["steps"]) == (8, 2)
    assert about["before"]["steps"] == 2
    assert about["scores"]["paper"]["pictures"] == about["scores"]["hard"]["pictures"] == 2
    card = weights.with_name(train_shipped.CARD).read_text(encoding="utf-8")
    assert digest(weights) in card
    assert "First 2 steps from random weights" in card
    assert f"| learning rate | {small[1].learning_rate} |" in card
    # what is done already is not done again
    capsys.readouterr()
    before = read_card(weights)
    assert train_shipped.main(given) == 0
    assert read_card(weights) == before
    assert "step 1 of" not in capsys.readouterr().out


def test_the_card_is_that_of_the_shipped_weights():
    text = SHIPPED.with_name(train_shipped.CARD).read_text(encoding="utf-8")
    assert text == train_shipped.model_card(read_card(SHIPPED), SHIPPED)
