"""The authors' checkpoints give the authors' numbers, in all three families."""

import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf

from ofa_tf import interop, networks, spaces
from ofa_tf.common import InputError
from ofa_tf.interop.ofa_checkpoint import canonical_key
from ofa_tf.spaces import TENSOR_COLUMNS, Space
from tests.reference import shared

SPACES = {
    "mbv3_w0.35": lambda: spaces.mobilenet_v3(0.35, num_classes=10),
    "proxyless_w0.35": lambda: spaces.proxyless(0.35, num_classes=10),
    "resnet_w0.1": lambda: spaces.resnet50((0.0625, 0.09375, 0.125), num_classes=10),
}


@pytest.fixture(autouse=True)
def _needs_torch():
    pytest.importorskip("torch", reason="the extra `torch` is not installed")


def arch_of(space: Space, case: dict):
    arch = space.largest() if case["arch"].get("max") else space.arch(**case["arch"])
    return space.canonical(dataclasses.replace(arch, r=case["resolution"]))


@pytest.mark.parametrize("name", SPACES)
def test_logits_equal_the_reference(name):
    """24 sub-networks: within 1e-4 of the largest logit, through the supernet and extracted; MACs and params exact."""
    net = networks.build(SPACES[name]())
    interop.load_ofa_checkpoint(net, shared(f"reference/{name}.pth"))
    arrays = np.load(shared(f"reference/{name}.npz"))
    cases = json.loads(shared(f"reference/{name}.json").read_text(encoding="utf-8"))["cases"]
    assert len(cases) == 24
    logits = tf.function(
        lambda images, sizes: net(images, arch=sizes),
        autograph=False,
        input_signature=[
            tf.TensorSpec((None, None, None, 3)),
            tf.TensorSpec((len(net.space.positions), TENSOR_COLUMNS), tf.int32),
        ],
    )
    for case, expected in zip(cases, arrays["logits"], strict=True):
        arch = arch_of(net.space, case)
        assert (net.space.count_macs(arch), net.space.count_params(arch)) == (case["macs"], case["params"])
        images = arrays[f"images_{arch.r}"].transpose(0, 2, 3, 1)
        tolerance = 1e-4 * np.abs(expected).max()
        np.testing.assert_allclose(logits(images, net.space.to_array(arch)), expected, atol=tolerance, rtol=0)
        np.testing.assert_allclose(net.extract(arch)(images, training=False), expected, atol=tolerance, rtol=0)


def test_every_tensor_is_accounted_for():
    """Nothing of the checkpoint is dropped in silence, and every variable is set."""
    import torch

    net = networks.build(SPACES["mbv3_w0.35"]())
    path = shared("reference/mbv3_w0.35.pth")
    report = interop.load_ofa_checkpoint(net, path)
    content = torch.load(path, weights_only=True)["state_dict"]
    assert {line.source for line in report} == {name for name in content if not name.endswith("num_batches_tracked")}
    assert {line.target for line in report} == set(net.named_variables())


def test_older_names_are_the_same_keys():
    """Published checkpoints have other levels in their names."""
    older = "blocks.3.mobile_inverted_conv.depth_conv.bn.running_mean"
    assert canonical_key(older) == canonical_key("blocks.3.conv.depth_conv.bn.bn.running_mean")
    assert canonical_key("classifier.linear.linear.bias") == canonical_key("classifier.linear.bias")
    assert canonical_key("blocks.1.conv.depth_conv.conv.weight") != canonical_key("blocks.1.conv.depth_conv.bn.weight")


def test_the_number_of_classes_is_the_files(tmp_path):
    """Ten in the reference's; a file without a classifier is named."""
    import torch

    assert interop.class_count(shared("reference/proxyless_w0.35.pth")) == 10
    path = tmp_path / "changed.pth"
    for content in ({}, {"classifier.linear.weight": torch.zeros(3)}):
        torch.save({"state_dict": content}, path)
        with pytest.raises(InputError, match=r"changed\.pth: has no tensor for the classifier"):
            interop.class_count(path)


def test_checkpoints_that_do_not_fit(tmp_path):
    """Another space, a missing or an additional tensor, a damaged file: one line each, and nothing is loaded."""
    import torch

    net = networks.build(SPACES["mbv3_w0.35"]())
    before = net.state()
    with pytest.raises(InputError, match=r"resnet_w0\.1\.pth: has no tensor for stem/conv/kernel"):
        interop.load_ofa_checkpoint(net, shared("reference/resnet_w0.1.pth"))
    whole = torch.load(shared("reference/mbv3_w0.35.pth"), weights_only=True)["state_dict"]
    path = tmp_path / "changed.pth"
    for change, message in (
        (lambda content: content.pop("classifier.linear.bias"), "has no tensor for head/classifier/bias"),
        (lambda content: content.update(other=torch.zeros(3)), "1 tensors have no place.*other"),
        (lambda content: content.update({"classifier.linear.bias": torch.zeros(3)}), r"shape \(3,\)"),
        (lambda content: content.update({"classifier.bias": torch.zeros(3)}), "name the same tensor"),
    ):
        content = dict(whole)
        change(content)
        torch.save({"state_dict": content}, path)
        with pytest.raises(InputError, match=message):
            interop.load_ofa_checkpoint(net, path)
    path.write_bytes(shared("reference/mbv3_w0.35.pth").read_bytes()[:5000])
    with pytest.raises(InputError, match=r"changed\.pth: cannot be read") as caught:
        interop.load_ofa_checkpoint(net, path)
    assert "\n" not in str(caught.value)
    for name, value in net.state().items():
        np.testing.assert_array_equal(value, before[name])
