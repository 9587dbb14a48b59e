"""Data sets by name: folders, digits, and how images are held out."""

import shutil

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from ofa_tf import data
from ofa_tf.common import InputError
from ofa_tf.data.holding_out import held_out_quotas, stratified_indices, validation_count
from tests.data.image_files import write_folder


def paths(split: data.Split) -> list[str]:
    return [split.describe(int(index)) for index in split.indices]


@pytest.fixture
def photos(tmp_path):
    write_folder(tmp_path / "train", {"dog": 12, "ant": 8, "cat": 20})
    write_folder(tmp_path / "val", {"cat": 2, "dog": 3})
    return tmp_path


def test_folder(photos):
    """Classes are the sorted folder names; train and validation are disjoint and complete; test has train's labels."""
    dataset = data.load("folder", photos, validation=10, seed=3)
    assert dataset.class_names == ("ant", "cat", "dog")
    assert dataset.num_classes == 3
    train, validation, test = (paths(dataset.split(name)) for name in ("train", "validation", "test"))
    assert sorted(train + validation) == sorted(map(str, (photos / "train").glob("*/*")))
    assert len(validation) == len(set(validation)) == 10
    assert (len(train), len(test)) == (30, 5)
    for split in dataset.splits.values():
        assert split.labels.dtype == np.int32
        assert [path.split("/")[-2] for path in paths(split)] == [dataset.class_names[i] for i in split.labels]
    assert np.bincount(dataset.split("validation").labels).tolist() == [2, 5, 3]


def test_validation_is_drawn_by_the_seed(photos):
    """The same seed holds the same images out, another one others; test is never touched."""
    first, again, other = (data.load("folder", photos, validation=0.25, seed=seed) for seed in (1, 1, 2))
    assert paths(first.split("validation")) == paths(again.split("validation"))
    assert paths(first.split("validation")) != paths(other.split("validation"))
    assert paths(first.split("test")) == paths(other.split("test"))


@pytest.mark.parametrize("name", ["validation", "holdout"])
def test_a_folder_with_its_own_validation_split(photos, name):
    """Its images decide, against a default too; a number that is given beats it, and that is said."""
    write_folder(photos / name, {"ant": 2, "dog": 1})
    for default in (None, 0.1, 1000):
        dataset = data.load("folder", photos, default=default)
        assert [len(dataset.split(name)) for name in ("train", "validation", "test")] == [40, 3, 5]
        assert dataset.split("validation").labels.tolist() == [0, 0, 2]
        assert dataset.validation is None
        assert f"3 for validation (its folder {name}), 5 for the test" in dataset.found()
    dataset = data.load("folder", photos, validation=5)
    assert [len(dataset.split(name)) for name in ("train", "validation", "test")] == [35, 5, 5]
    assert dataset.validation == 5
    assert f"its folder {name} is not used" in dataset.found()


def test_a_split_goes_with_its_images(photos, tmp_path_factory):
    """What was known of a data set holds for the same images, wherever they lie, and for no others."""
    first = data.load("folder", photos, validation=11, seed=3)
    known = {"validation": 11, "seed": 3, "digest": first.digest}
    moved = tmp_path_factory.mktemp("moved") / "photos"
    shutil.copytree(photos, moved)
    assert data.load("folder", moved, known=known).digest == first.digest
    assert len(data.load("folder", moved, validation=4, known=known).split("validation")) == 4
    write_folder(moved / "train", {"dog": 13})
    assert len(data.load("folder", moved, known=known).split("validation")) == 4
    # A number that leaves none of these images is no error of theirs.
    assert len(data.load("folder", moved, known=known | {"validation": 1000}).split("validation")) == 4


def test_some_classes_of_a_network(photos):
    """Folders of some of a network's classes have its labels, in every split; one other class makes them their own."""
    write_folder(photos / "validation", {"bee": 2})
    known = ("ant", "bee", "cat", "cow", "dog")
    dataset = data.load("folder", photos, classes=known)
    assert dataset.class_names == known
    assert np.unique(dataset.split("train").labels).tolist() == [0, 2, 4]
    assert dataset.split("validation").labels.tolist() == [1, 1]
    assert dataset.split("test").labels.tolist() == [2, 2, 4, 4, 4]
    assert "47 images of 4 of the 5 classes" in dataset.found()
    shutil.rmtree(photos / "validation")
    assert data.load("folder", photos, classes=("dog", "ant", "cat")).class_names == ("dog", "ant", "cat")
    assert data.load("folder", photos, classes=("ant", "cat", "cow")).class_names == ("ant", "cat", "dog")


def test_a_folder_that_would_not_be_read_is_refused(photos):
    """Images are asked for twice, and only one of them could be meant."""
    with pytest.raises(InputError, match="--dataset=digits is in no folder; give one of them"):
        data.load("digits", photos)
    with pytest.raises(InputError, match=r"--data_dir=/tmp: .* is a folder itself; give one of them"):
        data.load(str(photos), "/tmp")
    assert data.load(str(photos), f"{photos}/.").digest == data.load("folder", photos).digest


def test_former_names(photos):
    """What was called holdout and val is validation and test: the same images by both names, and the same digest."""
    dataset = data.load("folder", photos)
    assert dataset.split("holdout") is dataset.split("validation")
    assert dataset.split("val") is dataset.split("test")
    assert data.load("digits").digest == "6d2f4bd790708cfd"
    before = paths(dataset.split("test"))
    (photos / "val").rename(photos / "test")
    assert [path.replace("/test/", "/val/") for path in paths(data.load("folder", photos).split("test"))] == before
    write_folder(photos / "val", {"cat": 1})
    with pytest.raises(InputError, match="folders test and val, which both name the test split"):
        data.load("folder", photos)


def damage_nothing(root):
    return root / "nowhere"


def damage_train(root):
    (root / "train").rename(root / "training")


def damage_empty(root):
    (root / "train").rename(root / "old")
    (root / "train").mkdir()


def damage_one_class(root):
    for name in ("ant", "dog"):
        (root / "train" / name).rename(root / name)


def damage_class_without_images(root):
    (root / "train" / "bee").mkdir()


def damage_file(root):
    return root / "train" / "cat" / "000.jpg"


def damage_unknown_val_class(root):
    write_folder(root / "val", {"bee": 1})


def damage_unknown_holdout_class(root):
    write_folder(root / "holdout", {"bee": 1})


def damage_empty_val(root):
    (root / "val").rename(root / "old")
    (root / "val").mkdir()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (damage_nothing, "nowhere: no such folder"),
        (damage_train, "no folder train"),
        (damage_file, "is a file, expected a folder"),
        (damage_empty, "no class folders"),
        (damage_one_class, "only one class"),
        (damage_class_without_images, "bee: no images"),
        (damage_unknown_val_class, "val: class bee"),
        (damage_unknown_holdout_class, "holdout: class bee"),
        (damage_empty_val, "val: no class folders"),
    ],
)
def test_bad_folder_is_one_line(photos, damage, words):
    """What is wrong with a folder is said in one line that names it."""
    root = damage(photos) or photos
    with pytest.raises(InputError, match=words) as caught:
        data.load("folder", root)
    assert "\n" not in str(caught.value)
    assert str(photos) in str(caught.value)


def test_folder_needs_data_dir():
    """Without --data_dir the error names the flag and the layout."""
    with pytest.raises(InputError, match=r"--data_dir: not given.*train/<class>"):
        data.load("folder")


@pytest.mark.parametrize("validation", [40, 1000, 0, -3, 2.5, 0.999])
def test_bad_validation(photos, validation):
    """A validation split that leaves nothing to train on, or is no number of images, is refused."""
    with pytest.raises(InputError, match="validation="):
        data.load("folder", photos, validation=validation)


def test_unknown_split(photos):
    """Asking for a split that is not there names those that are."""
    with pytest.raises(InputError, match=r"--split=dev.*train, validation, test"):
        data.load("folder", photos).split("dev")


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5])
def test_bad_seed(seed):
    """A seed that cannot be kept apart from others is refused."""
    with pytest.raises(InputError, match="seed"):
        data.load("digits", seed=seed)


@pytest.mark.parametrize(
    ("images", "validation", "count"), [(9469, None, 947), (1_281_167, None, 10_000), (3, None, 1), (50, 0.5, 25)]
)
def test_validation_count(images, validation, count):
    """Ten percent, at most 10,000, at least one."""
    assert validation_count(images, validation) == count


@settings(max_examples=60)
@given(
    labels=st.lists(st.integers(0, 5), min_size=2, max_size=200), share=st.floats(0.01, 0.99), seed=st.integers(0, 9)
)
def test_stratified_indices_keep_class_shares(labels, share, seed):
    """Each class gives its share of the validation split to within one image, and no image is drawn twice."""
    labels = np.array(labels)
    count = max(1, int(share * len(labels)))
    places = stratified_indices(labels, count, seed)
    assert len(set(places.tolist())) == count
    for label in set(labels.tolist()):
        expected = (labels == label).sum() * count / len(labels)
        assert abs((labels[places] == label).sum() - expected) < 1


@settings(max_examples=100)
@given(sizes=st.lists(st.integers(1, 40), min_size=1, max_size=20), share=st.floats(0, 1))
def test_each_class_is_learned_and_decides(sizes, share):
    """Of classes with two images or more, one is held out and one is not, wherever the number held out allows it."""
    sizes = np.array(sizes)
    count = round(share * sizes.sum())
    quotas = held_out_quotas(sizes, count)
    assert quotas.sum() == count
    assert ((quotas >= 0) & (quotas <= sizes)).all()
    if count <= (sizes - 1).sum():
        assert (quotas < sizes).all()
        if count >= (sizes > 1).sum():
            assert (quotas[sizes > 1] > 0).all()


def test_a_class_without_images_to_learn_from_is_said(tmp_path):
    """Where more is held out than classes can spare."""
    write_folder(tmp_path / "train", {"ant": 3, "bee": 1})
    assert np.bincount(data.load("folder", tmp_path, validation=2).split("train").labels).tolist() == [1, 1]
    with pytest.warns(UserWarning, match="of 2 classes keep no image to learn from"):
        data.load("folder", tmp_path, validation=3)


def test_digits():
    """Scikit-learn's digits: test split of 360, validation of 400, RGB of 40x40 that still is the 8x8 digit."""
    dataset, other = data.load("digits"), data.load("digits", seed=1, validation=100)
    sizes = {name: len(split) for name, split in dataset.splits.items()}
    assert sizes == {"train": 1037, "validation": 400, "test": 360}
    assert len(other.split("train")) == 1337
    np.testing.assert_array_equal(dataset.split("test").indices, other.split("test").indices)
    everything = np.concatenate([split.indices for split in dataset.splits.values()])
    assert sorted(everything.tolist()) == list(range(1797))
    for split in dataset.splits.values():
        shares = np.bincount(split.labels, minlength=10) / len(split)
        assert 0.09 < shares.min() <= shares.max() < 0.11
    from sklearn.datasets import load_digits

    source = load_digits()
    pixels = dataset.split("test").read(tf.constant(17, tf.int64)).numpy()
    assert pixels.shape == (40, 40, 3)
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels[..., 0], pixels[..., 2])
    blocks = pixels[..., 0].reshape(8, 5, 8, 5).mean(axis=(1, 3))
    assert np.corrcoef(blocks.ravel(), source.images[17].ravel())[0, 1] > 0.97
    assert np.unique(pixels).size > 50
