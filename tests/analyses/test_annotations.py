"""What was painted: kept, counted, rescued, saved and exported, without a window."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
import tifffile

from napari_coldatoms.analyses.annotation_recovery import (
    ImageKey,
    RecoveryFile,
    Unsaved,
    find_unsaved,
    read_unsaved,
    set_aside,
)
from napari_coldatoms.analyses.annotation_seeds import (
    Seed,
    add_seeds,
    apply_rule,
    seeds_of_labels,
)
from napari_coldatoms.analyses.annotation_shots import (
    export_tiff,
    load_notes,
    origins,
    save_notes,
)
from napari_coldatoms.analyses.annotations import Annotations, LabelPatch, ShotNotes
from napari_coldatoms.clouds.annotations import open_set
from napari_coldatoms.clouds.gaussian import Gaussian2D
from napari_coldatoms.clouds.patch import Patch
from napari_coldatoms.images.stack import make_stack

SHAPE = (40, 50)


def disc(y: float, x: float, radius: float, shape=SHAPE) -> np.ndarray:
    rows, columns = np.indices(shape)
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def painted(*discs) -> np.ndarray:
    labels = np.zeros(SHAPE, np.uint16)
    for number, each in enumerate(discs, 1):
        labels[disc(*each)] = number
    return labels


@pytest.fixture
def stack():
    rng = np.random.default_rng(1)
    pictures = rng.normal(0, 0.02, (5, *SHAPE))
    return make_stack(pictures, name="series", attrs={"source": "/data/series.h5"})


@pytest.fixture
def notes() -> Annotations:
    made = Annotations((5, *SHAPE), ["MOT", "ODT"])
    made.paint((1,), "MOT", painted((10, 10, 4), (25, 30, 6)))
    made.paint((1,), "ODT", painted((10, 12, 3)))
    made.paint((3,), "MOT", painted((20, 20, 5)))
    made.set_empty((4,), True)
    return made


def test_a_patch_holds_what_was_painted_and_nothing_else() -> None:
    labels = painted((10, 10, 4), (25, 30, 6)) * np.uint16(7)
    patch = LabelPatch.of(labels)
    assert patch.numbers == (7, 14)
    assert patch.pixels.shape == (26, 31)
    np.testing.assert_array_equal(patch.on(SHAPE), labels)
    labels[:] = 0  # the layer goes on to change
    assert patch.numbers == (7, 14)
    assert LabelPatch.of(labels) is None


def test_labels_beyond_16_bits_get_other_numbers_but_stay_apart() -> None:
    labels = np.zeros(SHAPE, np.int64)
    labels[disc(10, 10, 4)], labels[disc(30, 30, 4)], labels[0, 0] = 5, 1_000_000, -3
    patch = LabelPatch.of(labels)
    assert len(patch.numbers) == 2
    again = patch.on(SHAPE)
    np.testing.assert_array_equal(again > 0, labels > 0)
    assert again[10, 10] != again[30, 30]


def test_notes_tell_what_is_new_done_and_unsaved(notes) -> None:
    assert notes.unsaved == ((1,), (3,), (4,))
    assert notes.done() == 3
    assert notes.counts((1,)) == {"MOT": 2, "ODT": 1}
    assert not notes.paint((1,), "ODT", painted((10, 12, 3)))
    assert not notes.paint((0,), "MOT", painted())
    assert notes.unsaved == ((1,), (3,), (4,))
    with pytest.raises(ValueError, match=r"expected labels of 40 x 50 pixels, found 40 x 49"):
        notes.paint((0,), "MOT", np.zeros((40, 49), int))
    with pytest.raises(ValueError, match="erase them first"):
        notes.set_empty((1,), True)
    # what is painted in an empty shot takes the word back
    notes.paint((4,), "MOT", painted((5, 5, 2)))
    assert not notes.notes((4,)).empty


def test_a_shot_that_changes_while_it_is_saved_stays_unsaved(notes) -> None:
    under_way = notes.unsaved_notes()
    notes.paint((3,), "MOT", painted((20, 20, 6)))
    notes.saved(under_way)
    assert notes.unsaved == ((3,),)


def test_the_next_open_shot_comes_round(notes) -> None:
    assert notes.next_open((1,)) == (2,)
    assert notes.next_open((2,)) == (0,)
    assert notes.next_open((2,), -1) == (0,)
    assert notes.next_open((0,), -1) == (2,)
    assert notes.next_open((-1,)) == (0,)
    for shot in ((0,), (2,)):
        notes.set_empty(shot, True)
    assert notes.next_open((2,)) is None


def test_classes_are_renamed_with_their_clouds_and_removed_only_without(notes) -> None:
    notes.saved(notes.unsaved_notes())
    notes.rename_class("MOT", " bec ")
    assert notes.classes == ("bec", "ODT")
    assert notes.counts((1,)) == {"bec": 2, "ODT": 1}
    assert notes.unsaved == ((1,), (3,))
    notes.rename_class("ODT", "trap", saved=True)
    assert notes.unsaved == ((1,), (3,))
    with pytest.raises(ValueError, match="“trap” is there already"):
        notes.rename_class("bec", "trap")
    with pytest.raises(ValueError, match="found none"):
        notes.add_class("  ")
    with pytest.raises(ValueError, match=r"found clouds of “bec” in 2 shots"):
        notes.remove_class("bec")
    notes.add_class("other")
    notes.remove_class("other")
    assert notes.classes == ("bec", "trap")


def test_an_image_may_get_more_shots_but_no_other_size(notes) -> None:
    assert notes.grow((7, *SHAPE))
    assert len(list(notes.shots())) == 7
    assert not notes.grow((7, 40, 51))
    assert not notes.grow((6, *SHAPE))
    assert notes.counts((1,)) == {"MOT": 2, "ODT": 1}


# files of what was never saved


def unsaved(notes: Annotations, image: ImageKey) -> Unsaved:
    return Unsaved(image, notes.classes, notes.unsaved_notes(), "/data/set")


def test_unsaved_painting_comes_back_as_it_was(tmp_path, notes) -> None:
    image = ImageKey("series", SHAPE, "/data/séries.h5")
    file = RecoveryFile(tmp_path / "new" / "unsaved", image)
    assert file.write(unsaved(notes, image), 1)
    (path,) = find_unsaved(tmp_path / "new" / "unsaved", image)
    found = read_unsaved(path)
    assert (found.image, found.classes, found.dataset) == (image, ("MOT", "ODT"), "/data/set")
    assert found.notes.keys() == {(1,), (3,), (4,)}
    assert all(found.notes[shot].same(notes.notes(shot)) for shot in found.notes)
    # another image finds nothing, and so does the session that goes on
    assert find_unsaved(path.parent, ImageKey("series", (40, 51), "/data/séries.h5")) == []
    assert find_unsaved(path.parent, image, but=[path]) == []
    # when all is saved there is nothing to keep
    notes.saved(notes.unsaved_notes())
    file.write(unsaved(notes, image), 2)
    assert list(path.parent.iterdir()) == []


def test_painting_is_found_when_the_image_was_renamed_or_moved(tmp_path, notes) -> None:
    before, after = tmp_path / "run 1" / "series.h5", tmp_path / "run 2" / "series.h5"
    for path in (before, after):
        path.parent.mkdir()
        path.write_bytes(b"")
    folder = tmp_path / "unsaved"
    image = ImageKey("series", SHAPE, str(before))
    file = RecoveryFile(folder, image)
    file.write(unsaved(notes, image), 1)
    (folder / "damaged.npz").write_bytes(b"PK")

    def found(name: str, shape: tuple[int, int], source: object) -> list:
        return find_unsaved(folder, ImageKey(name, shape, str(source)))

    assert found("renamed", SHAPE, before) == [file.path]
    assert found("series", (40, 51), before) == []
    assert found("series", SHAPE, "") == []
    assert found("series", SHAPE, after) == []  # another run: the file painted on is still there
    link = tmp_path / "link.h5"
    link.symlink_to(before)
    assert found("series", SHAPE, link) == [file.path]
    link.unlink()
    before.unlink()
    assert found("series", SHAPE, after) == [file.path]
    assert found("series", SHAPE, tmp_path / "run 2" / "other.h5") == []


def test_older_painting_never_replaces_newer(tmp_path, notes) -> None:
    image = ImageKey("series", SHAPE, "")
    file = RecoveryFile(tmp_path, image)
    old = unsaved(notes, image)
    notes.paint((0,), "ODT", painted((30, 30, 5)))
    new = unsaved(notes, image)
    threads = [threading.Thread(target=file.write, args=(new, 100))]
    threads += [threading.Thread(target=file.write, args=(old, n)) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (0,) in read_unsaved(file.path).notes
    assert [path.name for path in tmp_path.iterdir()] == [file.path.name]


def test_a_failed_write_leaves_the_former_file(tmp_path, notes, monkeypatch) -> None:
    image = ImageKey("series", SHAPE, "")
    file = RecoveryFile(tmp_path, image)
    file.write(unsaved(notes, image), 1)
    before = file.path.read_bytes()

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    notes.paint((0,), "ODT", painted((30, 30, 5)))
    with pytest.raises(OSError, match="No space"):
        file.write(unsaved(notes, image), 2)
    assert file.path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [file.path.name]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a file", b"not a zip at all"])
def test_a_damaged_file_is_told_in_one_line(tmp_path, content) -> None:
    path = tmp_path / "x.npz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="expected unsaved painting, found a damaged file"):
        read_unsaved(path)


def test_pickled_objects_are_never_loaded(tmp_path) -> None:
    path = tmp_path / "x.npz"
    np.savez(path, about=np.array([{"a": 1}], dtype=object))
    with pytest.raises(ValueError, match="damaged file"):
        read_unsaved(path)


def test_what_is_discarded_stays_for_a_while(tmp_path, notes) -> None:
    image = ImageKey("series", SHAPE, "")
    file = RecoveryFile(tmp_path, image)
    file.write(unsaved(notes, image), 1)
    old = tmp_path / "older.discarded"
    old.write_bytes(b"")
    os.utime(old, (0, 0))
    set_aside(file.path)
    assert find_unsaved(tmp_path, image) == []
    (kept,) = tmp_path.iterdir()
    assert len(read_unsaved(kept).notes) == 3


# the dataset


def test_saved_shots_come_back_with_every_cloud(tmp_path, stack, notes) -> None:
    folder = tmp_path / "set"
    done = save_notes(folder, notes.classes, stack, notes.unsaved_notes())
    assert done.keys() == {(1,), (3,), (4,)}
    dataset = open_set(folder)
    assert dataset.classes == ("MOT", "ODT")
    assert len(dataset) == 3
    name = dataset.find("/data/series.h5", (1,))
    read = dataset.read(name)
    np.testing.assert_array_equal(read.picture, stack.values[1].astype(np.float32))
    assert sorted(read.labels) == ["MOT", "MOT", "ODT"]
    assert {mask.sum() for mask in read.masks} == {
        each.sum() for each in (disc(10, 10, 4), disc(25, 30, 6), disc(10, 12, 3))
    }
    found = load_notes(dataset, stack)
    assert found.keys() == done.keys()
    assert found[(4,)].empty
    for name in ("MOT", "ODT"):
        before = notes.notes((1,)).clouds[name].on(SHAPE)
        np.testing.assert_array_equal(found[(1,)].clouds[name].on(SHAPE), before)


def test_saving_again_replaces_and_takes_out(tmp_path, stack, notes) -> None:
    save_notes(tmp_path, notes.classes, stack, notes.unsaved_notes())
    split = {each: open_set(tmp_path).entry(each).split for each in open_set(tmp_path).names}
    notes.saved(notes.unsaved_notes())
    notes.paint((1,), "MOT", painted((10, 10, 2)))
    notes.paint((3,), "MOT", painted())
    notes.add_class("new")
    done = save_notes(tmp_path, notes.classes, stack, notes.unsaved_notes())
    assert done.keys() == {(1,), (3,)}
    dataset = open_set(tmp_path)
    assert dataset.classes == ("MOT", "ODT", "new")
    assert len(dataset) == 2
    assert dataset.find("/data/series.h5", (3,)) is None
    assert all(split[name] == dataset.entry(name).split for name in dataset.names)
    assert len(dataset.read(dataset.find("/data/series.h5", (1,))).labels) == 2


def test_cancel_keeps_what_was_written(tmp_path, stack, notes) -> None:
    seen: list[int] = []
    done = save_notes(
        tmp_path,
        notes.classes,
        stack,
        notes.unsaved_notes(),
        progress=lambda n, of: seen.append(n),
        cancel=lambda: len(seen) >= 1,
    )
    assert list(done) == [(1,)]
    assert len(open_set(tmp_path)) == 1


def test_a_shot_is_known_by_its_own_file_when_the_folder_grows() -> None:
    def folder(*files):
        return make_stack(
            np.zeros((len(files), 4, 4)),
            coords={"source": ("shot", np.array(files))},
            attrs={"source": "/data"},
        )

    before = origins(folder("/data/b.fits", "/data/c.fits"))
    after = origins(folder("/data/a.fits", "/data/b.fits", "/data/c.fits"))
    assert before[(0,)] == after[(1,)]
    assert before[(1,)] == after[(2,)]
    assert before[(0,)].index is None
    # several shots in one file have a place in it
    many = origins(folder("/data/a.h5", "/data/a.h5", "/data/b.h5"))
    assert [many[(n,)].index for n in range(3)] == [(0,), (1,), None]
    assert len({each.name for each in many.values()}) == 3
    alone = origins(make_stack(np.zeros((4, 4)), name="one"))
    assert alone[()].source == "one"


def test_labels_are_exported_as_the_image_is(tmp_path, notes) -> None:
    written = export_tiff(tmp_path, "my series/µ", notes.classes, (5, *SHAPE), notes.notes)
    assert [path.name for path in written] == ["my_series.MOT.tif", "my_series.ODT.tif"]
    mot, odt = (tifffile.imread(path) for path in written)
    assert mot.shape == odt.shape == (5, *SHAPE)
    assert mot.dtype == np.uint16
    np.testing.assert_array_equal(mot[1], painted((10, 10, 4), (25, 30, 6)))
    np.testing.assert_array_equal(odt[1], painted((10, 12, 3)))
    assert not mot[[0, 2, 4]].any()
    # names that a file cannot have do not fall together
    alike = export_tiff(tmp_path, "x", ["a/b", "a?b", "µ"], (5, *SHAPE), notes.notes)
    assert len({path.name.lower() for path in alike}) == 3
    single = Annotations(SHAPE, ["cloud"])
    single.paint((), "cloud", painted((10, 10, 4)))
    (path,) = export_tiff(tmp_path, "one", single.classes, SHAPE, single.notes)
    np.testing.assert_array_equal(tifffile.imread(path), painted((10, 10, 4)))


# clouds painted by the program


def test_seeds_keep_what_is_painted_and_go_to_their_class() -> None:
    labels = {"MOT": painted((10, 10, 5)), "ODT": painted()}
    seeds = [
        Seed(Patch.of(disc(10, 10, 5)), "MOT"),  # there already
        Seed(Patch.of(disc(25, 30, 8)), "ODT"),
        Seed(Patch.of(disc(25, 30, 3)), "ODT"),  # inside of the larger one, seen all the same
        Seed(Patch.of(disc(10, 18, 6)), "atoms"),  # no class: to the chosen one
    ]
    made, added, left_out = add_seeds(labels, seeds, "MOT")
    assert (added, left_out) == (3, 1)
    np.testing.assert_array_equal(made["MOT"] == 1, disc(10, 10, 5))
    np.testing.assert_array_equal(made["MOT"] == 2, disc(10, 18, 6) & ~disc(10, 10, 5))
    np.testing.assert_array_equal(made["ODT"] > 0, disc(25, 30, 8))
    np.testing.assert_array_equal(made["ODT"] == 2, disc(25, 30, 3))
    assert not labels["ODT"].any()
    again, added, left_out = add_seeds(made, seeds, "MOT")
    assert (again, added, left_out) == ({}, 0, 4)


def test_seeds_of_labels_lie_where_the_labels_do() -> None:
    labels = painted((10, 10, 4), (25, 30, 6))
    seeds = seeds_of_labels(labels, "MOT")
    assert [seed.label for seed in seeds] == ["MOT", "MOT"]
    for number, seed in enumerate(seeds, 1):
        np.testing.assert_array_equal(seed.mask.on(SHAPE), labels == number)
    assert seeds_of_labels(painted()) == []


def test_the_rule_finds_the_ellipse_from_a_rough_box() -> None:
    shape = (120, 160)
    rng = np.random.default_rng(3)
    clouds = [Gaussian2D(50, 60, 18, 11, 0.5, 1.2, 0.1), Gaussian2D(115, 55, 9, 9.5, 0, 0.8, 0.1)]
    picture = sum(cloud.image(shape) - 0.1 for cloud in clouds) + 0.1
    picture = picture + rng.normal(0, 0.02, shape)
    labels = np.zeros(shape, np.uint16)
    labels[45:75, 35:68] = 4  # boxes, as drawn by hand
    labels[47:66, 105:127] = 9
    empty = np.zeros(shape, np.uint16)
    empty[100:110, 10:20] = 1  # there is no cloud
    ruled = apply_rule(picture, {"MOT": labels, "ODT": empty, "none": np.zeros(shape, np.uint16)})
    assert ruled.fitted == 2
    assert list(ruled.labels) == ["MOT"]
    assert len(ruled.failed) == 1
    assert ruled.failed[0].startswith("ODT 1: ")
    for number, cloud in zip((4, 9), clouds, strict=True):
        truth, found = cloud.mask(shape), ruled.labels["MOT"] == number
        assert (truth & found).sum() / (truth | found).sum() > 0.93
    # the same once more changes hardly anything
    again = apply_rule(picture, ruled.labels)
    assert (again.labels["MOT"] != ruled.labels["MOT"]).sum() < 40


def test_notes_without_clouds_are_not_done() -> None:
    assert not ShotNotes().done
    assert ShotNotes(empty=True).done
