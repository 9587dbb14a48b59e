import dataclasses
import functools
import importlib
import pathlib
import zipfile

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from ai_edge_litert.tools import flatbuffer_utils
from scipy.special import softmax

from ofa_tf import deploy
from ofa_tf.common import InputError, OfaError
from ofa_tf.data.preprocessing import PUBLISHED, SYMMETRIC
from ofa_tf.deploy.checked_file import _allowed_drop, _judge
from ofa_tf.deploy.model_file import _plain, described, model_card

# How far the logits of a file may be from the Keras model's, in units of their spread.
LOGITS_TOLERANCE = {"float32": 1e-4, "float16": 0.02, "dynamic": 0.2, "int8": 0.6, "int16x8": 0.3}


def _network(subnet, preprocessing=SYMMETRIC, **options):
    return deploy.Network.of_subnet(subnet.net, subnet.arch, preprocessing, subnet.statistics, **options)


def _export(subnet, path, precision="int8", preprocessing=SYMMETRIC, facts=None, **options):
    network = _network(subnet, preprocessing, facts=facts)
    options = {"max_drop": 0.2, "outputs": "logits", **options}
    return network.export(path, precision, representative_images=subnet.images, **options)


@pytest.fixture(scope="module", name="exported")
def _exported(subnet, tmp_path_factory):
    """Gives the report of an export; each file is made once for all tests."""

    @functools.cache
    def export(precision="int8", preprocessing=SYMMETRIC, **options):
        return _export(subnet, tmp_path_factory.mktemp("file") / "model.tflite", precision, preprocessing, **options)

    return export


def _keras_logits(subnet, preprocessing):
    return np.asarray(subnet.net.extract(subnet.arch, subnet.statistics)(preprocessing.normalize(subnet.images)))


@pytest.mark.parametrize("preprocessing", [SYMMETRIC, PUBLISHED], ids=["symmetric", "published"])
@pytest.mark.parametrize("precision", deploy.PRECISIONS)
def test_files_take_raw_images_and_agree_with_keras(subnet, exported, precision, preprocessing, capfd):
    """Protects the whole of export: normalization inside, logits as Keras's, and no chatter."""
    report = exported(precision, preprocessing)
    assert capfd.readouterr() == ("", "")
    runner = deploy.Runner(report.path)
    assert runner.input_type == report.input_type == "uint8"
    assert runner.input_shape == (1, 32, 32, 3)
    assert report.model_bytes == pathlib.Path(report.path).stat().st_size
    expected = _keras_logits(subnet, preprocessing)
    found = runner.predict(subnet.images)
    assert np.abs(found - expected).max() <= LOGITS_TOLERANCE[precision] * expected.std()
    assert report.agreement == np.mean(found.argmax(-1) == expected.argmax(-1))


@pytest.mark.parametrize("preprocessing", [SYMMETRIC, PUBLISHED], ids=["symmetric", "published"])
def test_int8_normalizes_by_its_input_scale_alone(exported, preprocessing):
    """Protects the exact input quantization: nothing stands between the border and the stem's padding."""
    runner = deploy.Runner(exported("int8", preprocessing).path)
    assert runner.input_details["quantization"] == (1 / 128, 128)
    assert runner.operations[:3] == ["QUANTIZE", "PAD", "CONV_2D"]
    assert runner.output_type == "uint8"
    details = runner._interpreter.get_tensor_details()
    # XNNPACK names none of its own tensors.
    assert {np.dtype(tensor["dtype"]).kind for tensor in details if tensor["name"]} <= set("iu")


@pytest.mark.parametrize(
    ("precision", "input_type", "output_type"),
    [
        ("float32", "float32", "float32"),
        ("int8", "int8", "int8"),
        ("int8", "float32", "float32"),
        ("int16x8", "float32", "float32"),
    ],
)
def test_other_borders_compute_the_same(subnet, exported, tmp_path, precision, input_type, output_type):
    """Protects apps that do not hold pixels as uint8: centred images give the class that raw ones give."""
    raw = exported(precision, PUBLISHED)
    other = _export(
        subnet, tmp_path / "other.tflite", precision, PUBLISHED, input_type=input_type, output_type=output_type
    )
    assert (other.input_type, other.output_type) == (input_type, output_type)
    centred = subnet.images.astype(np.int16) - 128
    centred = centred.astype(np.int8) if input_type == "int8" else centred.astype(np.float32) / 128
    expected = deploy.Runner(raw.path).predict(subnet.images)
    found = deploy.Runner(other.path).predict(centred)
    card = pathlib.Path(other.path).with_suffix(".md").read_text(encoding="utf-8")
    assert ("MediaPipe's `ImageClassifier` does not read this file" in card) == (input_type == "int8")
    assert ("region_of_interest" in card) == (input_type != "int8")
    # A step of an int8 output apart.
    assert np.abs(found - expected).max() <= 0.02 * np.ptp(expected)


@pytest.mark.parametrize("precision", deploy.PRECISIONS)
def test_probabilities_are_the_softmax_of_the_logits(subnet, exported, precision):
    """Protects apps' confidences, and what the logits file promises: types, partitions, top-1."""
    logits, report = exported(precision), exported(precision, outputs="probabilities")
    runner = deploy.Runner(report.path)
    found, expected = runner.predict(subnet.images), softmax(deploy.Runner(logits.path).predict(subnet.images), -1)
    step = 1 / 256 if precision == "int8" else 1e-6
    assert np.abs(found - expected).max() <= 2 * step
    assert np.abs(found.sum(-1) - 1).max() <= found.shape[-1] * step
    assert (report.input_type, report.output_type) == (logits.input_type, logits.output_type)
    # What is another class has next to the same probability.
    chosen = np.take_along_axis(expected, found.argmax(-1)[:, None], axis=-1)[:, 0]
    assert np.all(chosen >= expected.max(-1) - 2 * step)
    if precision == "int8":
        assert runner.output_details["quantization"] == (1 / 256, 0)
    # What XNNPACK runs of int16x8 files is little, and then the softmax.
    assert report.partitions == logits.partitions + (precision == "int16x8")
    assert deploy.read_description(report.path)["output"]["values"] == report.outputs == "probabilities"
    assert deploy.read_description(logits.path)["output"]["values"] == logits.outputs == "logits"
    classify = Interpreter(model_path=report.path).get_signature_runner("classify")
    assert list(classify.get_output_details()) == ["probabilities"]


def test_a_probability_can_be_a_float_in_an_int8_file(subnet, exported, tmp_path):
    """Protects those who need more than 256 steps: the softmax is of float numbers then."""
    report = _export(subnet, tmp_path / "m.tflite", outputs="probabilities", output_type="float32")
    found = deploy.Runner(report.path).predict(subnet.images)
    expected = softmax(deploy.Runner(exported("int8").path).predict(subnet.images), -1)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert report.partitions == 1


def test_dense_weights_have_one_scale(subnet, exported):
    """Protects runtimes up to 2.9, which read one scale whatever the file says, and answer by chance."""
    for precision in ("int8", "int16x8", "dynamic"):
        model = flatbuffer_utils.read_model(exported(precision).path)
        (graph,) = model.subgraphs
        dense = [
            it for it in graph.operators if flatbuffer_utils.opcode_to_name(model, it.opcodeIndex) == "FULLY_CONNECTED"
        ]
        scales = [graph.tensors[it.inputs[1]].quantization.scale for it in dense]
        assert len(dense) > 1
        assert all(scale is None or len(scale) == 1 for scale in scales)


def test_unusable_borders_are_refused(subnet, tmp_path):
    """Protects against a file that silently takes something else than was asked for."""
    with pytest.raises(InputError, match="outputs is 'scores', expected one of probabilities, logits"):
        _export(subnet, tmp_path / "m.tflite", outputs="scores")
    with pytest.raises(InputError, match="2 names for 4 classes"):
        _export(subnet, tmp_path / "m.tflite", facts={"names": ["cat", "dog"]})
    with pytest.raises(InputError, match="float32: input_type is 'int8', expected one of uint8, float32"):
        _export(subnet, tmp_path / "m.tflite", "float32", input_type="int8")
    with pytest.raises(InputError, match="int16x8: output_type is 'int8', expected one of float32"):
        _export(subnet, tmp_path / "m.tflite", "int16x8", output_type="int8")
    with pytest.raises(InputError, match="batch_size is 0"):
        _export(subnet, tmp_path / "m.tflite", batch_size=0)


def test_a_batch_at_a_time(subnet, exported, tmp_path):
    """Protects files that take several images at once: each gets the logits that it gets alone, the last ones too."""
    one = exported("float32", SYMMETRIC)
    several = _export(subnet, tmp_path / "several.tflite", "float32", batch_size=5)
    card = pathlib.Path(several.path).with_suffix(".md").read_text(encoding="utf-8")
    assert (
        "MediaPipe's `ImageClassifier` does not read this file: it takes uint8 or float32, one image at a time" in card
    )
    assert several.batch_size == deploy.Runner(several.path).input_shape[0] == 5
    expected, found = (deploy.Runner(report.path).predict(subnet.images[:7]) for report in (one, several))
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.ptp(expected))


def test_a_file_says_what_it_is(subnet, tmp_path):
    """Protects the description inside the file, its signature, and the model card beside it."""
    labels = _keras_logits(subnet, PUBLISHED).argmax(-1)
    facts = {
        "labels": ["n1", "n2", "n3", "n4"],
        "names": ["cat", "dog", "bird", "fish"],
        "checked": {"split": "holdout"},
        "provenance": {"supernet": "a test"},
    }
    report = _export(
        subnet,
        tmp_path / "model.tflite",
        preprocessing=PUBLISHED,
        check_images=subnet.images,
        check_labels=labels,
        facts=facts,
    )
    found = deploy.read_description(report.path)
    assert (found["labels"], found["names"]) == (facts["labels"], facts["names"])
    with zipfile.ZipFile(report.path) as archive:
        assert archive.read("labels.txt").decode().split() == facts["names"]
    assert found["arch"] == subnet.arch.to_dict()
    assert found["preprocessing"] == PUBLISHED.to_config()
    assert found["input"] == {"type": "uint8", "shape": [1, 32, 32, 3], "scale": 1 / 128, "zero_point": 128}
    assert found["checked"] == {
        "split": "holdout",
        "images": 48,
        "agreement": round(report.agreement, 6),
        "keras_top1": 1.0,
        "tflite_top1": round(report.tflite_top1, 6),
    }
    interpreter = Interpreter(model_path=report.path)
    classify = interpreter.get_signature_runner("classify")
    logits = classify(images=subnet.images[:1])["logits"]
    assert logits.argmax() == deploy.Runner(report.path).predict(subnet.images[:1]).argmax()
    card = (tmp_path / "model.md").read_text(encoding="utf-8")
    for words in (
        "Images are upright",
        "cat, dog, bird, fish",
        f"{100 * report.tflite_top1:.1f}%",
        "int8",
        "split holdout",
        "a test",
    ):
        assert words in card


def test_a_file_says_that_images_are_to_be_stretched(subnet, tmp_path):
    """In its description, and on its card in the place of the crop; a file of before tells of the crop."""
    stretched = dataclasses.replace(SYMMETRIC, resize="stretch")
    report = _export(subnet, tmp_path / "model.tflite", "float32", stretched)
    facts = deploy.read_description(report.path)
    assert facts["preprocessing"]["resize"] == "stretch"
    card = (tmp_path / "model.md").read_text(encoding="utf-8")
    assert "the whole upright image stretched to 32x32 pixels" in card
    assert "centre" not in card
    del facts["preprocessing"]["resize"]
    before = model_card("model.tflite", described(pathlib.Path(report.path).read_bytes(), facts))
    assert "the short side resized to 37 pixels" in before
    assert "stretched" not in before


def test_names_of_others_are_text_in_a_card():
    """Whatever a folder is called: the description has it as it is, and a card has no HTML and no markup of it."""
    labels = ["<script>alert(1)</script>", "new\nline", "*bold* [link](x)", "caf\u00e9 \U0001f41c", "a_b"]
    shown = [_plain(label) for label in labels]
    assert shown[0] == "&lt;script&gt;alert(1)&lt;/script&gt;"
    assert shown[1:] == ["new&#10;line", "\\*bold\\* \\[link\\](x)", "caf\u00e9 \U0001f41c", "a_b"]


def test_split_form_is_one_partition(subnet, exported, tmp_path):
    """Protects int8's speed: the default form leaves nothing to the slow kernels, the fused one does."""
    assert exported("int8", SYMMETRIC).partitions == 1
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


def test_a_place_that_cannot_be_written_is_found_first(subnet, tmp_path, monkeypatch):
    """Protects the minutes of a calibration and a conversion: neither begins for a result that would be lost."""
    monkeypatch.setattr(importlib.import_module("ofa_tf.deploy.network"), "quantize", None)
    for name in ("net-0.35", "model.md", "model"):
        with pytest.raises(InputError, match=rf"{name}: expected a name that ends with \.tflite"):
            _export(subnet, tmp_path / name)
    (tmp_path / "folder.tflite").mkdir()
    (tmp_path / "model.md").mkdir()
    for name in ("folder.tflite", "model.tflite"):
        with pytest.raises(InputError, match="is a folder, expected the path of a file to write"):
            _export(subnet, tmp_path / name)
    assert not (tmp_path / "model.tflite").exists()


def test_a_page_of_the_users_is_not_replaced(subnet, exported, tmp_path):
    """Protects notes of the same name as the file; a card of before, whatever was added to it, makes room."""
    path = tmp_path / "flowers.tflite"
    page = path.with_suffix(".md")
    page.write_text("# Flowers\n\nMy notes.\n")
    with pytest.raises(InputError, match=r"flowers\..*: is no card of an export"):
        _export(subnet, path, "float32")
    assert page.read_text() == "# Flowers\n\nMy notes.\n"
    card = pathlib.Path(exported().path).with_suffix(".md").read_text(encoding="utf-8")
    page.write_text(f"{card}My notes.\n", encoding="utf-8")
    _export(subnet, path, "float32")
    assert page.read_text(encoding="utf-8").startswith("# flowers.tflite\n")


@pytest.mark.parametrize("max_drop", [2, float("nan"), -0.1, "0.1"])
def test_a_limit_that_switches_the_check_off_is_refused(subnet, tmp_path, max_drop):
    """Protects the check itself: 2 for two percent, or no number, would let every file pass."""
    with pytest.raises(InputError, match=f"max_drop is {max_drop!r}, expected a number from 0 to 1"):
        _export(subnet, tmp_path / "model.tflite", max_drop=max_drop)
    assert list(tmp_path.iterdir()) == []


def test_features_have_no_limit_of_top1(subnet, tmp_path):
    """Protects users from a limit that nothing keeps."""
    with pytest.raises(InputError, match="features have none; leave it out"):
        _export(subnet, tmp_path / "model.tflite", outputs="features", max_drop=0.01)


def test_few_images_do_not_excuse_every_file():
    """Protects the check where there are few photos: one answer may change, a file that is wrong on all is refused."""
    for images in (1, 4, 6, 10, 20, 50, 1000):
        allowed = [_allowed_drop("int8", changed, images) * images + 1e-9 for changed in range(images + 1)]
        assert allowed[1] >= 1 or images > 100, "one answer"
        assert allowed[images] < max(2, 0.07 * images), "all of them"
    assert _allowed_drop("int8", 9, 1000) == pytest.approx(0.016), "what chance explains"


def test_a_drop_that_is_no_number_fails(exported):
    """Protects against a file that is kept because nothing compares with NaN."""
    report = dataclasses.replace(exported(), keras_top1=float("nan"), tflite_top1=0.5)
    with pytest.raises(OfaError, match="it was not kept"):
        _judge(report, 0.5, trained=False)


def test_labels_give_top1_of_both(subnet, tmp_path):
    labels = _keras_logits(subnet, SYMMETRIC).argmax(-1)
    report = _export(subnet, tmp_path / "m.tflite", "float32", check_images=subnet.images, check_labels=labels)
    assert (report.keras_top1, report.tflite_top1) == (1.0, 1.0)


def test_bad_images_are_named(subnet, tmp_path):
    network, path = _network(subnet), tmp_path / "m.tflite"
    with pytest.raises(InputError, match="no representative images"):
        network.export(path)
    with pytest.raises(InputError, match="expected uint8"):
        network.export(path, representative_images=subnet.images[:, :16])
    with pytest.raises(InputError, match="'int4' is unknown; known are float32"):
        network.export(path, "int4", representative_images=subnet.images)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_a_backbone_gives_its_feature_maps(subnet, tmp_path, precision):
    """Protects `outputs="features"`: names, shapes, Keras's values, what the file says, and the check."""
    network = _network(subnet, PUBLISHED, facts={"names": ["cat", "dog", "bird", "fish"]})
    path = tmp_path / "backbone.tflite"
    report = network.export(path, precision, representative_images=subnet.images, outputs="features")
    assert (report.outputs, report.agreement, report.partitions) == ("features", None, 1)
    expected = network.model(outputs="features")(PUBLISHED.normalize(subnet.images), training=False)
    found = deploy.Runner(path).predict_all(subnet.images)
    assert len(found) == len(expected)
    with pytest.raises(InputError, match="outputs, expected one; use predict_all"):
        deploy.Runner(path).predict(subnet.images)
    for values, maps in zip(found, expected.values(), strict=True):
        error = np.sqrt(np.mean(np.square(values - maps))) / np.std(maps)
        assert error <= {"float32": 1e-4, "int8": 0.3}[precision]
    output = deploy.read_description(path)["output"]
    shapes = {name: [1, *maps.shape[1:]] for name, maps in expected.items()}
    assert output == {"values": "features", "type": "float32", "shapes": shapes}
    extract = Interpreter(model_path=str(path)).get_signature_runner("extract")
    maps = extract(images=subnet.images[:1])
    np.testing.assert_allclose(maps["P2"], found[0][:1], atol=1e-5)
    assert not zipfile.is_zipfile(path)
    assert "P2" in path.with_suffix(".md").read_text(encoding="utf-8")
    with pytest.raises(InputError, match="features as uint8, expected float32"):
        network.export(path, precision, check_images=subnet.images, outputs="features", output_type="uint8")
