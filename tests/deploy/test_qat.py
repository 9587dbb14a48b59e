"""Quantization-aware training: real steps on real images, in the process that alone may load tf_keras."""

import dataclasses
import os
import sys

import keras
import numpy as np
import pytest

from ofa_tf import deploy, networks, spaces
from ofa_tf.common import InputError
from ofa_tf.data import PUBLISHED, Augmentation, calibration_batches, evaluation_batches, load
from ofa_tf.deploy import qat
from ofa_tf.networks.plain import build_plain
from tests.deploy.test_families import FAMILIES, INT8_PARTITIONS

SIDE, EPOCHS = 32, 2
RECIPE = deploy.QuantizationRecipe(epochs=EPOCHS, learning_rate=1e-3, range_images=256)
OTHER_KERAS = {"tf_keras", "tensorflow_model_optimization"}


def integers_only(runner: deploy.Runner) -> bool:
    """Whether a file has no tensor of another type."""
    details = runner._interpreter.get_tensor_details()
    # XNNPACK names none of its own tensors.
    return {np.dtype(tensor["dtype"]).kind for tensor in details if tensor["name"]} <= set("iu")


@pytest.fixture(scope="module", name="task")
def _task():
    """The arguments for a network that was trained for a moment to tell digits apart."""
    space = spaces.mobilenet_v3(
        num_classes=10,
        ks=(7,),
        e=(3,),
        d=(1,),
        resolutions=(SIDE,),
        base_widths=(8, 16, 16, 24),
        strides=(2, 2),
        head_widths=(32, 64),
        name="qat_test",
    )
    blocks = space.blocks(space.largest())
    digits, augmentation = load("digits"), Augmentation(crop_scale=(0.7, 1.0), flip=False)
    batches = calibration_batches(digits, resolution=SIDE, augmentation=augmentation, images=1000, batch_size=1000)
    ((images, labels),) = batches
    keras.utils.set_random_seed(0)
    model = build_plain(blocks, keras)
    model.compile(keras.optimizers.Adam(3e-3), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(np.asarray(PUBLISHED.normalize(images)), np.asarray(labels), batch_size=50, epochs=12, verbose=0)
    weights = {layer.name: layer.get_weights() for layer in model.layers if layer.weights}
    held_out = evaluation_batches(digits, "validation", resolution=SIDE, batch_size=400, crop_fraction=1.0)
    ((check_images, check_labels),) = held_out
    return {
        "network": deploy.Network(blocks, weights, PUBLISHED),
        "dataset": digits,
        "augmentation": augmentation,
        "check_images": np.asarray(check_images),
        "check_labels": np.asarray(check_labels),
        "recipe": RECIPE,
    }


@pytest.fixture(scope="module", name="done")
def _done(task, tmp_path_factory):
    """Report, epochs and figures of one training."""
    path = tmp_path_factory.mktemp("qat") / "model.tflite"
    epochs = {}
    report = deploy.quantization_aware(**task, path=path, max_drop=0.05, after_epoch=epochs.__setitem__)
    return report, epochs


def test_the_file_is_all_integers_and_one_partition(done):
    """Protects what it is for: nothing in float, nothing outside XNNPACK, large kernels in groups of rows."""
    runner = deploy.Runner(done[0].path)
    assert runner.partitions == 1
    assert integers_only(runner)
    assert runner.operations.count("DEPTHWISE_CONV_2D") > 3
    assert runner.input_details["quantization"] == (1 / 128, 128)
    assert (runner.input_type, runner.output_type) == ("uint8", "uint8")
    assert runner.output_details["quantization"] == (1 / 256, 0)


def test_the_file_does_what_the_float_network_does(done):
    report, _ = done
    assert report.images == 400
    assert report.keras_top1 > 0.7, "the network is worth comparing with"
    assert report.tflite_top1 > report.keras_top1 - 0.05
    assert report.agreement > 0.85


def test_it_learns(done):
    """Protects the training itself: the outputs come nearer to the float network's."""
    _, epochs = done
    assert list(epochs) == [1, 2]
    assert epochs[2]["loss"] < epochs[1]["loss"]
    assert epochs[2]["agreement"] > 0.85


def test_this_process_keeps_its_keras(done):
    """Protects everything else: the other Keras, and the switch that makes it TensorFlow's, stay in the process."""
    assert done
    assert "TF_USE_LEGACY_KERAS" not in os.environ
    assert not OTHER_KERAS & set(sys.modules)


@pytest.mark.slow
def test_an_interrupted_training_goes_on_where_it_was(task, done, tmp_path):
    """The state after each epoch is kept, is the whole state, and belongs to these settings alone."""
    path, checkpoint = tmp_path / "model.tflite", tmp_path / "checkpoint.npz"
    task = {**task, "path": path, "checkpoint": checkpoint, "max_drop": 0.05}

    def interrupt(epoch, figures):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deploy.quantization_aware(**task, after_epoch=interrupt)
    assert not path.exists()
    assert checkpoint.exists()
    with pytest.raises(InputError, match=r"checkpoint\.npz: is of another network"):
        deploy.quantization_aware(**{**task, "recipe": dataclasses.replace(RECIPE, learning_rate=0.1)})
    epochs = {}
    report = deploy.quantization_aware(**task, after_epoch=epochs.__setitem__)
    assert epochs == {2: pytest.approx(done[1][2], rel=0.05)}
    assert report.agreement == pytest.approx(done[0].agreement, abs=0.02)
    assert not checkpoint.exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("family", "form"), [("mobilenet_v3", "split-same"), ("proxyless", "folded"), ("resnet50", "split")]
)
def test_every_family_and_form_is_all_integers(task, tmp_path, family, form):
    """Residuals, pools and plain ReLUs are rounded where the file has integers, and nowhere else."""
    space = FAMILIES[family]().replace(num_classes=10)
    net, arch = networks.build(space, seed=1), space.arch(r=64)
    batches = calibration_batches(task["dataset"], resolution=64, augmentation=task["augmentation"], images=200)
    ((images, _),) = [(np.asarray(images), labels) for images, labels in batches]
    _, statistics = net.batch_statistics(PUBLISHED.normalize(images), arch)
    options = {"check_images": images, "check_labels": None, "form": form, "outputs": "logits", "max_drop": 1.0}
    options["recipe"] = deploy.QuantizationRecipe(epochs=1, batch_size=200, range_images=200)
    options["network"] = deploy.Network.of_subnet(net, arch, PUBLISHED, statistics.numpy())
    path = tmp_path / "model.tflite"
    report = deploy.quantization_aware(**{**task, **options, "path": path})
    assert report.partitions == INT8_PARTITIONS[family]
    runner = deploy.Runner(path)
    assert integers_only(runner)
    expected = np.asarray(net.extract(arch, statistics.numpy())(PUBLISHED.normalize(images)))
    found = runner.predict(images)
    # Of random weights, whose logits are hardly larger than what rounding does to them.
    assert np.corrcoef((found - found.mean(0)).ravel(), (expected - expected.mean(0)).ravel())[0, 1] > 0.5


def test_mistakes_are_named_before_anything_starts(task, tmp_path, monkeypatch):
    task = {**task, "path": tmp_path / "model.tflite"}
    monkeypatch.setattr(qat, "Child", None)
    with pytest.raises(InputError, match="form fused-rows leaves hard-swish to float"):
        deploy.quantization_aware(**task, form="fused-rows")
    *blocks, head = task["network"].blocks
    other = dataclasses.replace(task["network"], blocks=[*blocks, dataclasses.replace(head, out_channels=7)])
    with pytest.raises(InputError, match="7 outputs, dataset digits has 10 classes"):
        deploy.quantization_aware(**{**task, "network": other})
    with pytest.raises(InputError, match="expected uint8"):
        deploy.quantization_aware(**{**task, "check_images": task["check_images"][:, :16]})
    with pytest.raises(InputError, match="max_drop is 2, expected a number from 0 to 1"):
        deploy.quantization_aware(**task, max_drop=2)
    with pytest.raises(InputError, match=r"net-0\.35: expected a name that ends with \.tflite"):
        deploy.quantization_aware(**{**task, "path": tmp_path / "net-0.35"})
    monkeypatch.setattr(qat, "_NEEDED", ("keras", "no_such_keras"))
    with pytest.raises(InputError, match=r"no_such_keras is not installed; install ofa_tf\[qat\]"):
        deploy.quantization_aware(**task)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("batch_size", 1.5),
        ("range_images", True),
        ("learning_rate", -1.0),
        ("seed", -1),
    ],
)
def test_a_recipe_is_checked(field, value):
    with pytest.raises(InputError, match=f"quantization recipe: {field} is {value}"):
        dataclasses.replace(RECIPE, **{field: value})


def test_a_recipe_is_read_back():
    assert deploy.QuantizationRecipe.from_config(RECIPE.to_config()) == RECIPE
