"""RandAugment, mixup and CutMix: exact at every step, in shape and range, labels in step with the pixels."""

import numpy as np
import pytest

from ofa_tf import data
from ofa_tf.common import InputError
from tests.data.image_files import write_folder

PLAIN = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0), "flip": False, "brightness": 0.0, "saturation": 0.0}
CASES = {
    "randaugment": {"randaugment": 2},
    "mixup": {"mixup": 0.4},
    "cutmix": {"cutmix": 1.0},
    "all": {"randaugment": 1, "mixup": 0.4, "cutmix": 1.0},
}


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    root = tmp_path_factory.mktemp("photos")
    write_folder(root / "train", {"ant": 9, "bee": 14, "cow": 5})
    return data.load("folder", root, validation=3)


def batches_of(dataset, case, **arguments):
    augmentation = data.Augmentation(**PLAIN, **CASES[case])
    return list(
        data.training_batches(
            dataset, batch_size=8, resolutions=(16, 24), augmentation=augmentation, seed=4, **arguments
        )
    )


@pytest.mark.parametrize("case", CASES)
def test_mixed_batches_are_those_of_their_step(photos, case):
    """From step 2 on they are those of the whole run, though Keras' layers count their draws; other steps differ."""
    whole = batches_of(photos, case, steps=5)
    for (images, labels), (same_images, same_labels) in zip(
        whole[2:], batches_of(photos, case, first_step=2, steps=3), strict=True
    ):
        np.testing.assert_array_equal(images, same_images)
        np.testing.assert_array_equal(labels, same_labels)
        assert images.dtype == np.uint8
    plain = list(
        data.training_batches(
            photos, batch_size=8, resolutions=(16, 24), augmentation=data.Augmentation(**PLAIN), seed=4, steps=5
        )
    )
    assert any((images.numpy() != others.numpy()).any() for (images, _), (others, _) in zip(whole, plain, strict=True))


@pytest.mark.parametrize("case", ["mixup", "cutmix"])
def test_blended_labels_are_shares_of_the_pixels(case):
    """Of images of one grey value per class, a blend's mean value is the blend of its labels."""
    values = np.array([0, 120, 240], np.uint8)
    pixels = np.broadcast_to(np.repeat(values, 10)[:, None, None, None], (30, 32, 32, 3))
    split = data.Split.make("grey", "pixels", pixels, np.repeat(np.arange(3), 10))
    dataset = data.ImageDataset("grey", ("a", "b", "c"), {"train": split, "test": split})
    blended = 0
    for images, shares in batches_of(dataset, case, steps=6):
        np.testing.assert_allclose(shares.numpy().sum(1), 1.0, atol=1e-5)
        means = images.numpy().astype(float).mean((1, 2, 3))
        # CutMix rounds the part's sides to pixels: a row or column of 16 is 15 of 240.
        np.testing.assert_allclose(means, shares.numpy() @ values, atol=1.0 if case == "mixup" else 30.0)
        blended += int((shares.numpy().max(1) < 0.99).sum())
    assert blended > 5


def test_bad_settings_are_named():
    """What the layers would take without a word, or refuse with a traceback."""
    for fields, message in (
        ({"randaugment": 1.5}, "randaugment is 1.5, expected a whole number"),
        ({"mixup": -1.0}, "mixup is -1.0"),
        ({"randaugment_factor": 2.0}, "randaugment_factor is 2.0"),
    ):
        with pytest.raises(InputError, match=message):
            data.Augmentation(**fields)
