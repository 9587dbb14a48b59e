"""A packed supernet is the supernet, and a damaged file is named."""

import json

import numpy as np
import pytest

from ofa_tf.common import InputError
from ofa_tf.networks import PackedSupernet
from tests.micro import micro_net, random_images


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 0), ("float16", 2e-3)])
def test_what_is_packed_comes_back(tmp_path, dtype, tolerance):
    """Space, facts, and logits: bit for bit in float32, to half precision's rounding in float16."""
    net = micro_net()
    path = tmp_path / "supernet.npz"
    facts = {"class_names": tuple("abcdefghij"), "preprocessing": {"crop_fraction": 1.0}, "provenance": {"run": "x"}}
    PackedSupernet(net, dataset={"seed": 3}, **facts).save(path, dtype=dtype)
    packed = PackedSupernet.load(path)
    assert packed.net.space == net.space
    assert (packed.class_names, packed.preprocessing, packed.dataset, packed.provenance) == (
        tuple("abcdefghij"),
        {"crop_fraction": 1.0},
        {"seed": 3},
        {"run": "x"},
    )
    images = random_images(2, 24)
    expected = net(images, arch=net.space.largest()).numpy()
    logits = packed.net(images, arch=net.space.largest()).numpy()
    np.testing.assert_allclose(logits, expected, atol=tolerance * np.abs(expected).max(), rtol=0)
    assert not np.allclose(expected, 0)


def test_half_precision_halves_the_file(tmp_path):
    """What ships is small."""
    net = micro_net()
    for dtype in ("float32", "float16"):
        PackedSupernet(net).save(tmp_path / dtype, dtype=dtype)
    assert (tmp_path / "float16").stat().st_size < 0.75 * (tmp_path / "float32").stat().st_size


def test_files_that_are_no_supernet(tmp_path):
    """One line that names the file."""
    path = tmp_path / "supernet.npz"
    with pytest.raises(InputError, match=r"supernet\.npz: no such file"):
        PackedSupernet.load(path)
    np.savez(path, weights=np.zeros(3))
    with pytest.raises(InputError, match=r"supernet\.npz: is not an 'ofa_tf supernet' file"):
        PackedSupernet.load(path)
    PackedSupernet(micro_net()).save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays.pop("net/head/classifier/bias")
    np.savez(path, **arrays)
    with pytest.raises(InputError, match=r"supernet\.npz: tensor head/classifier/bias is missing"):
        PackedSupernet.load(path)


def test_what_a_file_cannot_mean(tmp_path):
    """Names of other classes than the outputs are of, and weights that are no numbers: not loaded."""
    path = tmp_path / "supernet.npz"
    with pytest.raises(InputError, match="names 2 classes, its space has 10"):
        PackedSupernet(micro_net(), class_names=("a", "b"))
    PackedSupernet(micro_net()).save(path)
    with np.load(path) as archive:
        arrays = dict(archive)
    header = next(name for name, value in arrays.items() if value.dtype.kind == "U")
    fields = json.loads(str(arrays[header])) | {"class_names": ["a", "b"]}
    np.savez(path, **{**arrays, header: np.array(json.dumps(fields))})
    with pytest.raises(InputError, match=r"supernet\.npz: names 2 classes, its space has 10"):
        PackedSupernet.load(path)
    fields["class_names"] = ["a", *range(9)]
    np.savez(path, **{**arrays, header: np.array(json.dumps(fields))})
    with pytest.raises(InputError, match=r"supernet\.npz: class_names are not all names"):
        PackedSupernet.load(path)
    net = micro_net()
    bias = net.named_variables()["head/classifier/bias"]
    bias.assign(np.full(bias.shape, np.nan))
    PackedSupernet(net).save(path)
    with pytest.raises(InputError, match=r"supernet\.npz: tensor head/classifier/bias holds NaN"):
        PackedSupernet.load(path)
