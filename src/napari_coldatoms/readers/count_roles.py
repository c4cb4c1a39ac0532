"""Which column of a table is what: by the names, or by the values where they tell nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from napari_coldatoms.readers import count_words as words
from napari_coldatoms.readers.count_meaning import Guess, Layout, guess_meaning, rises
from napari_coldatoms.readers.count_series import Column

_TELLING = (words.COUNTS, words.BIN, words.OCCURRENCES)


@dataclass(frozen=True, eq=False)
class Roles:
    """Which column is what, and why.

    Attributes
    ----------
    values : list of Column
        Counts of each shot; with `bins` the occurrences.
    bins, prepared, site, index : Column or None
        The n of a histogram, the prepared atom number, the site, the number of the shot.
    certain : bool
    reason : str
    """

    values: list[Column]
    bins: Column | None = None
    prepared: Column | None = None
    site: Column | None = None
    index: Column | None = None
    certain: bool = True
    reason: str = "counts of each shot"


def is_telling(name: str) -> bool:
    """Tell whether a name says that there are counts."""
    return words.role_of_column(name) in _TELLING or words.control_number(name) is not None


def usable(columns: Sequence[Column], *, named: bool = True) -> tuple[list[Column], list[Column]]:
    """Sort columns into those that may be counts (or tell about them), and others.

    Raises
    ------
    ReadError
        A column that says it holds counts, or does so in nine of ten rows, holds something else in
        one of them.
    """
    kept: list[Column] = []
    others: list[Column] = []
    for column in columns:
        role = words.role_of_column(column.name)
        what = "occurrences" if role == words.OCCURRENCES else "counts"
        if role == words.TIME and len(columns) > 1:
            others.append(column)
        elif role == words.SITE and len(columns) > 1:
            kept.append(column)
        elif column.filled and (
            (named and is_telling(column.name))
            or column.unfit < 0.1
            or (not named and column.has_gaps)
        ):
            column.whole(column.filled, what)
            kept.append(column)
        else:
            others.append(column)
    if len(kept) == 1 and others and rises(kept[0].values):
        _refuse_shares(kept[0], others)
    return kept, others


def _refuse_shares(column: Column, others: Sequence[Column]) -> None:
    """Refuse a histogram whose occurrences are shares: left alone, its n would pass for counts."""
    if words.role_of_column(column.name) not in (words.BIN, words.COUNTS):
        return
    beside = [other for other in others if words.role_of_column(other.name) != words.TIME]
    for other in beside:
        if words.role_of_column(other.name) == words.NUMBER or column.name.lower() in ("n", "bin"):
            other.whole(what="occurrences")


def roles_by_name(columns: Sequence[Column], layout: Layout | None) -> Roles:
    """Tell columns apart by their names; those whose names tell nothing hold counts."""
    left = list(columns)

    def take(role: str) -> Column | None:
        found = [column for column in left if words.role_of_column(column.name) == role]
        # something has to be the counts
        if not found or len(left) < 2:
            return None
        left.remove(found[0])
        return found[0]

    index, site = take(words.INDEX), take(words.SITE)
    while index is not None and take(words.INDEX) is not None:
        pass  # one numbering of the shots is enough
    prepared = take(words.PREPARED) if layout != "counts" else None
    if layout == "prepared" and prepared is None and len(left) > 1:
        guess = guess_meaning([column.values for column in left], "prepared")
        prepared = left.pop(guess.column)
    roles = Roles(left, None, prepared, site, index)
    names = [words.role_of_column(column.name) for column in left]
    if layout == "histogram" or (layout is None and words.OCCURRENCES in names):
        return _with_bins(roles, names, layout)
    if layout is None and len(left) > 1:
        return _perhaps_histogram(roles, names)
    if layout is None and index is not None and index.name == "index":
        return _perhaps_index_of_histogram(roles)
    return roles


def _with_bins(roles: Roles, names: Sequence[str], layout: Layout | None) -> Roles:
    """Choose the column with the n of a histogram."""
    for wanted in (words.BIN, words.COUNTS, words.OTHER, words.NUMBER):
        for column, role in zip(roles.values, names, strict=True):
            if role == wanted and len(roles.values) > 1:
                left = [each for each in roles.values if each is not column]
                return replace(roles, values=left, bins=column, reason="a histogram, by its names")
    if layout == "histogram" and roles.index is not None:
        return replace(roles, bins=roles.index, index=None, reason="a histogram, by its names")
    return _perhaps_index_of_histogram(roles) if roles.index is not None else roles


def _perhaps_index_of_histogram(roles: Roles) -> Roles:
    """Find out whether the index that pandas writes is the n of a histogram."""
    index = roles.index
    if index is None or len(roles.values) > 1:
        return roles
    n, values = index.values, roles.values[0].values
    if rises(n):
        guess = guess_meaning([n, values])
        found, reason = guess.meaning == "histogram", guess.reason
    else:
        # sorted by how often each n occurs
        found = len(np.unique(n)) == len(n) and bool(np.all(np.diff(values.astype(float)) <= 0))
        reason = (
            f"{roles.values[0].name!r} falls: a histogram that was sorted; it could be counts of "
            "shots that were sorted (layout='counts')"
        )
    if not found:
        return roles
    return replace(roles, bins=index, index=None, certain=False, reason=reason)


def _perhaps_histogram(roles: Roles, names: Sequence[str]) -> Roles:
    """Find out whether names such as "n, counts" and "counts, number" mean a histogram."""
    first, second = roles.values[:2]
    if len(first.values) < 2 or len(np.unique(first.values)) < len(first.values):
        return roles
    abscissa = names[0] in (words.BIN, words.COUNTS)
    if abscissa and names[1] == words.NUMBER and rises(first.values):
        return replace(
            roles, values=roles.values[1:], bins=first, reason="a histogram, by its names"
        )
    # what pandas.Series.value_counts() gives
    if abscissa and len(names) == 2 and second.name == "count" and first.name != "count":
        return replace(
            roles,
            values=[second],
            bins=first,
            certain=False,
            reason=f"no value of {first.name!r} occurs twice: a histogram with the number of "
            "shots in 'count'; it could be counts of two detectors (layout='counts')",
        )
    if not rises(first.values):
        return roles
    # of columns with other names only a curve is taken for a histogram
    unknown = len(names) == 2 and len(first.values) >= 6 and names[0] == words.OTHER
    unknown = unknown and names[1] in (words.OTHER, words.NUMBER)
    if names[0] not in (words.BIN, words.NUMBER) and not unknown:
        return roles
    return _as_guessed(roles, guess_meaning([first.values, second.values]))


def roles_by_value(columns: Sequence[Column], layout: Layout | None) -> Roles:
    """Tell two or more columns without names apart by their values."""
    guess = guess_meaning([column.values for column in columns], layout)
    return _as_guessed(Roles(list(columns)), guess)


def _as_guessed(roles: Roles, guess: Guess) -> Roles:
    roles = replace(roles, certain=guess.certain, reason=guess.reason)
    first, rest = roles.values[0], roles.values[1:]
    if guess.meaning == "histogram":
        return replace(roles, values=rest, bins=first)
    if guess.meaning == "index":
        return replace(roles, values=rest, index=first)
    if guess.meaning == "prepared":
        chosen = roles.values[guess.column]
        others = [column for column in roles.values if column is not chosen]
        return replace(roles, values=others, prepared=chosen)
    return roles
