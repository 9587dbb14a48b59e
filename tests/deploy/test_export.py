import importlib

import numpy as np
import pytest

from ofa_tf import deploy
from ofa_tf.common import InputError, OfaError
from ofa_tf.data.preprocessing import PUBLISHED, SYMMETRIC

# How far the logits of a file may be from the Keras model's, in units of their spread.
LOGITS_TOLERANCE = {"float32": 1e-4, "float16": 0.02, "dynamic": 0.2, "int8": 0.6}


def _export(subnet, path, precision="int8", preprocessing=SYMMETRIC, max_drop=0.2, **options):
    return deploy.export(
        subnet.net,
        subnet.arch,
        subnet.statistics,
        path,
        precision=precision,
        preprocessing=preprocessing,
        representative_images=subnet.images,
        max_drop=max_drop,
        **options,
    )


def _keras_logits(subnet, preprocessing):
    return np.asarray(subnet.net.extract(subnet.arch, subnet.statistics)(preprocessing.normalize(subnet.images)))


@pytest.mark.parametrize("preprocessing", [SYMMETRIC, PUBLISHED], ids=["symmetric", "published"])
@pytest.mark.parametrize("precision", deploy.PRECISIONS)
def test_files_take_raw_images_and_agree_with_keras(subnet, tmp_path, precision, preprocessing, capfd):
    """Protects the whole of export: normalization inside, logits as Keras's, and no chatter."""
    report = _export(subnet, tmp_path / "model.tflite", precision, preprocessing)
    assert capfd.readouterr() == ("", "")
    runner = deploy.Runner(report.path)
    assert runner.input_type == report.input_type == "uint8"
    assert runner.input_shape == (1, 32, 32, 3)
    assert report.model_bytes == (tmp_path / "model.tflite").stat().st_size
    expected = _keras_logits(subnet, preprocessing)
    found = runner.predict(subnet.images)
    assert np.abs(found - expected).max() <= LOGITS_TOLERANCE[precision] * expected.std()
    assert report.agreement == np.mean(found.argmax(-1) == expected.argmax(-1))


@pytest.mark.parametrize("preprocessing", [SYMMETRIC, PUBLISHED], ids=["symmetric", "published"])
def test_int8_normalizes_by_its_input_scale_alone(subnet, tmp_path, preprocessing):
    """Protects the exact input quantization: nothing stands between the border and the stem's padding."""
    runner = deploy.Runner(_export(subnet, tmp_path / "model.tflite", preprocessing=preprocessing).path)
    assert runner.input_details["quantization"] == (1 / 128, 128)
    assert runner.operations[:3] == ["QUANTIZE", "PAD", "CONV_2D"]
    assert runner.output_type == "uint8"
    details = runner._interpreter.get_tensor_details()
    # XNNPACK names none of its own tensors.
    assert {np.dtype(tensor["dtype"]).kind for tensor in details if tensor["name"]} <= set("iu")


def test_split_form_is_one_partition(subnet, tmp_path):
    """Protects int8's speed: the default form leaves nothing to the slow kernels, the fused one does."""
    assert _export(subnet, tmp_path / "split.tflite").partitions == 1
    assert _export(subnet, tmp_path / "fused.tflite", form="fused").partitions > 1


def test_failed_check_leaves_nothing(subnet, tmp_path, monkeypatch):
    """Protects users from files that do not do what the network does."""
    module = importlib.import_module("ofa_tf.deploy.quantization")

    def convert_something_else(model, *arguments, **options):
        classifier = model.get_layer("head_classifier")
        classifier.set_weights([-weight for weight in classifier.get_weights()])
        return deploy.convert(model, *arguments, **options)

    monkeypatch.setattr(module, "convert", convert_something_else)
    with pytest.raises(OfaError, match="int8 file was checked on 48 images") as error:
        _export(subnet, tmp_path / "model.tflite")
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_labels_give_top1_of_both(subnet, tmp_path):
    labels = _keras_logits(subnet, SYMMETRIC).argmax(-1)
    report = _export(subnet, tmp_path / "m.tflite", "float32", check_images=subnet.images, check_labels=labels)
    assert (report.keras_top1, report.tflite_top1) == (1.0, 1.0)


def test_bad_images_are_named(subnet, tmp_path):
    arguments = (subnet.net, subnet.arch, subnet.statistics, tmp_path / "m.tflite")
    options = {"precision": "int8", "preprocessing": SYMMETRIC}
    with pytest.raises(InputError, match="no representative images"):
        deploy.export(*arguments, **options)
    with pytest.raises(InputError, match="expected uint8"):
        deploy.export(*arguments, **options, representative_images=subnet.images[:, :16])
    with pytest.raises(InputError, match="'int4' is unknown; known are float32"):
        deploy.export(*arguments, **{**options, "precision": "int4"}, representative_images=subnet.images)
    assert list(tmp_path.iterdir()) == []
