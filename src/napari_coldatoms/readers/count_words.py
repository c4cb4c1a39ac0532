"""What the names of columns and arrays tell about them."""

from __future__ import annotations

import re

COUNTS, BIN, OCCURRENCES, NUMBER = "counts", "bin", "occurrences", "number"
PREPARED, SITE, INDEX, TIME, OTHER = "prepared", "site", "index", "time", "other"

_WORDS = {
    COUNTS: """
        counts count photon_counts photon_count photoncounts spcm_counts spcm clicks click
        detections n_photons num_photons n_counts pmt_counts pmt
    """,
    # the abscissa of a histogram, or plain counts
    BIN: "n bin bins bin_center photons photon photon_number",
    OCCURRENCES: """
        occurrences occurrence occurences occurence events event n_events hits
        number_of_shots number_of_events n_shots num_shots n_occurrences
    """,
    # how often, or the number of the shot, or what is scanned
    NUMBER: "number num shots frequency frequencies freq",
    PREPARED: """
        prepared prepared_atoms prepared_atom_number prepared_number atoms_prepared atoms atom
        atom_number n_atoms n_atom natoms num_atoms number_of_atoms loaded loaded_atoms
        atoms_loaded
    """,
    SITE: "site sites site_index site_id tweezer trap roi detector channel qubit ion",
    INDEX: """
        index idx shot shot_number shot_index shot_id shot_no run run_number trial rep repetition
        repeat experiment iteration i id sequence row unnamed_0 nr no
    """,
    TIME: """
        time times timestamp timestamps date datetime t time_s time_ms t_s t_ms elapsed
        elapsed_time unix_time epoch clock
    """,
}
_ROLES = {word: role for role, text in _WORDS.items() for word in text.split()}

_CONTROL = re.compile(
    r"(?:(?:atoms?|controls?|ctrl|prepared|n_?atoms?|loaded|calibration)_?(?:counts?_?)?(\d{1,2})"
    r"|(?:counts?_?|controls?_?)?(\d{1,2})_?atoms?(?:_?counts?)?"
    r"|counts?_(?:atoms?|prepared|n)_?(\d{1,2}))"
)


def role_of_column(name: str) -> str:
    """Return what a column or array with this name holds, as far as the name tells."""
    plain = _plain(name)
    numbered = re.fullmatch(r"(.*[a-z])_?\d+", plain)
    # counts_1, site_2: one column for each
    if numbered and _ROLES.get(numbered[1].rstrip("_")) in (COUNTS, SITE):
        return COUNTS
    return _ROLES.get(plain, OTHER)


def control_number(name: str) -> int | None:
    """Return the prepared atom number in a name such as ``atoms_1``, ``control_2``, ``2 atoms``."""
    match = _CONTROL.fullmatch(_plain(name))
    return int(next(part for part in match.groups() if part)) if match else None


def _plain(name: str) -> str:
    """Return a name in lower case, without units, its words joined by underscores."""
    text = re.sub(r"\([^)]*\)|\[[^]]*\]", " ", name)
    # nAtoms, photonCounts
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", text).lower().replace("#", " number ")
    return re.sub(r"[^a-z0-9]+", "_", text).strip("_")
