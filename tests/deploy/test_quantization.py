import functools

import keras
import numpy as np
import pytest

from ofa_tf import deploy
from ofa_tf.common import InputError
from ofa_tf.deploy.activation_ranges import activation_ranges, inner_tensors
from ofa_tf.deploy.convert import quantize_ranged
from ofa_tf.deploy.float_graph import FloatGraph
from ofa_tf.deploy.layer_errors import layer_errors, sqnr_db, table, worst_layers
from ofa_tf.deploy.quantization import quantize
from ofa_tf.networks.plain import build_plain, formed_weights
from ofa_tf.networks.supernet import set_plain_weights
from ofa_tf.spaces.form import QUANTIZERS


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


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_files_keep_what_export_promises(model, inputs, subnet, quantizer, capfd):
    """Protects both quantizers: raw images in, integers throughout, one partition, logits as Keras's, no chatter."""
    runner = deploy.Runner(quantize(model, inputs, quantizer=quantizer).data)
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
    theirs, ours = (deploy.Runner(data).predict(_as_images(inputs)) for data in (theirs, quantize(model, inputs).data))
    assert sqnr_db(expected, ours) > sqnr_db(expected, theirs)


def test_ranges_hold_what_matters(graph, ranges, inputs):
    """Protects ranges against a calibration that sees other tensors than the network computes."""
    written = list(inner_tensors(graph.data, inputs))
    for name, (low, high) in ranges.items():
        least, greatest = (function([function(tensors[name]) for tensors in written]) for function in (np.min, np.max))
        assert min(least, 0) - 1e-6 <= low <= 0 <= high <= max(greatest, 0) + 1e-6
    for tensor in (graph.input, graph.output):
        assert ranges[tensor][1] == pytest.approx(max(tensors[tensor].max() for tensors in written))


def test_what_hard_swish_ignores_gets_no_range(graph, ranges):
    """Protects the resolution of values above -3, below which hard-swish is zero."""
    hard_swishes = [name for name, (low, high) in graph.needed_ranges.items() if (low, high) == (-3, np.inf)]
    assert len(hard_swishes) >= 3
    assert all(ranges[name][0] >= -3 for name in hard_swishes)


def test_inner_tensors_are_the_networks(graph, inputs):
    """Protects the comparison of layers: what is read without XNNPACK is what the file computes with it."""
    expected = deploy.Runner(graph.data).predict(inputs[:3])
    found = np.concatenate([tensors[graph.output] for tensors in inner_tensors(graph.data, inputs[:3])])
    np.testing.assert_allclose(found, expected, atol=1e-4 * expected.std())


def test_layers_are_kerass(graph, subnet):
    """Protects reports that a user can read: every layer with weights, by its name, and every operation in one."""
    weights = subnet.net.plain_weights(subnet.arch, subnet.statistics)
    assert [layer.name for layer in graph.layers] == [name for name in weights if not name.endswith("_norm")]
    operations = [operation for layer in graph.layers for operation in layer.operations]
    assert len(set(operations)) == len(operations)
    assert all(layer.output in layer.operations for layer in graph.layers)


def test_the_layer_with_a_bad_range_is_found(graph, ranges, inputs):
    """Protects the choice of the worst layer, by making one the worst."""
    bad = graph.layers[2]
    spoiled = {**ranges, bad.output: tuple(60 * end for end in ranges[bad.output])}
    work = functools.partial(quantize_ranged, graph.with_ranges(spoiled))
    errors = layer_errors(graph, spoiled, work, inputs[:8])
    assert errors[0].layer == bad.name == worst_layers(graph, errors, 1)[0].name
    assert len(errors) == len(graph.layers)
    lines = table(errors).splitlines()
    assert len(lines) == 1 + len(errors)
    assert bad.name in lines[1]
    assert errors[0].to_dict()["layer"] == bad.name


@pytest.mark.parametrize("quantizer", QUANTIZERS)
def test_worst_layers_stay_in_float(model, inputs, quantizer):
    """Protects `float_layers`: as many as asked for compute in float, and with all in float the error is gone."""
    found = quantize(model, inputs[:8], quantizer=quantizer, float_layers=2)
    assert found.float_layers == tuple(error.layer for error in found.errors[:2])
    # The weights of two layers and what they compute; all others stay integers.
    floats = [kind for node, kind in _weights(found.data) if kind == "float32"]
    assert 2 <= len(floats) < len(_weights(found.data))
    everything = quantize(model, inputs[:8], quantizer=quantizer, float_layers=len(found.errors))
    runner = deploy.Runner(everything.data)
    assert (runner.input_type, runner.output_type) == ("uint8", "uint8")
    images = _as_images(inputs[:8])
    assert sqnr_db(np.asarray(model(inputs[:8])), runner.predict(images)) > 30


@pytest.mark.parametrize("border", ["uint8", "int8", "float32"])
def test_borders_compute_the_same(model, inputs, border):
    """Protects apps that hold their pixels in another type."""
    centred = _as_images(inputs).astype(np.int16) - 128
    taken = {"uint8": _as_images(inputs), "int8": centred.astype(np.int8), "float32": inputs}[border]
    for quantizer in QUANTIZERS:
        runner = deploy.Runner(quantize(model, inputs, quantizer=quantizer, input_type=border, output_type=border).data)
        assert (runner.input_type, runner.output_type) == (border, border)
        assert sqnr_db(np.asarray(model(inputs)), runner.predict(taken)) > 12


def test_mistakes_are_named(model, inputs):
    with pytest.raises(InputError, match="quantizer 'other' is unknown; known are tflite, ai_edge"):
        quantize(model, inputs, quantizer="other")
    with pytest.raises(InputError, match="no representative inputs"):
        quantize(model, inputs[:0])
    with pytest.raises(InputError, match="float_layers is 1000, expected 0 to"):
        quantize(model, inputs, float_layers=1000)


def _as_images(inputs: np.ndarray) -> np.ndarray:
    return np.round(inputs * 128 + 128).astype(np.uint8)


def _weights(data: bytes) -> list[tuple[str, str]]:
    """The operations with weights of a file, and the type that they give."""
    runner = deploy.Runner(data)
    return [
        (details["op_name"], np.dtype(details["result_types"][0]).name)
        for details in runner._interpreter._get_ops_details()
        if details["op_name"] in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED")
    ]
