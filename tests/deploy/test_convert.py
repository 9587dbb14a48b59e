import keras
import numpy as np
import pytest

from ofa_tf import deploy
from ofa_tf.common import InputError, OfaError


def _model():
    inputs = keras.Input((8, 8, 3))
    return keras.Model(inputs, keras.layers.Conv2D(4, 3)(inputs), name="small")


def test_blocks_keep_integers_at_their_borders():
    """Protects latency tables: a block inside an int8 network neither quantizes nor dequantizes."""
    data = deploy.convert(_model(), "int8", representative=[np.ones((8, 8, 3), np.float32)])
    runner = deploy.Runner(data)
    assert (runner.input_type, runner.output_type) == ("int8", "int8")
    assert "QUANTIZE" not in runner.operations


def test_a_refusal_is_one_line_with_the_converters_words(capfd):
    """Protects the cause of a failure, which the converter writes where the silence would swallow it."""
    inputs = keras.Input((8, 8, 3))
    model = keras.Model(inputs, keras.ops.erfinv(inputs), name="unsupported")
    with pytest.raises(OfaError, match="conversion of unsupported to float32 failed") as error:
        deploy.convert(model, "float32")
    assert "Erfinv" in str(error.value)
    assert "\n" not in str(error.value)
    assert capfd.readouterr() == ("", "")


def test_representative_inputs_are_for_int8():
    with pytest.raises(InputError, match="representative"):
        deploy.convert(_model(), "int8")
    with pytest.raises(InputError, match="representative"):
        deploy.convert(_model(), "float32", representative=[np.ones((8, 8, 3), np.float32)])
    with pytest.raises(InputError, match="trained ranges"):
        deploy.convert(_model(), "float32", trained_ranges=True)
    with pytest.raises(InputError, match="trained ranges"):
        deploy.convert(_model(), "int8", representative=[np.ones((8, 8, 3), np.float32)], trained_ranges=True)
    with pytest.raises(InputError, match="no representative inputs"):
        deploy.convert(_model(), "int8", representative=[])
