from __future__ import annotations

import numpy as np
import pytest

from napari_coldatoms.images import (
    ROLES,
    assign_roles,
    guess_roles,
    guess_roles_from_count,
    make_stack,
    role_of_name,
)
from napari_coldatoms.images.roles import brightness_of

TRIPLET = ("atoms", "probe", "dark")


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (("Image_2020_11_24_0147", "Probe_2020_11_24_0147", "Background_2020_11_24_0147"), TRIPLET),
        (("run7_12_atom", "run7_12_light", "run7_12_dark"), TRIPLET),
        (("Obj", "Ref", "BG"), TRIPLET),
        (("atoms", "background", "dark"), TRIPLET),
        (("atoms", "probe", "bg"), TRIPLET),
        (("atom", "beam", "dark"), TRIPLET),
        (("PWA", "PWOA", "DF"), TRIPLET),
        (("shot_A", "shot_B", "shot_C"), TRIPLET),
        (("data_A", "data_B", "data_C"), TRIPLET),
        (("with_atoms", "without_atoms", "dark"), TRIPLET),
        (("Image_atoms", "Image_noatoms", "Image_dark"), TRIPLET),
        (("absorption_with", "absorption_without", "absorption_noise"), TRIPLET),
        (("AtomsFrame", "FlatFrame", "DarkFrame"), TRIPLET),
        (("raw", "raw_back", "raw_noise"), TRIPLET),
        (("no_light", "light", "atoms"), ("dark", "probe", "atoms")),
        (("probe", "atoms", "dark", "dark2"), ("probe", "atoms", "dark", "dark")),
        (("atoms", "light"), ("atoms", "probe")),
        (("atoms",), ("atoms",)),
        (("Probe_0147",), ("probe",)),
    ],
)
def test_names_that_settle_the_roles(names, roles):
    guess = guess_roles(names)
    assert guess.roles == roles
    assert guess.certain
    assert names[0] in guess.reason


@pytest.mark.parametrize(
    ("names", "roles"),
    [
        (("atoms", "background"), ("atoms", "background")),
        (("background",), ("background",)),
        (("shot-1", "shot-2", "shot-3"), TRIPLET),
        (("atoms", "thing"), ("atoms", "unknown")),
        (("atoms", "probe", "thing", "background"), ("atoms", "probe", "unknown", "dark")),
        (("0001", "0002", "0003"), ("unknown",) * 3),
        (("atomsphere", "lighthouse"), ("unknown",) * 2),
        (("dark_probe",), ("unknown",)),
        (("run_a",), ("unknown",)),
        (("shot-1", "shot-4"), ("unknown",) * 2),
        ((), ()),
    ],
)
def test_names_that_leave_doubt(names, roles):
    guess = guess_roles(names)
    assert guess.roles == roles
    assert not guess.certain


def test_background_beside_both_others_stays_background():
    guess = guess_roles(("atoms", "probe", "dark", "background"))
    assert guess.roles == ("atoms", "probe", "dark", "background")
    assert guess.certain


def test_order_of_names_is_kept_and_roles_are_duplicated():
    assert guess_roles(("dark_1", "atoms_1", "atoms_2")).roles == ("dark", "atoms", "atoms")
    assert guess_roles(("atoms_1", "atoms_2")).roles == ("atoms", "atoms")


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("Image_2020_11_24_0147", "atoms"),
        ("Background_2020", "background"),
        ("NoAtoms", "probe"),
        ("fluo_3", "fluorescence"),
        ("OD", "optical_depth"),
        ("frame", "unknown"),
        ("", "unknown"),
    ],
)
def test_role_of_a_single_name(name, role):
    assert role_of_name(name) == role


@pytest.mark.parametrize(
    ("n", "roles"),
    [
        (1, ("atoms",)),
        (2, ("atoms", "probe")),
        (3, TRIPLET),
        (4, ("probe", "atoms", "dark", "dark")),
        (6, ("unknown", "unknown", "probe", "atoms", "dark", "dark")),
        (8, ("unknown", "unknown", *TRIPLET, *TRIPLET)),
        (9, TRIPLET * 3),
        (5, ("unknown",) * 5),
    ],
)
def test_page_counts(n, roles):
    guess = guess_roles_from_count(n)
    assert guess.roles == roles
    assert not guess.certain
    assert str(n) in guess.reason


def test_brightness_decides_between_usual_layouts_and_never_reorders():
    junk = guess_roles_from_count(6, [0, 0, 900, 800, 10, 10])
    assert junk.roles[2:] == ("probe", "atoms", "dark", "dark")
    twice = guess_roles_from_count(6, [800, 900, 10, 800, 900, 10])
    assert twice.roles == TRIPLET * 2
    assert "agrees" in twice.reason
    assert guess_roles_from_count(2, [900, 30]).roles == ("atoms", "background")
    assert guess_roles_from_count(2, [800, 900]).roles == ("atoms", "probe")
    wrong = guess_roles_from_count(3, [10, 900, 800])
    assert wrong.roles == TRIPLET
    assert "NOT agree" in wrong.reason


def test_brightness_of_frames():
    frames = np.multiply.outer([1.0, 5.0, 2.0], np.ones((300, 400)))
    stack = make_stack(frames, roles=TRIPLET)
    assert brightness_of(stack) == pytest.approx([1, 5, 2])
    repeated = make_stack(np.stack([frames, 3 * frames]), roles=TRIPLET)
    assert brightness_of(repeated.transpose("frame", "shot", "y", "x")) == pytest.approx([2, 10, 4])


def test_the_user_overrides():
    stack = make_stack(
        np.zeros((3, 4, 5)), roles=TRIPLET, attrs={"roles_certain": False, "roles_reason": "guess"}
    )
    assigned = assign_roles(stack, ("dark", "atoms", "atoms"))
    assert tuple(assigned["frame"].values) == ("dark", "atoms", "atoms")
    assert assigned.attrs["roles_certain"] is True
    assert tuple(stack["frame"].values) == TRIPLET
    assert stack.attrs["roles_reason"] == "guess"
    assert set(ROLES) >= set(assigned["frame"].values)
    with pytest.raises(ValueError, match="3 roles"):
        assign_roles(stack, ("dark",))
    with pytest.raises(ValueError, match="nonsense"):
        assign_roles(stack, ("dark", "atoms", "nonsense"))
    with pytest.raises(ValueError, match="picture"):
        assign_roles(stack[0], TRIPLET)
