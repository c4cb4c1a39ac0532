"""Roles of raw frames: which is the one with atoms, which the probe, which the dark frame.

Guessed from names or from the number of pages by what laboratories do, and marked as certain or
not. Nothing is ever reordered; the user can assign other roles.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr

ROLES = (
    "atoms",
    "probe",
    "dark",
    "optical_depth",
    "fluorescence",
    "background",
    "unknown",
)
"""Roles a raw frame can have. ``probe``: light but no atoms. ``dark``: neither light nor atoms."""

_STRONG = {
    "atoms": "atoms",
    "atom": "atoms",
    "pwa": "atoms",
    "probe": "probe",
    "light": "probe",
    "noatoms": "probe",
    "noatom": "probe",
    "pwoa": "probe",
    "beam": "probe",
    "flat": "probe",
    "ref": "probe",
    "reference": "probe",
    "without": "probe",
    "back": "probe",
    "dark": "dark",
    "bg": "dark",
    "df": "dark",
    "noise": "dark",
    "background": "background",
    "fluorescence": "fluorescence",
    "fluo": "fluorescence",
    "od": "optical_depth",
}
# words that also stand in names for other reasons: they count only where nothing stronger does
_WEAK = {
    "image": "atoms",
    "abs": "atoms",
    "with": "atoms",
    "obj": "atoms",
    "object": "atoms",
    "data": "atoms",
    "raw": "atoms",
}
# letters and numbers mean roles only as a set: A with B, -1 with -2
_LETTERS = {"a": "atoms", "b": "probe", "c": "dark"}
_NUMBERS = {"1": "atoms", "2": "probe", "3": "dark"}
_WORDS = {**_WEAK, **_STRONG}

_TRIPLET = ("atoms", "probe", "dark")
_JUNK = ("unknown", "unknown")
# layouts by number of pages, the most usual first; others are multiples of three
_LAYOUTS: dict[int, tuple[tuple[str, ...], ...]] = {
    1: (("atoms",),),
    2: (("atoms", "probe"), ("atoms", "background")),
    4: (("probe", "atoms", "dark", "dark"),),
    6: ((*_JUNK, "probe", "atoms", "dark", "dark"), _TRIPLET * 2),
    8: ((*_JUNK, *_TRIPLET, *_TRIPLET),),
}

# share of negative pixels that defects and subtracted offsets leave in frames with light
_FEW = 0.02

_TOKEN = re.compile(r"[A-Z]+(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+|\d+")


@dataclass(frozen=True)
class RoleGuess:
    """Guessed roles of several frames.

    Attributes
    ----------
    roles : tuple of str
        Role of each frame, from `ROLES`, in the order of the frames.
    certain : bool
        False where the names or the page count allow another reading: the user should look.
    reason : str
        What the guess rests on, in a sentence for the user.
    """

    roles: tuple[str, ...]
    certain: bool
    reason: str


@dataclass(frozen=True)
class RoleWord:
    """A word in a name that tells a role: its place, its role, and how much it counts.

    ``rank`` is 0 for words that mean nothing else, 1 for words with other uses, 2 for a letter A,
    B, C and 3 for a final -1, -2, -3; the last two count only as a set.
    """

    start: int
    stop: int
    role: str
    rank: int


def role_words(name: str) -> list[RoleWord]:
    """Find the words in a file or dataset name that can tell its role.

    Words are whole ones, split at anything but letters and at changes of case: ``atoms`` is found
    in ``Atoms_01`` and ``imageAtoms``, not in ``atomsphere``. ``no atoms`` and ``without atoms``
    are one word.
    """
    tokens = [(m.start(), m.end(), m.group().lower()) for m in _TOKEN.finditer(name)]
    found: list[RoleWord] = []
    skip = -1
    for i, (start, stop, word) in enumerate(tokens):
        if i == skip:
            continue
        following = tokens[i + 1] if i + 1 < len(tokens) else None
        if word in ("no", "without", "wo", "with", "w") and following is not None:
            role = _STRONG.get(following[2])
            if role == "atoms" or (role == "probe" and word not in ("with", "w")):
                meaning = {"atoms": "probe", "probe": "dark"}[role]
                positive = word in ("with", "w")
                found.append(RoleWord(start, following[1], role if positive else meaning, 0))
                skip = i + 1
                continue
        if word in _STRONG:
            found.append(RoleWord(start, stop, _STRONG[word], 0))
        elif word in _WEAK:
            found.append(RoleWord(start, stop, _WEAK[word], 1))
        elif word in _LETTERS:
            found.append(RoleWord(start, stop, _LETTERS[word], 2))
        elif word in _NUMBERS and stop == len(name) and name[start - 1 : start] == "-":
            found.append(RoleWord(start, stop, _NUMBERS[word], 3))
    return found


def role_of_name(name: str) -> str:
    """Return the role a single name tells, or ``"unknown"``.

    ``"background"`` is returned as such: alone it does not tell whether light was on.
    """
    return _pick([word for word in role_words(name) if word.rank < 2])


def guess_roles(names: Sequence[str]) -> RoleGuess:
    """Guess the roles of frames from their names (of files, datasets or folders).

    The trap is ``background``, the dark frame in one laboratory and the one without atoms in
    another: what else is there settles it, or the guess is not certain.

    Parameters
    ----------
    names : sequence of str
        One name for each frame, without file suffix.
    """
    names = [str(name) for name in names]
    roles, rank = _roles_by_words(names)
    if "unknown" in roles or (rank == 1 and len(set(roles)) < len(roles)):
        for rank_of_set in (2, 3):
            by_set = _roles_by_set(names, rank_of_set)
            if by_set is not None:
                roles, rank = by_set, rank_of_set
                break
    listed = ", ".join(names)
    if all(role == "unknown" for role in roles):
        return RoleGuess(roles, False, f"the names ({listed}) tell no roles")
    others = set(roles) - {"background"}
    if "background" in roles and not {"probe", "dark"} <= others:
        if "probe" in others or "dark" in others:
            meaning = "dark" if "probe" in others else "probe"
            there = "probe" if "probe" in others else "dark"
            roles = tuple(meaning if role == "background" else role for role in roles)
            why = f"names ({listed}); 'background' is the {meaning} frame beside a {there} frame"
            return RoleGuess(roles, "unknown" not in roles, why)
        why = f"names ({listed}); 'background' may be the dark frame or the one without atoms"
        return RoleGuess(roles, False, why)
    certain = "unknown" not in roles and rank < 3
    return RoleGuess(roles, certain, f"names ({listed})")


def guess_roles_from_count(n: int, brightness: Sequence[float] | None = None) -> RoleGuess:
    """Guess the roles of `n` frames from their number alone; never certain.

    Parameters
    ----------
    n : int
        Number of frames: 3 are atoms, probe, dark; 4 are probe, atoms, dark, dark; 6 and 8 may
        have two junk frames first; other multiples of 3 are repeated triplets.
    brightness : sequence of float, optional
        Mean counts of each frame. Where a number has several usual layouts, the first is taken
        whose dark frames are the darkest. Frames are never reordered: if no layout fits, the
        reason says so.
    """
    layouts = _LAYOUTS.get(n)
    if layouts is None:
        if n % 3 or n == 0:
            return RoleGuess(("unknown",) * n, False, f"{n} frames have no usual order")
        layouts = (_TRIPLET * (n // 3),)
    layout = layouts[0]
    reason = f"{n} frame{'s' if n > 1 else ''} without telling names: taken as {_brief(layout)}"
    if brightness is not None and n > 1:
        fitting = [each for each in layouts if _fits(each, brightness)]
        if fitting:
            layout = fitting[0]
            reason = (
                f"{n} frames without telling names: taken as {_brief(layout)}; "
                "their brightness agrees"
            )
        else:
            reason += "; their brightness does NOT agree with this order, please check"
    return RoleGuess(layout, False, reason)


def assign_roles(stack: xr.DataArray, roles: Sequence[str]) -> xr.DataArray:
    """Return the stack with other roles for its frames, as chosen by the user.

    Raises
    ------
    ValueError
        The stack has no ``frame`` dimension, the number of roles differs from that of the frames,
        or a role is not in `ROLES`.
    """
    if "frame" not in stack.dims:
        raise ValueError("expected raw frames, found a picture without 'frame' dimension")
    if isinstance(roles, str) or len(roles) != stack.sizes["frame"]:
        raise ValueError(f"expected {stack.sizes['frame']} roles, found {roles!r}")
    unknown = sorted(set(roles) - set(ROLES))
    if unknown:
        raise ValueError(f"expected roles out of {', '.join(ROLES)}; found {unknown}")
    assigned = stack.assign_coords(frame=np.array([str(role) for role in roles]))
    assigned.attrs = {**stack.attrs, "roles_certain": True, "roles_reason": "assigned by hand"}
    return assigned


def brightness_of(frames: xr.DataArray) -> list[float]:
    """Return the mean counts of each frame along the first axis, from a coarse grid of pixels."""
    return _means(coarse_grid(frames))


def are_below_zero(frames: xr.DataArray) -> bool:
    """Return whether each frame along the first axis has negative values in more than a few pixels.

    Noise on the empty parts of finished pictures gives them. Of raw frames at least those with
    light have none, also where an offset has been subtracted.
    """
    return min(_means(coarse_grid(frames) < 0)) > _FEW


def coarse_grid(frames: xr.DataArray) -> xr.DataArray:
    """Return every so many pixels of frames, at least 128 along both axes, in memory."""
    stride = max(1, min(frames.shape[-2:]) // 128)
    return frames[..., ::stride, ::stride].astype(float).compute()


def _means(frames: xr.DataArray) -> list[float]:
    rest = tuple(dim for dim in frames.dims if dim != frames.dims[0])
    return [float(value) for value in frames.mean(rest).values]


def _roles_by_words(names: Sequence[str]) -> tuple[tuple[str, ...], int]:
    words = [[word for word in role_words(name) if word.rank < 2] for name in names]
    # a word that all names share (data_probe, data_dark) does not tell them apart
    if len(names) > 1:
        shared = set.intersection(
            *(
                {name[w.start : w.stop].lower() for w in each}
                for name, each in zip(names, words, strict=True)
            )
        )
        telling = [
            [w for w in each if name[w.start : w.stop].lower() not in shared]
            for name, each in zip(names, words, strict=True)
        ]
        # it does tell a name that has no other: raw, raw_back, raw_noise
        words = [own or each for own, each in zip(telling, words, strict=True)]
    return tuple(_pick(each) for each in words), max(
        (w.rank for each in words for w in each), default=0
    )


def _pick(words: Sequence[RoleWord]) -> str:
    if not words:
        return "unknown"
    best = min(word.rank for word in words)
    roles = {word.role for word in words if word.rank == best}
    return roles.pop() if len(roles) == 1 else "unknown"


def _roles_by_set(names: Sequence[str], rank: int) -> tuple[str, ...] | None:
    """Return roles by letters A, B, C (rank 2) or endings -1, -2, -3 (rank 3), if all have one."""
    words = [[word for word in role_words(name) if word.rank == rank] for name in names]
    if not all(words):
        return None
    roles = tuple(each[-1].role for each in words)
    return roles if {"atoms", "probe"} <= set(roles) and len(set(roles)) == len(roles) else None


def _fits(layout: Sequence[str], brightness: Sequence[float]) -> bool:
    by_role: dict[str, list[float]] = {}
    for role, value in zip(layout, brightness, strict=True):
        by_role.setdefault(role, []).append(float(value))
    light = by_role.get("probe", []) + by_role.get("atoms", [])
    if "dark" in by_role:
        return max(by_role["dark"]) < min(light)
    if "probe" in by_role:  # atoms absorb, and leave most of the light of the whole frame
        return min(light) > 0.5 * max(light)
    return True


def _brief(layout: Sequence[str]) -> str:
    words = ["junk" if role == "unknown" else role for role in layout]
    for length in range(1, len(words)):
        times, rest = divmod(len(words), length)
        if not rest and words == words[:length] * times and times > 1:
            return f"{times} times ({', '.join(words[:length])})"
    return ", ".join(words)
