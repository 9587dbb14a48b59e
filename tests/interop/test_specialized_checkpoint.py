"""A specialized network's checkpoint goes into its plain Keras model, under old and new names, tensor by tensor."""

import keras
import numpy as np
import pytest

from ofa_tf import interop, networks, spaces
from ofa_tf.common import InputError
from ofa_tf.networks import build_plain
from tests.reference import shared

# Named as the authors' code names them, for a mobile block; {} is the number among the running blocks.
_LEVELS = {
    "older": ("mobile_inverted_conv.", "fc."),
    "current": ("conv.", ""),
}
_PARTS = {
    "expand": "inverted_bottleneck.conv",
    "expand_norm": "inverted_bottleneck.bn",
    "depthwise": "depth_conv.conv",
    "depthwise_norm": "depth_conv.bn",
    "se_reduce": "depth_conv.se.{se}reduce",
    "se_expand": "depth_conv.se.{se}expand",
    "project": "point_linear.conv",
    "project_norm": "point_linear.bn",
}
_VARIABLES = {"kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias"}
_VARIABLES |= {"moving_mean": "running_mean", "moving_variance": "running_var"}


@pytest.fixture(autouse=True)
def _needs_torch():
    pytest.importorskip("torch", reason="the extra `torch` is not installed")


def published_state(blocks, model, version: str) -> dict:
    """The model's weights as the authors' code saves them."""
    import torch

    level, se = _LEVELS[version]
    running = [block.name for block in blocks if block.kind not in ("stem", "head")]
    state = {}
    for layer in model.layers:
        for weight in layer.weights:
            block = next(block for block in blocks if layer.name.startswith(f"{block.name}_"))
            part = layer.name.removeprefix(f"{block.name}_")
            if block.kind == "stem":
                module = f"first_conv.{'bn' if part == 'norm' else 'conv'}"
            elif block.kind == "head":
                mix = "feature_mix_layer" if not block.feature_channels else "final_expand_layer"
                names = {"conv": f"{mix}.conv", "norm": f"{mix}.bn", "feature": "feature_mix_layer.conv"}
                module = names.get(part, "classifier.linear")
            else:
                module = f"blocks.{running.index(block.name)}.{level}{_PARTS[part].format(se=se)}"
            value = weight.numpy()
            if weight.name == "kernel" and value.ndim == 4:
                order = (2, 3, 0, 1) if part == "depthwise" else (3, 2, 0, 1)
                value = value.transpose(order)
            elif weight.name == "kernel":
                value = value.T if part == "classifier" else value.T[:, :, None, None]
            state[f"{module}.{_VARIABLES[weight.name]}"] = torch.tensor(np.ascontiguousarray(value))
            if weight.name == "gamma":
                state[f"{module}.num_batches_tracked"] = torch.tensor(3)
    return state


@pytest.mark.parametrize("version", ["older", "current"])
@pytest.mark.parametrize(("name", "family"), [("mbv3_w0.35", "mobilenet_v3"), ("proxyless_w0.35", "proxyless")])
def test_logits_survive_the_way(tmp_path, name, family, version):
    """A sub-network of a reference supernet, written as published (zip and legacy format) and read back."""
    import torch

    space = getattr(spaces, family)(0.35, num_classes=10)
    net = networks.build(space)
    interop.load_ofa_checkpoint(net, shared(f"reference/{name}.pth"))
    arch = space.sample(np.random.default_rng(3), r=(128,))
    blocks, model = space.blocks(arch), net.extract(arch)
    state = published_state(blocks, model, version)
    path = tmp_path / "init"
    torch.save({"state_dict": state}, path, _use_new_zipfile_serialization=version == "current")
    imported = build_plain(blocks, keras)
    report = interop.load_specialized_checkpoint(imported, blocks, path)
    assert {line.source for line in report} == {key for key in state if not key.endswith("num_batches_tracked")}
    images = np.random.default_rng(0).normal(size=(2, 128, 128, 3)).astype(np.float32)
    expected = model(images, training=False).numpy()
    np.testing.assert_array_equal(imported(images, training=False).numpy(), expected)
    assert np.ptp(expected) > 0.01


def test_checkpoints_that_do_not_fit(tmp_path):
    """A missing, an additional, a misshapen tensor: one line, and the model stays as it was."""
    import torch

    space = spaces.mobilenet_v3(0.35, num_classes=10)
    arch = space.smallest()
    blocks = space.blocks(arch)
    model = build_plain(blocks, keras)
    before = [weight.numpy() for weight in model.weights]
    whole = published_state(blocks, model, "older")
    key = "blocks.1.mobile_inverted_conv.depth_conv.conv.weight"
    path = tmp_path / "init"
    for change, message in (
        (lambda state: state.pop(key), r"init: has no tensor for stage1_block1/depthwise/kernel \(expected blocks.1"),
        (lambda state: state.update(other=torch.zeros(2)), r"init: 1 tensors have no place in this network \(other\)"),
        (lambda state: state.update({key: torch.zeros(3)}), rf"init: tensor {key} has shape \(3,\)"),
    ):
        state = dict(whole)
        change(state)
        torch.save({"state_dict": state}, path)
        with pytest.raises(InputError, match=message) as caught:
            interop.load_specialized_checkpoint(model, blocks, path)
        assert "\n" not in str(caught.value)
    for weight, value in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(weight.numpy(), value)
