"""Folders as people have them: what counts as an image, what is left out and told, what cannot be read."""

import dataclasses
import os
import pathlib
import random
import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ofa_tf import data
from ofa_tf.common import InputError, OfaError
from ofa_tf.data import folder as folder_module
from ofa_tf.data import left_out
from tests.data.image_files import encoded, gradient, write_folder
from tests.data.mixed_folders import DAMAGES, ENDINGS, OTHERS, image, write_mixed_folder

JPEG = encoded(gradient(24, 30), "JPEG")


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Two classes of ten; lists go to a cache of the test's own."""
    monkeypatch.setenv("OFA_TF_CACHE", str(tmp_path / "cache"))
    return write_folder(tmp_path / "photos" / "train", {"ant": 10, "bee": 10}).parent


def opened(photos: pathlib.Path, **options) -> tuple[data.ImageDataset, str]:
    """The data set, and what was told of it."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        dataset = data.load("folder", photos, **options)
    assert len(caught) <= 1
    return dataset, "".join(str(warning.message) for warning in caught)


def names(dataset: data.ImageDataset) -> set[str]:
    return {
        split.identity(int(index)) for name in ("train", "validation") for split in [dataset.split(name)]
        for index in split.indices
    }  # fmt: skip


def test_the_bytes_decide(photos):
    """JFIF, WebP, TIFF, a JPEG named .png, no ending at all: images, and nothing is said of them."""
    ant = photos / "train" / "ant"
    for name in ("a.jfif", "b.JPG", "c.png", "d"):
        (ant / name).write_bytes(JPEG)
    for kind, name in (("WEBP", "e.webp"), ("TIFF", "f.tif"), ("PPM", "g.ppm"), ("AVIF", "h.avif"), ("JPEG2000", "i")):
        (ant / name).write_bytes(encoded(gradient(24, 30), kind))
    dataset, told = opened(photos)
    assert {f"ant/{name}" for name in ("a.jfif", "b.JPG", "c.png", "d", "e.webp", "f.tif", "g.ppm", "h.avif", "i")} <= (
        names(dataset)
    )
    assert told == ""
    assert dataset.found().endswith(
        "photos: 29 images of 2 classes: 26 to train on, 3 for validation (a part of those to train on)"
    )


def test_sub_folders_belong_to_their_class(photos):
    """At any depth, through links, and each folder once."""
    deep = photos / "train" / "ant" / "2024" / "january"
    deep.mkdir(parents=True)
    (deep / "new.jpg").write_bytes(JPEG)
    (deep / "again").symlink_to(photos / "train", target_is_directory=True)
    (deep / "up").symlink_to(photos, target_is_directory=True)
    elsewhere = photos.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "linked.jpg").write_bytes(JPEG)
    (photos / "train" / "bee" / "link").symlink_to(elsewhere, target_is_directory=True)
    dataset, told = opened(photos)
    assert len(names(dataset)) == 22
    assert {"ant/2024/january/new.jpg", "bee/link/linked.jpg"} <= names(dataset)
    assert "train/ant: 2 files left out: 2 folder that is there already" in told


@pytest.mark.parametrize("target", ["ant", ".", ".."])
def test_one_folder_is_not_two_classes(photos, target):
    """A link would give its images two labels."""
    (photos / "train" / "cat").symlink_to(photos / "train" / target, target_is_directory=True)
    with pytest.raises(InputError, match=r"the class folder cat is .*once more; remove the link"):
        data.load("folder", photos)


def test_what_is_left_out_is_counted_by_reason(photos):
    """One warning: each class with its number of files and the reasons; what needs a package says which."""
    ant, bee = photos / "train" / "ant", photos / "train" / "bee"
    for number in range(4):
        (ant / f"empty{number}.jpg").write_bytes(b"")
    (ant / "notes.txt").write_text("ants")
    (ant / "x.heic").write_bytes(OTHERS[".heic"])
    (ant / "renamed.jpg").write_bytes(OTHERS[".heic"])
    (ant / "raw.NEF").write_bytes(OTHERS[".nef"])
    (bee / ".photo.jpg").write_bytes(JPEG)
    (bee / ".DS_Store").write_bytes(b"x")
    (bee / "Thumbs.db").write_bytes(b"x")
    (bee / "._000.jpg").write_bytes(b"\0\5\x16\7")
    (bee / "film.mov").write_bytes(OTHERS[".mov"])
    (photos / "train" / "lost.jpg").write_bytes(JPEG)
    (photos / "train" / "README.md").write_text("x")
    (photos / "loose.jpg").write_bytes(JPEG)
    (photos / "valid" / "ant").mkdir(parents=True)
    (photos / "valid" / "ant" / "000.jpg").write_bytes(JPEG)
    # A folder of results, whose plots are nobody's photos.
    (photos / "out" / "plots").mkdir(parents=True)
    (photos / "out" / ".lock").write_bytes(b"")
    (photos / "out" / "plots" / "front.png").write_bytes(b"x")
    dataset, told = opened(photos)
    assert len(names(dataset)) == 20
    assert "train/ant: 8 files left out: 4 empty, 2 .heic, 1 .nef, 1 .txt" in told
    assert "train/bee: 2 files left out: 1 .mov, 1 hidden" in told
    assert "train: 1 file left out: 1 in no class folder" in told
    for place in ("valid", "."):
        assert f"{place}: 1 file left out: 1 in none of train, validation, holdout, test, val" in told
    assert "out: " not in told.replace("left out: ", "")
    assert "pip install pillow-heif" in told
    assert "4 of 24 images cannot be read, 20 are left: train/ant/empty0.jpg (empty), " in told


@pytest.mark.parametrize("damage", DAMAGES)
def test_unreadable_images_are_all_named_before_the_first_step(photos, damage):
    """Three of twenty: named at once, with what is wrong; the rest is used, as if they were not there."""
    whole, _ = opened(photos)
    victims = sorted((photos / "train" / "ant").iterdir())[:3]
    for victim in victims:
        victim.write_bytes(DAMAGES[damage](victim.read_bytes()))
    dataset, told = opened(photos)
    assert "3 of 20 images cannot be read, 17 are left: " in told
    for victim in victims:
        assert f"train/ant/{victim.name} (" in told
        victim.unlink()
    after, told = opened(photos)
    assert told == ""
    # So the same command goes on when they are removed.
    assert after.digest == dataset.digest != whole.digest


def test_too_many_unreadable_images_end_it(photos):
    """More than a fifth: one line with all of them, before anything is computed."""
    for path in sorted((photos / "train" / "ant").iterdir())[:5]:
        path.write_bytes(b"")
    with pytest.warns(UserWarning, match="5 empty"), pytest.raises(InputError, match="5 of 20 images") as caught:
        data.load("folder", photos)
    assert "\n" not in str(caught.value)
    assert all(f"ant/00{number}.jpg (empty)" in str(caught.value) for number in range(5))


def test_a_long_list_is_kept_in_a_file(photos):
    """What does not fit on a screen is in a file that the message names."""
    for number in range(60):
        (photos / "train" / "bee" / f"a long name of a photo {number:03}.jpg").write_bytes(JPEG if number % 6 else b"")
        (photos / "train" / "ant" / f"a long name of a photo {number:03}.jpg").write_bytes(JPEG if number % 6 else b"")
    _, told = opened(photos)
    (path,) = (photos.parent / "cache" / "unreadable").iterdir()
    assert str(path) in told
    assert len(told) < 1600
    assert len(path.read_text(encoding="utf-8").splitlines()) == 20


def test_a_list_that_cannot_be_kept_costs_nothing(photos, monkeypatch):
    """A full disk at home ends no training: the names are told instead."""
    for number in range(60):
        (photos / "train" / "bee" / f"a long name of a photo {number:03}.jpg").write_bytes(JPEG if number % 6 else b"")
        (photos / "train" / "ant" / f"a long name of a photo {number:03}.jpg").write_bytes(JPEG if number % 6 else b"")

    def full(*_):
        raise OfaError("no space is left on the device")

    monkeypatch.setattr(left_out, "write_text", full)
    _, told = opened(photos)
    assert told.count("a long name of a photo") == 20


def test_a_split_of_which_nothing_could_be_read(photos):
    """It is told, whatever asks for its images."""
    split = data.load("folder", photos).split("validation")
    lost = dataclasses.replace(split, damaged=dict.fromkeys(split.indices.tolist(), "damaged"))
    with pytest.raises(InputError, match=r"none of its \d+ images could be read before; replace them"):
        lost.rows()


def test_a_run_in_the_folder_of_its_photos_keeps_its_places(photos, tmp_path, monkeypatch):
    """`--data_dir=.` is a path like any other: what was lost and then removed keeps its place."""
    monkeypatch.chdir(photos)
    victim = sorted((photos / "train" / "bee").iterdir())[3]
    digest = data.load("folder", ".", validation=2).digest
    victim.unlink()
    with pytest.warns(UserWarning, match="found unreadable"):
        assert data.load("folder", ".", validation=2, lost=[f"train/bee/{victim.name}"]).digest == digest


def test_large_folders_are_not_decoded_whole(photos, monkeypatch):
    """Where that would take long, files that do not end as whole ones do are decoded; others are found when used."""
    cut, changed = sorted((photos / "train" / "bee").iterdir())[:2]
    cut.write_bytes(cut.read_bytes()[:-40])
    middle = bytearray(changed.read_bytes())
    middle[-60:-20] = b"\xff\xd9" * 20
    changed.write_bytes(middle)
    monkeypatch.setattr(folder_module, "WHOLE_BYTES", 1000)
    _, told = opened(photos)
    assert "1 of 20 images cannot be read" in told
    assert cut.name in told


def test_a_class_without_a_readable_image(photos):
    """It is named with what was found there; in what is not trained on, a class may be empty."""
    for path in (photos / "train" / "bee").iterdir():
        path.rename(path.with_suffix(".txt"))
        path.with_suffix(".txt").write_text("no image")
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(InputError, match=r"bee: no images .*10 files left out: 10 \.txt"),
    ):
        data.load("folder", photos)


def test_an_empty_class_of_the_validation_split(photos):
    """The others count."""
    write_folder(photos / "validation", {"bee": 2})
    (photos / "validation" / "ant").mkdir()
    assert len(opened(photos)[0].split("validation")) == 2


def test_names_that_are_not_utf8(photos):
    """Files and classes with any bytes in their names are read like others."""
    ant = os.fsencode(photos / "train" / "ant")
    with open(ant + b"/caf\xe9.jpg", "wb") as file:
        file.write(JPEG)
    os.rename(os.fsencode(photos / "train" / "bee"), os.fsencode(photos / "train") + b"/b\xe9e")
    dataset, told = opened(photos)
    assert told == ""
    assert dataset.class_names == ("ant", "b\\xe9e")
    assert len(names(dataset)) == 21
    batches = data.evaluation_batches(dataset, "train", resolution=16, batch_size=4, crop_fraction=1.0)
    assert sum(len(labels) for _, labels in batches) == len(dataset.split("train"))


def test_letters_composed_in_two_ways_name_one_class(photos):
    """A folder that went through another system still has the classes of train."""
    (photos / "train" / "ant").rename(photos / "train" / "caf\u00e9")
    write_folder(photos / "validation", {"cafe\u0301": 2})
    dataset, _ = opened(photos)
    assert dataset.class_names == ("bee", "caf\u00e9")
    assert set(dataset.split("validation").labels) == {1}
    (photos / "train" / "cafe\u0301").mkdir()
    with pytest.raises(InputError, match="two folders name the class"):
        data.load("folder", photos)


NAMES = st.one_of(
    st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12).map(os.fsencode),
    st.binary(min_size=1, max_size=12).map(lambda name: name.replace(b"/", b"-").replace(b"\0", b"-")),
    st.sampled_from([b"train", b"caf\xe9", b".hidden", b"Thumbs.db", b"new\nline", b"-rf", b"~", b"%s", b"a" * 250]),
)
CONTENTS = ("image", "other", "link", "loop", "nothing", "pipe", *DAMAGES)
ENTRIES = st.lists(
    st.tuples(st.lists(NAMES, min_size=1, max_size=4), st.sampled_from(ENDINGS + tuple(OTHERS)),
              st.sampled_from(CONTENTS), st.sampled_from([0o755, 0o000, 0o444]), st.integers(0, 999)),
    max_size=12,
)  # fmt: skip


def write_entry(root: bytes, names: list[bytes], ending: str, content: str, mode: int, seed: int) -> None:
    """One file, link or pipe at a path of any names; what the system refuses is not there."""
    random_ = random.Random(seed)
    folder = os.path.join(root, *names[:-1])
    path = os.path.join(folder, names[-1] + ending.encode())
    try:
        os.makedirs(folder, exist_ok=True)
        if content == "link":
            os.symlink(os.path.join(root, *names[:1]), path)
        elif content == "loop":
            os.symlink(random_.choice([root, folder, path, b"/nowhere"]), path)
        elif content == "pipe":
            os.mkfifo(path)
        elif content != "nothing":
            made = DAMAGES[content](image(random_)) if content in DAMAGES else image(random_)
            with open(path, "wb") as file:
                file.write(random_.choice(list(OTHERS.values())) if content == "other" else made)
            os.chmod(path, mode)
    except OSError:
        pass


def check_any_folder(tmp_path_factory, entries):
    """A data set whose images can all be read, or one line."""
    root = tmp_path_factory.mktemp("any")
    write_folder(root / "train", {"ant": 6, "bee": 6})
    for split, entry in zip(("train", "train/ant", "train/bee", "validation", "test") * 3, entries, strict=False):
        write_entry(os.fsencode(root / split), *entry)
    refused = ""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            dataset = data.load("folder", root)
        except InputError as error:
            refused = str(error)
        else:
            for split in dataset.splits:
                batches = data.evaluation_batches(dataset, split, resolution=8, batch_size=8, crop_fraction=1.0)
                assert sum(len(labels) for _, labels in batches) == len(dataset.split(split))
            assert "\n" not in dataset.found()
    assert "\n" not in refused
    assert len(caught) <= 1
    for warning in caught:
        assert str(warning.message).encode()
        assert len(str(warning.message).splitlines()) <= 20


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(entries=ENTRIES)
def test_any_folder(tmp_path_factory, entries):
    """Names, nesting, endings, contents, links, pipes and permissions: a data set, or one line, and no traceback."""
    check_any_folder(tmp_path_factory, entries)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(entries=ENTRIES)
def test_three_hundred_folders(tmp_path_factory, entries):
    """As above, for longer."""
    check_any_folder(tmp_path_factory, entries)


@pytest.mark.parametrize("files", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_a_folder_of_mixed_files(tmp_path, monkeypatch, files):
    """All kinds at once, a tenth damaged: every image is found, all else is counted, and it fits on one screen."""
    monkeypatch.setenv("OFA_TF_CACHE", str(tmp_path / "cache"))
    counts = write_mixed_folder(tmp_path / "photos", files)
    dataset, told = opened(tmp_path / "photos")
    assert sum(map(len, dataset.splits.values())) == counts["images"] == files * 8 // 10
    assert f"{counts['damaged']:,} of {counts['damaged'] + counts['images']:,} images cannot be read" in told
    assert f"{counts['images']:,} are left" in told
    left_out = [int(line.split(": ")[1].split()[0]) for line in told.splitlines() if "left out:" in line]
    assert sum(left_out) == counts["damaged"] + counts["others"]
    assert sum(1 + len(line) // 80 for line in told.splitlines()) < 24
    batches = data.evaluation_batches(dataset, "train", resolution=16, batch_size=50, crop_fraction=1.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sum(len(labels) for _, labels in batches) == len(dataset.split("train"))
