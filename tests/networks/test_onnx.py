"""The documented way to ONNX (docs/deployment.md): Keras's own export of an extracted model, run by onnxruntime."""

import numpy as np
import pytest

from ofa_tf import networks, spaces
from tests.micro import random_images


@pytest.mark.slow
@pytest.mark.parametrize("outputs", ["logits", "features"])
@pytest.mark.parametrize("family", ["mobilenet_v3", "proxyless", "resnet50", "efficientnet_v2"])
def test_onnxruntime_computes_what_keras_does(tmp_path, family, outputs):
    """Protects users of other runtimes: every family, logits and feature maps to 1e-4 of the largest."""
    pytest.importorskip("tf2onnx", reason="the extra `onnx` is not installed")
    onnxruntime = pytest.importorskip("onnxruntime", reason="the extra `onnx` is not installed")
    widths = (0.0625, 0.09375, 0.125) if family == "resnet50" else 0.35
    space = getattr(spaces, family)(widths, num_classes=10, resolutions=(64,))
    model, images = networks.build(space).extract(space.smallest(), outputs=outputs), random_images(3, 64)
    expected = model(images)
    model.export(tmp_path / "net.onnx", format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    found = session.run(None, {session.get_inputs()[0].name: np.asarray(images)})
    for values, maps in zip(found, expected.values() if outputs == "features" else [expected], strict=True):
        np.testing.assert_allclose(values, maps, atol=1e-4 * np.abs(maps).max())
