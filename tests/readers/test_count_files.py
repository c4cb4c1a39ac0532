from __future__ import annotations

import h5py
import numpy as np
import pytest

from napari_coldatoms.readers import (
    COUNT_SUFFIXES,
    CountSeries,
    ReadError,
    is_count_file,
    read,
    read_counts,
)

RNG = np.random.default_rng(11)
COUNTS = RNG.poisson(15, 400)
PREPARED = RNG.integers(0, 3, 400)
CONTROLS = RNG.poisson(np.array([1, 15, 29])[PREPARED])
# a mixture of dark and bright shots
HISTOGRAM = np.bincount(np.concatenate([RNG.poisson(1, 300), RNG.poisson(15, 700)]))
N = np.arange(len(HISTOGRAM))


def lines(*columns, header="", separator=","):
    rows = [separator.join(map(str, row)) for row in zip(*columns, strict=True)]
    return "\n".join([header] * bool(header) + rows) + "\n"


@pytest.fixture
def file(tmp_path):
    def write(content, name="a.csv"):
        path = tmp_path / name
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        elif path.suffix == ".npy":
            np.save(path, content)
        elif path.suffix == ".npz":
            np.savez(path, **content)
        else:
            with h5py.File(path, "w") as h5:
                for key, values in content.items():
                    h5[key] = values
        return path

    return write


def only(path, **options) -> CountSeries:
    (series,) = read_counts(path, **options).series
    return series


def failing(path, **options) -> str:
    with pytest.raises(ReadError) as caught:
        read_counts(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: expected ")
    assert ", found " in message
    assert "\n" not in message
    assert not is_count_file(path) or options
    return message


def check_counts(series, counts, prepared=None):
    assert series.counts.dtype == np.int64
    np.testing.assert_array_equal(series.counts, counts)
    assert series.histogram is None
    assert series.shots == len(counts)
    if prepared is None:
        assert series.prepared is None
    else:
        np.testing.assert_array_equal(series.prepared, prepared)


def check_histogram(series, n, occurrences):
    assert series.counts is None
    assert all(each.dtype == np.int64 for each in series.histogram)
    np.testing.assert_array_equal(series.histogram, (n, occurrences))
    assert series.shots == sum(occurrences)
    assert series.data is series.histogram


# one column


@pytest.mark.parametrize("name", ["a.csv", "a.txt", "a.dat", "a.tsv"])
@pytest.mark.parametrize(
    ("header", "called"),
    [("", "a"), ("counts\n", "counts"), ("my SPCM\n", "my SPCM"), ("# made today\n", "a")],
)
def test_one_column(file, name, header, called):
    path = file(header + lines(COUNTS), name)
    read = read_counts(path)
    assert read.path == path
    assert read.certain
    check_counts(read.series[0], COUNTS)
    assert read.series[0].name == called
    assert is_count_file(path)


@pytest.mark.parametrize(
    "text",
    [
        "12\r\n0\r\n7\r\n",
        "12\r0\r7\r",
        "\ufeffcounts\n12\n0\n7\n",
        "12\n\n  \n0\n\n7",
        "# a\n12\n   # b\n0 # c, 3\n% d\n7\n",
        "12.0\n0e0\n.7e1\n",
        "1.200000000000000000e+01\n0.000000000000000000e+00\n7.000000000000000000e+00\n",
        "  12\n   0\n   7\n",
        '"counts"\n"12"\n"0"\n"7"\n',
        "12,\n0,\n7,\n",
        "counts;\n12;\n0;\n7;\n",
        "12,0,7",
        "12 0 7\n",
        "12;0;7;\n",
        "Device 7: SPCM\nExposure: 3 ms\ncounts\n12\n0\n7\n",
        "date of the run 2024-01-01\nexposure 3 ms\n\n12\n0\n7\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_ways_to_write_a_column(file, text, encoding):
    path = file(text.encode(encoding), "a.txt")
    check_counts(only(path), [12, 0, 7])
    assert is_count_file(path)


def test_one_number(file):
    check_counts(only(file("5\n")), [5])


# two columns with names


@pytest.mark.parametrize(
    "name", ["atoms", "prepared", "atom_number", "n_atoms", "Loaded", "nAtoms"]
)
@pytest.mark.parametrize("separator", [",", ";", "\t", " ", ", ", "   "])
def test_prepared_atom_numbers(file, name, separator):
    path = file(lines(CONTROLS, PREPARED, header=f"counts{separator}{name}", separator=separator))
    read = read_counts(path)
    assert read.certain
    assert name in read.reason
    check_counts(read.series[0], CONTROLS, PREPARED)
    by_number = read.series[0].by_atom_number()
    assert list(by_number) == [0, 1, 2]
    for number, counts in by_number.items():
        np.testing.assert_array_equal(counts, CONTROLS[np.equal(PREPARED, number)])
    assert is_count_file(path)
    # the order of the columns does not count
    swapped = file(lines(PREPARED, CONTROLS, header=f"{name},counts"))
    check_counts(only(swapped), CONTROLS, PREPARED)


@pytest.mark.parametrize(
    "header",
    [
        "n,occurrences",
        "count,occurrences",
        "photons,frequency",
        "counts,frequency",
        "counts,events",
        "photons,number",
        "# n,occurrences",
        "n,shots",
        "bin,hits",
        "x,occurrences",
    ],
)
def test_histogram_by_names(file, header):
    path = file(lines(N, HISTOGRAM, header=header))
    read = read_counts(path)
    assert read.certain
    check_histogram(read.series[0], N, HISTOGRAM)
    assert is_count_file(path)


def test_histogram_with_columns_in_another_order(file):
    check_histogram(only(file(lines(HISTOGRAM, N, header="occurrences,n"))), N, HISTOGRAM)


def test_histogram_with_gaps_and_any_order(file):
    check_histogram(only(file("n,occurrences\n9,2\n3,5\n")), [9, 3], [2, 5])


@pytest.mark.parametrize("header", ["shot,counts", ",counts", "Shot #,counts", "run,my detector"])
def test_number_of_the_shot(file, header):
    path = file(lines(np.arange(400), COUNTS, header=header))
    read = read_counts(path)
    assert read.certain
    check_counts(read.series[0], COUNTS)
    order = RNG.permutation(400)
    check_counts(only(file(lines(order, COUNTS[order], header=header))), COUNTS)


@pytest.mark.parametrize(
    "header",
    ["n,counts", "photons,counts", "number,counts", "x,y", "x,frequency"],
)
def test_names_with_two_meanings(file, header):
    read = read_counts(file(lines(N, HISTOGRAM, header=header)))
    assert not read.certain
    assert "layout='counts'" in read.reason
    check_histogram(read.series[0], N, HISTOGRAM)
    read = read_counts(file(lines(np.arange(400), COUNTS, header=header)))
    assert not read.certain
    assert "layout='histogram'" in read.reason
    check_counts(read.series[0], COUNTS)


def test_value_counts_of_pandas(file):
    import pandas as pd

    for name in ("counts", None):
        found = pd.Series(COUNTS, name=name).value_counts()
        for table in (found, found.sort_index()):
            texts = [table.to_csv()]
            if name is None:
                texts.append(",0\n" + table.to_csv(header=False))  # as of older versions
            for text in texts:
                path = file(text)
                check_histogram(only(path), table.index, table)
                assert not read_counts(path).certain
    # the same two columns are a series with its index
    check_counts(only(file(pd.Series(COUNTS).to_csv())), COUNTS)


@pytest.mark.parametrize("header", ["index,events", "shot,events", "shot,hits"])
def test_number_of_the_shot_and_events(file, header):
    read = read_counts(file(lines(np.arange(400), COUNTS, header=header)))
    assert read.certain
    check_counts(read.series[0], COUNTS)
    check_histogram(only(file(lines(N, HISTOGRAM, header="index,events"))), N, HISTOGRAM)


@pytest.mark.parametrize("scanned", [np.linspace(10, 11, 400), np.arange(400) * 5 - 1000])
def test_scanned_frequencies_are_no_occurrences(file, scanned):
    for path in (
        file(lines(scanned, COUNTS, header="frequency,counts")),
        file({"frequency": scanned, "counts": COUNTS}, "a.npz"),
        file({"datasets/frequency": scanned, "datasets/counts": COUNTS}, "a.h5"),
    ):
        check_counts(read_counts(path).series[0], COUNTS)
        assert is_count_file(path)


def test_times_are_left_out(file):
    times = [f"2024-01-01 12:00:{i % 60:02d}" for i in range(400)]
    for values in (times, 0.01 * np.arange(400), np.arange(400) * 1000 + 1_700_000_000_000):
        read = read_counts(file(lines(values, COUNTS, header="time,counts")))
        check_counts(read.series[0], COUNTS)
        assert "left out, no counts: 'time'" in read.reason
        read = read_counts(file(lines(values, COUNTS)))
        check_counts(read.series[0], COUNTS)
        assert not read.certain


# two columns without names


def test_prepared_without_names(file):
    for columns in ((CONTROLS, PREPARED), (PREPARED, CONTROLS)):
        path = file(lines(*columns, separator=" "), "a.txt")
        read = read_counts(path)
        assert not read.certain
        assert "prepared" in read.reason
        assert "layout='counts'" in read.reason
        check_counts(read.series[0], CONTROLS, PREPARED)
        assert is_count_file(path)
    # one atom number only
    check_counts(only(file(lines(COUNTS, COUNTS * 0 + 1))), COUNTS, COUNTS * 0 + 1)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("shots", [100, 3000])
def test_histogram_or_number_of_the_shot(file, seed, shots):
    """Mixtures as in the paper, where both columns are mere numbers."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.choice([1, 15, 29], shots, p=[0.2, 0.5, 0.3]))
    occurrences = np.bincount(counts)
    n = np.arange(len(occurrences))
    for keep in (n >= 0, occurrences > 0):
        read = read_counts(file(lines(n[keep], occurrences[keep])))
        check_histogram(read.series[0], n[keep], occurrences[keep])
        assert not read.certain
    for first in (0, 1):
        read = read_counts(file(lines(np.arange(shots) + first, counts)))
        check_counts(read.series[0], counts)
        assert not read.certain


def test_two_detectors_without_names(file):
    other = RNG.poisson(12, 400)
    read = read_counts(file(lines(COUNTS, other)))
    assert not read.certain
    for series, counts in zip(read.series, (COUNTS, other), strict=True):
        check_counts(series, counts)


# what is forced


def test_forced_layouts(file):
    path = file(lines(N, HISTOGRAM))
    check_histogram(only(path, layout="histogram"), N, HISTOGRAM)
    check_counts(only(path, layout="counts"), HISTOGRAM)
    assert read_counts(path, layout="counts").certain
    path = file(lines(CONTROLS, PREPARED))
    check_counts(only(path, layout="prepared"), CONTROLS, PREPARED)
    first, second = read_counts(path, layout="counts").series
    check_counts(first, CONTROLS)
    check_counts(second, PREPARED)
    path = file(lines(CONTROLS, PREPARED, header="counts,atoms"))
    assert len(read_counts(path, layout="counts").series) == 2
    path = file(lines(CONTROLS, PREPARED, header="one,other"))
    check_counts(only(path, layout="prepared"), CONTROLS, PREPARED)
    path = file(lines(N, HISTOGRAM, header="one,other"))
    check_histogram(only(path, layout="histogram"), N, HISTOGRAM)
    assert "two columns" in failing(file(lines(COUNTS)), layout="histogram")
    assert "two columns" in failing(file(lines(COUNTS)), layout="prepared")
    with pytest.raises(ValueError, match="expected a layout"):
        read_counts(path, layout="other")


# more columns


def test_several_detectors(file):
    other = RNG.poisson(12, 400)
    path = file(lines(np.arange(400), COUNTS, other, header="shot,counts_1,counts_2"))
    read = read_counts(path)
    assert read.certain
    assert [series.name for series in read.series] == ["counts_1", "counts_2"]
    check_counts(read.series[0], COUNTS)
    check_counts(read.series[1], other)
    assert is_count_file(path)
    path = file(lines(COUNTS, other, PREPARED, header="det a,det b,atoms"))
    for series, counts in zip(read_counts(path).series, (COUNTS, other), strict=True):
        check_counts(series, counts, PREPARED)


def test_sites_as_columns(file):
    counts = RNG.poisson(15, (50, 9))
    path = file(lines(*counts.T, header=",".join(f"site {i}" for i in range(9))))
    read = read_counts(path)
    assert read.certain
    assert [series.name for series in read.series] == [f"site {i}" for i in range(9)]
    np.testing.assert_array_equal([series.counts for series in read.series], counts.T)
    assert is_count_file(path)


@pytest.mark.parametrize("label", ["{}", "A{}"])
@pytest.mark.parametrize("order", ["site", "shot", "mixed"])
def test_a_row_for_each_site_and_shot(file, label, order):
    counts = RNG.poisson(15, (50, 4))
    shot, site = (each.ravel() for each in np.indices((50, 4)))
    values = counts.ravel()
    rows = {
        "shot": np.arange(200),
        "site": np.argsort(site, kind="stable"),
        "mixed": np.random.default_rng(0).permutation(200),
    }[order]
    columns = (shot[rows], [label.format(i) for i in site[rows]], values[rows])
    path = file(lines(*columns, header="shot,site,counts"))
    read = read_counts(path)
    assert read.certain
    found = {series.name: series.counts for series in read.series}
    assert set(found) == {f"site {label.format(i)}" for i in range(4)}
    for i in range(4):
        np.testing.assert_array_equal(found[f"site {label.format(i)}"], counts[:, i])
    assert is_count_file(path)


def test_controls_as_columns(file):
    text = "atoms_0,atoms_1,2 atoms,sample\n1,14,30,3\n0,17,28,4\n,15,,5\n,,,6\n"
    read = read_counts(file(text))
    controls, sample = read.series
    assert controls.name == "controls"
    check_counts(controls, [1, 0, 14, 17, 15, 30, 28], [0, 0, 1, 1, 1, 2, 2])
    check_counts(sample, [3, 4, 5, 6])
    assert "atom numbers" in read.reason


def test_histograms_of_controls(file):
    read = read_counts(file("n,atoms_0,atoms_1\n0,80,5\n1,20,15\n2,0,30\n"))
    (series,) = read.series
    by_number = series.by_atom_number()
    np.testing.assert_array_equal(by_number[0], ([0, 1, 2], [80, 20, 0]))
    np.testing.assert_array_equal(by_number[1], ([0, 1, 2], [5, 15, 30]))
    tidy = read_counts(file("atoms,n,occurrences\n0,0,80\n0,1,20\n1,0,5\n1,1,15\n1,2,30\n"))
    assert tidy.certain
    np.testing.assert_array_equal(tidy.series[0].by_atom_number()[1], ([0, 1, 2], [5, 15, 30]))
    assert tidy.series[0].shots == 150


def test_atom_numbers_of_plain_counts(file):
    with pytest.raises(ValueError, match="expected prepared atom numbers"):
        only(file("1\n2\n")).by_atom_number()


def test_other_columns_are_left_out(file):
    read = read_counts(file(lines(COUNTS, COUNTS / 7, header="counts,voltage")))
    check_counts(read.series[0], COUNTS)
    assert read.certain
    assert "'voltage'" in read.reason


def test_results_are_no_counts(file):
    """A table of fits has whole numbers, too; it must not open as counts."""
    text = lines(range(5), range(5), COUNTS[:5] / 7, COUNTS[:5] / 9, header="shot,label,x0,width")
    assert not is_count_file(file(text))
    shots = lines(range(5), COUNTS[:5], [0, 1, 1, 0, 2], header="shot,counts,called")
    assert not is_count_file(file(shots))
    assert not is_count_file(file("index,axis-0,axis-1\n0,3.0,4.0\n"))
    assert "a layer of napari" in failing(file("index,axis-0,axis-1\n0,3.0,4.0\n"))


def test_result_files_are_no_counts(tmp_path):
    path = tmp_path / "shots.h5"
    with h5py.File(path, "w") as saved:
        saved["table/counts"] = COUNTS
        saved["table/shot"] = np.arange(len(COUNTS))
    assert is_count_file(path)
    with h5py.File(path, "a") as saved:
        saved.attrs["format"] = "napari-coldatoms table 1"
    assert not is_count_file(path)


def test_matrices_may_be_pictures(file):
    path = file(lines(*RNG.poisson(9, (20, 30)), separator="\t"), "a.txt")
    assert not is_count_file(path)
    read = read_counts(path)
    assert not read.certain
    assert len(read.series) == 20


# errors


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("counts\n1\n2\n-3\n4\n", ["'-3' in line 4"]),
        ("# a\n\n1\n2.5\n4\n", ["'2.5' in line 4"]),
        ("1\nnan\n", ["'nan' in line 2"]),
        ("1\ninf\n", ["'inf' in line 2"]),
        ("nan\n1\n", ["'nan' in line 1"]),
        ("counts\n1\nabc\n", ["'abc' in line 3"]),
        ("counts\nabc\n1\n", ["'abc' in line 2"]),
        ("1\n99999999999999999999999\n", ["line 2", "more than"]),
        ("1\n1e400\n", ["'1e400' in line 2"]),
        ("counts,atoms\n1,0\n2,-1\n" + "3,1\n" * 20, ["'-1' in line 3 of 'atoms'"]),
        ("counts,atoms\n1,0\n2,\n", ["an empty cell in line 3 of 'atoms'"]),
        ("counts,atoms\n,0\n2,1\n", ["an empty cell in line 2 of 'counts'"]),
        ("n,occurrences\n0,0.25\n1,0.75\n", ["'0.25' in line 2", "number of shots is lost"]),
        ("photons,frequency\n0,0.25\n1,0.75\n", ["'0.25' in line 2", "number of shots is lost"]),
        ("n,share\n0,0.25\n1,0.75\n", ["'0.25' in line 2", "number of shots is lost"]),
        ("n,occurrences\n0,0\n1,0\n", ["at least one shot"]),
        ("1,2\n3,4,5\n", ["2 cell(s)", "3 in line 2"]),
        ("1,2,3\n4,5,6\n7,,9\n", ["an empty cell in line 3 of 'column 2'"]),
        ("12,5;1\n13,0;0\n", ["decimal commas", "'12,5' in line 1"]),
        ("counts\n12,0\n13,0\n", ["decimal commas"]),
        ("12,0\n13,0\n", ["decimal commas"]),
        ("12,0 1,0\n13,0 0,0\n", ["decimal commas"]),
        ("counts\n", ["no numbers"]),
        ("\n\n", ["no numbers"]),
        ("# only this\n", ["no numbers"]),
        ("", ["an empty file"]),
        ("Exposure: 3 ms\nnothing else\n", ["text ('Exposure: 3 ms"]),
        ("True\nFalse\n", ["no numbers"]),
    ],
)
def test_wrong_text(file, text, words):
    message = failing(file(text))
    for word in words:
        assert word in message


@pytest.mark.parametrize("suffix", COUNT_SUFFIXES)
@pytest.mark.parametrize(
    "content",
    [b"", b"\x89PNG\r\n\x1a\n" + bytes(200), b"Exposure: 3 ms\nnothing\n", bytes(range(256)) * 9],
)
def test_foreign_content(file, suffix, content):
    failing(file(content, f"a{suffix}"))


def test_missing_files_and_suffixes(tmp_path, file):
    assert "nothing of this name" in failing(tmp_path / "no.csv")
    assert "a folder" in failing(tmp_path)
    assert "*.csv" in failing(file("1\n2\n", "a.docx"))


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_truncated_files(file, suffix):
    content = {"counts": COUNTS} if suffix != ".npy" else COUNTS
    path = file(content, f"a{suffix}")
    whole = path.read_bytes()
    for part in (0.1, 0.5, 0.9):
        path.write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(ReadError):
            read_counts(path)


# npy and npz


@pytest.mark.parametrize("dtype", ["u1", ">i4", "i8", "f4", "f8"])
def test_npy(file, dtype):
    path = file(COUNTS.astype(dtype), "a.npy")
    read = read_counts(path)
    assert read.certain
    check_counts(read.series[0], COUNTS)
    assert read.series[0].name == "a"
    assert is_count_file(path)


@pytest.mark.parametrize("shape", [(1, 400), (400, 1)])
def test_npy_with_an_axis_of_length_one(file, shape):
    path = file(COUNTS.reshape(shape), "a.npy")
    check_counts(only(path), COUNTS)
    assert not is_count_file(path)


@pytest.mark.parametrize("transposed", [False, True])
def test_npy_with_two_columns(file, transposed):
    def table(*columns):
        array = np.stack(columns, axis=1)
        return file(array.T if transposed else array, "a.npy")

    read = read_counts(table(CONTROLS, PREPARED))
    assert not read.certain
    check_counts(read.series[0], CONTROLS, PREPARED)
    check_histogram(only(table(N, HISTOGRAM)), N, HISTOGRAM)
    check_counts(only(table(np.arange(400), COUNTS)), COUNTS)
    check_counts(only(table(N, HISTOGRAM), layout="counts"), HISTOGRAM)


def test_wrong_arrays(file):
    for values, words in (
        (np.array([1, 2, -3]), "-3 in index 2"),
        (np.array([1, np.nan]), "nan in index 1"),
        (np.array([0.5, 1]), "0.5 in index 0"),
        (np.zeros((4, 5, 6)), "shape (4, 5, 6)"),
        (np.zeros(0), "shape (0,)"),
        (np.zeros(4, dtype=complex), "complex128"),
        (np.array(["a"]), "type <U1"),
    ):
        assert words in failing(file(values, "a.npy"))


def test_pickles_are_never_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("a pickle was opened",))

    bombs = np.array([Bomb()], dtype=object)
    np.save(tmp_path / "a.npy", bombs, allow_pickle=True)
    np.savez(tmp_path / "b.npz", counts=bombs)
    for name in ("a.npy", "b.npz"):
        assert "never opened" in failing(tmp_path / name)


def test_npz(file):
    path = file(
        {"detuning": np.linspace(0, 1, 400), "counts": COUNTS, "dark": COUNTS[:9], "note": "x"},
        "a.npz",
    )
    read = read_counts(path)
    assert [series.name for series in read.series] == ["counts", "dark"]
    assert "'detuning'" in read.reason
    check_counts(read.series[0], COUNTS)
    check_counts(read.series[1], COUNTS[:9])
    assert is_count_file(path)


def test_npz_of_things_that_belong_together(file):
    check_counts(
        only(file({"counts": CONTROLS, "prepared": PREPARED}, "a.npz")), CONTROLS, PREPARED
    )
    check_histogram(only(file({"n": N, "occurrences": HISTOGRAM}, "a.npz")), N, HISTOGRAM)
    by_number = {i: CONTROLS[np.equal(PREPARED, i)] for i in range(3)}
    for name in ("atoms_{}", "control_{}", "counts_{}_atoms", "atoms{}"):
        path = file({name.format(i): by_number[i] for i in (2, 0, 1)} | {"test": COUNTS}, "a.npz")
        controls, test = read_counts(path).series
        check_counts(test, COUNTS)
        found = controls.by_atom_number()
        assert list(found) == [0, 1, 2]
        for i in range(3):
            np.testing.assert_array_equal(found[i], by_number[i])
        assert is_count_file(path)


def test_npz_with_a_wrong_count(file):
    counts = COUNTS.astype(float)
    counts[7] = np.nan
    for name in ("counts", "left"):
        with pytest.raises(ReadError, match=f"nan in index 7 of '{name}'"):
            read_counts(file({name: counts}, "a.npz"))
    assert "none in it" in failing(file({"pictures": np.ones((20, 20))}, "a.npz"))


# HDF5


@pytest.mark.parametrize("suffix", [".h5", ".hdf5", ".hdf"])
def test_plain_hdf5(file, suffix):
    content = {
        "run/spcm/counts": COUNTS,
        "run/spcm/atoms": PREPARED,
        "run/detuning": np.linspace(0, 1, 7),
    }
    path = file(content, f"a{suffix}")
    read = read_counts(path)
    check_counts(read.series[0], COUNTS, PREPARED)
    assert "'detuning'" in read.reason
    assert is_count_file(path)


def test_hdf5_groups_stay_apart(file):
    other = RNG.poisson(12, 400)
    read = read_counts(file({"left/counts": COUNTS, "right/counts": other}, "a.h5"))
    assert {series.name for series in read.series} == {"left/counts", "right/counts"}


@pytest.mark.parametrize("dummy", [0, 9])
def test_artiq(file, dummy):
    content = {
        "artiq_version": "8.0",
        "rid": 1234,
        "expid": "{}",
        "archive/settings": np.arange(3),
        "datasets/spcm_counts": np.concatenate([[dummy], COUNTS]),
        "datasets/frequency_MHz": np.linspace(384.1, 385, 401),
        "datasets/threshold": 8,
    }
    path = file(content, "000001234-Run.h5")
    read = read_counts(path)
    check_counts(read.series[0], COUNTS)
    assert "dummy" in read.reason
    assert read.certain == (dummy == 0)
    assert is_count_file(path)
    # the same without the marks of ARTIQ
    plain = file({"datasets/spcm_counts": COUNTS}, "b.h5")
    check_counts(only(plain), COUNTS)


def test_artiq_datasets_that_were_not_filled_up(file):
    values = np.concatenate([[np.nan], COUNTS, np.full(30, np.nan)])
    path = file({"rid": 1, "expid": "{}", "datasets/counts": values}, "a.h5")
    read = read_counts(path)
    check_counts(read.series[0], COUNTS)
    assert read.certain
    assert "never filled" in read.reason
    path = file({"rid": 1, "datasets/ndscan.rid_1.points.channel_counts": COUNTS}, "a.h5")
    check_counts(only(path), COUNTS)


def test_labscript(file):
    trace = np.zeros(400, dtype=[("t", "f8"), ("values", "f8")])
    trace["values"] = COUNTS
    content = {
        "data/traces/counter": trace,
        "results/count_photons/bright": COUNTS[::-1].copy(),
        "devices/board/PULSES": np.arange(5),
        "globals/x": 1,
    }
    path = file(content, "shot.h5")
    bright = only(path)
    assert bright.name == "bright"
    check_counts(bright, COUNTS[::-1])
    assert "'counter'" in read_counts(path).reason
    content.pop("results/count_photons/bright")
    path = file(content, "shot2.h5")
    check_counts(only(path), COUNTS)
    assert is_count_file(path)


def test_hdf5_without_counts(file):
    assert "none in it" in failing(file({"a": np.ones((20, 20))}, "a.h5"))
    assert "in index 0 of 'x'" in failing(file({"x": np.linspace(0.1, 1, 9)}, "a.h5"))


# pictures stay pictures


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5", ".tif", ".fits"])
@pytest.mark.parametrize("shape", [(40, 50), (3, 40, 50), (2, 3, 40, 50), (400, 8), (8, 400)])
def test_pictures_are_no_counts(tmp_path, suffix, shape, write_fits):
    import tifffile

    data = RNG.poisson(9, shape).astype(np.uint16)
    path = tmp_path / f"a{suffix}"
    if suffix == ".npy":
        np.save(path, data)
    elif suffix == ".npz":
        np.savez(path, images=data, counts=COUNTS)
    elif suffix == ".h5":
        with h5py.File(path, "w") as h5:
            h5["data/images"] = data
            h5["counts"] = COUNTS
    elif suffix == ".tif":
        tifffile.imwrite(path, data, photometric="minisblack")
    else:
        write_fits(path, data)
    assert not is_count_file(path)
    assert read(path)


@pytest.mark.parametrize("shape", [(20, 2), (2, 20), (1, 20)])
def test_narrow_pictures_in_npy_are_read_as_before(tmp_path, shape):
    np.save(tmp_path / "a.npy", np.ones(shape, dtype=np.uint16))
    assert not is_count_file(tmp_path / "a.npy")
    assert read(tmp_path / "a.npy")


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".h5"])
def test_what_is_taken_for_counts_is_no_picture(file, suffix):
    path = file(COUNTS if suffix == ".npy" else {"counts": COUNTS}, f"a{suffix}")
    assert is_count_file(path)
    with pytest.raises(ReadError):
        read(path)


def test_labscript_shots_with_pictures_are_no_counts(file):
    content = {
        "globals/x": 1,
        "images/side/absorption/atoms": np.ones((5, 6)),
        "data/counts": COUNTS,
    }
    assert not is_count_file(file(content, "shot.h5"))


def test_large_files_are_only_looked_into(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text("counts\n" + "12\n" * 200_000)
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda self: pytest.fail("read as a whole"))
    assert is_count_file(path)
    path.write_text(",".join(["12"] * 200_000))
    assert is_count_file(path)
