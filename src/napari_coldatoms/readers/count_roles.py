"""Which column of a table is what: by the names, or by the values where they tell nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

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
    if len(kept) == 1 and words.role_of_column(kept[0].name) == words.BIN and others:
        # n alone is no series of counts: what is beside it should be the occurrences
        beside = [column for column in others if words.role_of_column(column.name) != words.TIME]
        if beside and len(kept[0].name) < 4:
            beside[0].whole(what="occurrences")
    return kept, others


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
        return _with_bins(roles, names)
    if layout is None and len(left) > 1:
        return _perhaps_histogram(roles, names)
    return roles


def _with_bins(roles: Roles, names: Sequence[str]) -> Roles:
    """Choose the column with the n of a histogram."""
    for wanted in (words.BIN, words.COUNTS, words.OTHER, words.NUMBER):
        for column, role in zip(roles.values, names, strict=True):
            if role == wanted and len(roles.values) > 1:
                left = [each for each in roles.values if each is not column]
                return replace(roles, values=left, bins=column, reason="a histogram, by its names")
    if roles.index is not None:
        return replace(roles, bins=roles.index, index=None, reason="a histogram, by its names")
    return roles


def _perhaps_histogram(roles: Roles, names: Sequence[str]) -> Roles:
    """Find out whether names such as "n, counts" and "counts, number" mean a histogram."""
    first, second = roles.values[:2]
    if len(first.values) < 2 or not rises(first.values):
        return roles
    if names[:2] in (["counts", "number"], ["bin", "number"]):
        return replace(
            roles, values=roles.values[1:], bins=first, reason="a histogram, by its names"
        )
    # of columns with other names only a curve is taken for a histogram
    unknown = set(names) == {words.OTHER} and len(names) == 2 and len(first.values) >= 6
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
