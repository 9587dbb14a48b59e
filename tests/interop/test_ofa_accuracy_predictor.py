"""The published accuracy predictors give the published accuracies."""

import json

import numpy as np
import pytest

from ofa_tf import interop, spaces
from ofa_tf.common import InputError
from ofa_tf.predictors import AccuracyPredictor
from tests.reference import shared


@pytest.fixture(autouse=True)
def _needs_torch():
    pytest.importorskip("torch", reason="the extra `torch` is not installed")


def test_mobilenet_predictions_equal_the_reference(tmp_path):
    """40 random architectures within 1e-5; saved in our format they are the same."""
    predictor = interop.load_ofa_accuracy_predictor(shared("data/ofa_official/ofa/acc_predictor.pth"))
    space = spaces.get("ofa_mbv3_d234_e346_k357_w1.2")
    cases = json.loads(shared("reference/note10_predictors.json").read_text(encoding="utf-8"))
    archs = [space.arch(**case["arch"], r=case["resolution"]) for case in cases]
    predicted = predictor.predict(space, archs)
    np.testing.assert_allclose(predicted, [case["predicted_top1"] for case in cases], atol=1e-5, rtol=0)
    predictor.save(tmp_path / "predictor.npz")
    saved = AccuracyPredictor.load(tmp_path / "predictor.npz")
    np.testing.assert_array_equal(saved.predict(space, archs), predicted)
    assert saved.resolutions == (160, 176, 192, 208, 224)
    with pytest.warns(UserWarning, match="asked about 128 pixels, known to be right for 160, 176"):
        assert 0.7 < saved.predict(space, [space.arch(r=128)])[0] < 0.9
    with pytest.raises(InputError, match=r"fitted on resolutions 112, .* asked about 132"):
        predictor.predict(space, [space.arch(r=132)])


def test_resnet_inputs_are_put_in_our_order():
    """Computed by hand from the file, in the order of inputs that the reference page states."""
    import torch

    path = shared("data/ofa_official/ofa/ofa_resnet50_acc_predictor.pth")
    predictor = interop.load_ofa_accuracy_predictor(path)
    space = spaces.get("ofa_resnet50")
    tensors = {name: value.numpy() for name, value in torch.load(path, map_location="cpu", weights_only=True).items()}
    rng = np.random.default_rng(0)
    archs = [space.largest(), space.smallest(), *(space.sample(rng, r=predictor.resolutions) for _ in range(20))]
    inputs = np.zeros((len(archs), 82), np.float32)
    for row, arch in zip(inputs, archs, strict=True):
        row[(128, 144, 160, 176, 192, 224, 240, 256).index(arch.r)] = 1
        row[8 + (arch.d[0] > 0)] = 1
        for place, index in enumerate(arch.w):
            row[10 + 3 * place + index] = 1
        for place, ratio in enumerate(arch.e):
            if ratio:
                row[28 + 3 * place + (0.2, 0.25, 0.35).index(ratio)] = 1
    values = inputs
    for layer in range(3):
        values = np.maximum(values @ tensors[f"layers.{layer}.0.weight"].T + tensors[f"layers.{layer}.0.bias"], 0)
    expected = (values @ tensors["layers.3.weight"].T)[:, 0] + tensors["base_acc"]
    predicted = predictor.predict(space, archs)
    np.testing.assert_allclose(predicted, expected, atol=1e-5)
    assert np.ptp(predicted) > 0.01


def test_files_that_are_no_such_predictor(tmp_path):
    """A supernet, and a predictor of another shape: one line that names the file."""
    import torch

    with pytest.raises(InputError, match=r"mbv3_w0\.35\.pth: found .*expected a published accuracy predictor"):
        interop.load_ofa_accuracy_predictor(shared("reference/mbv3_w0.35.pth"))
    path = tmp_path / "other.pth"
    torch.save({"0.weight": torch.zeros(1, 7), "0.bias": torch.zeros(1)}, path)
    with pytest.raises(InputError, match=r"other\.pth: a predictor with 7 inputs, expected 128 or 82"):
        interop.load_ofa_accuracy_predictor(path)
