import keras
import numpy as np
import pytest

from ofa_tf import deploy
from ofa_tf.common import InputError
from ofa_tf.deploy.quantization import FloatGraph, activation_ranges, inner_tensors, quantize
from ofa_tf.networks.plain import build_plain, formed_weights
from ofa_tf.networks.supernet import set_plain_weights


@pytest.fixture(scope="module")
def model(subnet) -> keras.Model:
    """The subnet, calibrated, in int8's form."""
    blocks = subnet.net.space.blocks(subnet.arch)
    model = build_plain(blocks, keras, form="folded-rows")
    weights = subnet.net.plain_weights(subnet.arch, subnet.statistics)
    set_plain_weights(model, formed_weights(blocks, weights, "folded-rows"))
    return model


@pytest.fixture(scope="module")
def inputs(subnet) -> np.ndarray:
    images = subnet.images.copy()
    images[0, 0, 0], images[0, -1, -1] = 0, 255
    return (images.astype(np.float32) - 128) / 128


@pytest.fixture(scope="module")
def graph(model) -> FloatGraph:
    return FloatGraph(deploy.convert(model, "float32"))


@pytest.fixture(scope="module")
def ranges(graph, inputs) -> dict:
    return activation_ranges(graph, inputs)


def test_files_keep_what_export_promises(model, inputs, subnet, capfd):
    """Raw images in, integers throughout, one partition, logits as Keras's, no chatter."""
    runner = deploy.Runner(quantize(model, inputs))
    assert capfd.readouterr() == ("", "")
    assert (runner.input_type, runner.output_type, runner.partitions) == ("uint8", "uint8", 1)
    assert runner.input_details["quantization"] == (1 / 128, 128)
    details = runner._interpreter.get_tensor_details()
    assert {np.dtype(tensor["dtype"]).kind for tensor in details if tensor["name"]} <= set("iu")
    expected = np.asarray(model(inputs))
    assert sqnr_db(expected, runner.predict(_as_images(inputs))) > 12


def test_ranges_of_our_own_lose_less_than_tf_lites(model, inputs):
    """Protects the reason for them: tf.lite's calibration reads tensors after they were overwritten."""
    expected = np.asarray(model(inputs))
    theirs = deploy.convert(model, "int8", representative=inputs, input_type="uint8", output_type="uint8")
    theirs, ours = (deploy.Runner(data).predict(_as_images(inputs)) for data in (theirs, quantize(model, inputs)))
    assert sqnr_db(expected, ours) > sqnr_db(expected, theirs)


def test_ranges_hold_what_matters(graph, ranges, inputs):
    """Protects ranges against a calibration that sees other tensors than the network computes."""
    written = list(inner_tensors(graph.data, inputs))
    for name, (low, high) in ranges.items():
        least, greatest = (function([function(tensors[name]) for tensors in written]) for function in (np.min, np.max))
        assert min(least, 0) - 1e-6 <= low <= 0 <= high <= max(greatest, 0) + 1e-6
    for tensor in (graph.input, *graph.outputs):
        assert ranges[tensor][1] == pytest.approx(max(tensors[tensor].max() for tensors in written))


def test_what_hard_swish_ignores_gets_no_range(graph, ranges):
    """Protects the resolution of values above -3, below which hard-swish is zero."""
    hard_swishes = [name for name, (low, high) in graph.needed_ranges.items() if (low, high) == (-3, np.inf)]
    assert len(hard_swishes) >= 3
    assert all(ranges[name][0] >= -3 for name in hard_swishes)


def test_inner_tensors_are_the_networks(graph, inputs):
    """Protects the comparison of layers: what is read without XNNPACK is what the file computes with it."""
    expected = deploy.Runner(graph.data).predict(inputs[:3])
    found = np.concatenate([tensors[graph.outputs[0]] for tensors in inner_tensors(graph.data, inputs[:3])])
    np.testing.assert_allclose(found, expected, atol=1e-4 * expected.std())


@pytest.mark.parametrize("border", ["uint8", "int8", "float32"])
def test_borders_compute_the_same(model, inputs, border):
    """Protects apps that hold their pixels in another type."""
    centred = _as_images(inputs).astype(np.int16) - 128
    taken = {"uint8": _as_images(inputs), "int8": centred.astype(np.int8), "float32": inputs}[border]
    runner = deploy.Runner(quantize(model, inputs, input_type=border, output_type=border))
    assert (runner.input_type, runner.output_type) == (border, border)
    assert sqnr_db(np.asarray(model(inputs)), runner.predict(taken)) > 12


def test_mistakes_are_named(model, inputs):
    with pytest.raises(InputError, match="no representative inputs"):
        quantize(model, inputs[:0])


def _as_images(inputs: np.ndarray) -> np.ndarray:
    return np.round(inputs * 128 + 128).astype(np.uint8)


def sqnr_db(signal: np.ndarray, found: np.ndarray) -> float:
    """The signal-to-quantization-noise ratio in decibels."""
    return float(10 * np.log10(np.sum(np.square(signal)) / np.sum(np.square(found - signal))))
