"""The supernet computes what the extracted networks compute, for every architecture, in one trace."""

import dataclasses
import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from ofa_tf import networks, spaces
from ofa_tf.common import InputError
from ofa_tf.common.form import FORMS, HARD_SWISHES
from ofa_tf.networks.plain import build_plain
from ofa_tf.spaces import TENSOR_COLUMNS
from ofa_tf.training import sort_channels
from tests.micro import micro_net, micro_space, random_images


def fused_space(**changes):
    """Fused blocks at ratio 1, at others, and ordinary ones with gates."""
    options = {"num_classes": 10, "d": (1, 2), "resolutions": (32, 48), "fused_stages": 2, "strides": (1, 2, 2)}
    return spaces.efficientnet_v2(0.5, base_widths=(16, 16, 32, 48), head_width=64, **options | changes)


def check_extraction(net, count: int, resolutions=None) -> None:
    space = net.space
    logits = tf.function(
        lambda images, sizes: net(images, arch=sizes),
        autograph=False,
        input_signature=[
            tf.TensorSpec((None, None, None, 3)),
            tf.TensorSpec((len(space.positions), TENSOR_COLUMNS), tf.int32),
        ],
    )
    archs = [space.largest(), space.smallest()]
    archs += [space.sample(np.random.default_rng(seed), r=resolutions) for seed in range(count - 2)]
    for arch in archs:
        images = random_images(2, arch.r)
        np.testing.assert_allclose(
            net.extract(arch)(images, training=False), logits(images, space.to_array(arch)), atol=1e-4, rtol=1e-4
        )
    assert logits.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("count", [10, pytest.param(30, marks=pytest.mark.slow)])
def test_extraction_is_exact(count):
    """Random architectures: extracted model and supernet agree on logits, from one trace of the supernet."""
    check_extraction(micro_net(), count)


@pytest.mark.parametrize(
    "space",
    [
        spaces.proxyless(0.2, num_classes=10, d=(1, 2), resolutions=(48, 64)),
        spaces.resnet50((0.0625, 0.09375, 0.125), num_classes=10, d=(0, 1), resolutions=(48, 64)),
        micro_space(activation="relu6", name="relu6"),
        spaces.get("ofa_micro").replace(resolutions=(32, 48)),
        fused_space(),
        fused_space(activation="relu6"),
        spaces.native_space("MobileNetV3Small", num_classes=10, resolutions=(48, 63))[0],
        fused_space(activation="relu6").replace(padding="same", gates="efficientnet", ks=(3, 5), name="same"),
    ],
    ids=lambda space: space.name,
)
def test_extraction_is_exact_in_other_spaces(space):
    """ReLU6 blocks with and without gates; bottlenecks with elastic width and stem; fused blocks."""
    check_extraction(networks.build(space), 6)


@pytest.mark.slow
def test_extraction_is_exact_published_space():
    """The same for the published space."""
    check_extraction(networks.build(spaces.get("ofa_mbv3_d234_e346_k357_w1.0", num_classes=10)), 30, (128, 160))


def test_extraction_with_calibrated_statistics():
    """Statistics go into the extracted model as they go into the supernet, which keeps its own."""
    net = micro_net()
    before = net.state()
    arch = net.space.sample(np.random.default_rng(3))
    images = random_images(8, arch.r)
    logits, statistics = net.batch_statistics(images, arch)
    np.testing.assert_allclose(net(images, arch=arch, statistics=statistics), logits, atol=1e-4)
    np.testing.assert_allclose(net.extract(arch, statistics.numpy())(images, training=False), logits, atol=1e-4)
    assert np.abs(net(images, arch=arch) - logits).max() > 1e-2
    for name, value in net.state().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


FORMED = {
    "mobilenet_v3": lambda: micro_space(),
    "resnet50": lambda: spaces.resnet50((0.0625,), num_classes=10, e=(0.25,), d=(0,), resolutions=(33,)),
    "proxyless": lambda: spaces.proxyless(0.2, num_classes=10, ks=(5,), e=(3,), d=(2,), resolutions=(33,)),
    "efficientnet_v2": lambda: fused_space(resolutions=(33,)),
    # Padded as TensorFlow pads, with 7x7 kernels and the gates of EfficientNet.
    "same": lambda: micro_space().replace(padding="same", gates="efficientnet"),
}
# Without hard-swish, and with small kernels, the others are one of these.
DIFFERENT = dict.fromkeys(("mobilenet_v3", "same"), FORMS) | dict.fromkeys(
    ("resnet50", "proxyless", "efficientnet_v2"), ("fused-same", "folded")
)


@functools.cache
def _largest(family):
    """A supernet, and for its largest sub-network at three sizes the images and what the published form gives."""
    net = networks.build(FORMED[family]())
    largest, given = net.space.largest(), {}
    for resolution in (largest.r, largest.r + 1, largest.r + 2):
        arch, images = dataclasses.replace(largest, r=resolution), random_images(2, resolution)
        given[arch] = images, net.extract(arch)(images, training=False)
    return net, given


@pytest.mark.parametrize(
    ("family", "form"),
    [
        (family, form)
        for family in FORMED
        for form in sorted(FORMS.keys() - {"fused"})
        if family != "efficientnet_v2" or form in DIFFERENT[family]
    ],
)
def test_all_forms_agree(family, form):
    """How hard-swish, gates and paddings are written changes the file, not the network; at odd sizes neither."""
    net, given = _largest(family)
    for arch, (images, expected) in list(given.items())[: None if form in DIFFERENT[family] else 1]:
        found = net.extract(arch, form=form)(images, training=False)
        np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max())


def test_relu6_leaves_no_question_of_form():
    """Without hard-swish and gates, every way of writing them is the same model."""
    space = spaces.get("ofa_micro")
    blocks = space.blocks(space.smallest())
    written = []
    for form in HARD_SWISHES:
        # Layers without a name of ours are numbered from the beginning.
        keras.utils.clear_session()
        written.append(build_plain(blocks, keras, form=form).to_json())
    assert written == [written[0]] * len(HARD_SWISHES)


def test_extracted_model_is_plain_keras(tmp_path):
    """The extracted model is saved and loaded by Keras alone, without custom objects."""
    net = micro_net()
    arch = net.space.smallest()
    model = net.extract(arch)
    assert {type(layer).__module__.split(".")[0] for layer in model.layers} == {"keras"}
    model.save(tmp_path / "subnet.keras")
    images = random_images(2, arch.r)
    loaded = keras.models.load_model(tmp_path / "subnet.keras")
    np.testing.assert_array_equal(loaded(images), model(images))


@pytest.mark.parametrize("make", [micro_net, lambda: networks.build(fused_space())])
def test_parameters_are_counted_right(make):
    """`count_params` and `supernet_params` are what the networks really have."""
    net = make()
    trainable = sum(int(np.prod(variable.shape)) for variable in net.trainable_variables)
    assert trainable == net.space.supernet_params
    arch = net.space.sample(np.random.default_rng(5))
    model = net.extract(arch)
    assert sum(int(np.prod(v.shape)) for v in model.trainable_variables) == net.space.count_params(arch)


@pytest.mark.parametrize("supported", [(4,), (3, 4), (2, 3, 4)])
def test_sorting_keeps_supported_subnets(supported):
    """Sorting leaves the largest subnet's logits; smaller supported widths keep theirs where no unit of SE moves."""
    net = micro_net()
    images = random_images(2, 24)
    largest = net.space.largest()
    before = net(images, arch=largest)
    narrow = [net.space.arch(e=ratio, ks=5) for ratio in supported]
    channels_before = {arch: inner_channels(net, arch) for arch in narrow}
    kernels = [block.project.kernel.numpy() for block in net.blocks if hasattr(block, "project")]
    sort_channels(net, supported)
    np.testing.assert_allclose(net(images, arch=largest), before, atol=1e-4)
    moved = [block.project.kernel.numpy() for block in net.blocks if hasattr(block, "project")]
    assert any((old != new).any() for old, new in zip(kernels, moved, strict=True))
    for arch in narrow:
        for old, new in zip(channels_before[arch], inner_channels(net, arch), strict=True):
            np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("make", [micro_net, lambda: networks.build(small_resnet())])
def test_what_an_optimizer_keeps_moves_with_its_channels(make):
    """A slot that held the weights themselves still does so after sorting."""
    net = make()
    slots = {id(variable): [tf.Variable(variable.numpy())] for variable in net.trainable_variables}
    before = [slot.numpy() for (slot,) in slots.values()]
    sort_channels(net, net.space.choices("e")[-1:], slots)
    for variable in net.trainable_variables:
        np.testing.assert_array_equal(slots[id(variable)][0].numpy(), variable.numpy())
    assert any((slot.numpy() != old).any() for (slot,), old in zip(slots.values(), before, strict=True))


def small_resnet():
    return spaces.resnet50((0.0625, 0.125), num_classes=10, resolutions=(48,))


def test_sorting_bottlenecks_keeps_the_largest_subnet():
    """Both inner widths of a bottleneck are sorted, and its output stays."""
    net = networks.build(small_resnet())
    images, largest = random_images(2, 48), net.space.largest()
    before, kernel = net(images, arch=largest), net.blocks[5].spatial.kernel.numpy()
    sort_channels(net, (0.35,))
    assert (net.blocks[5].spatial.kernel.numpy() != kernel).any()
    np.testing.assert_allclose(net(images, arch=largest), before, atol=1e-4 * np.abs(before).max())


def test_sorting_fused_blocks_keeps_the_largest_subnet():
    """The inner channels of fused blocks are sorted; those at ratio 1 have none."""
    net = networks.build(fused_space())
    images, largest = random_images(2, 32), net.space.largest()
    before = net(images, arch=largest)
    single, fused = net.blocks[1].conv.kernel.numpy(), net.blocks[3].expand.kernel.numpy()
    sort_channels(net, (6,))
    np.testing.assert_array_equal(net.blocks[1].conv.kernel.numpy(), single)
    assert (net.blocks[3].expand.kernel.numpy() != fused).any()
    norms = np.abs(net.blocks[3].project.kernel.numpy()).sum((0, 1, 3))
    assert (np.diff(norms) <= 1e-6).all()
    np.testing.assert_allclose(net(images, arch=largest), before, atol=1e-4 * np.abs(before).max())


def inner_channels(net, arch) -> list[np.ndarray]:
    """For each block, the set of inner channels in use, each by its weights."""
    weights = net.plain_weights(arch)
    return [np.sort(value[0][0, 0].sum(1)) for name, value in weights.items() if name.endswith("_project")]


def test_sorting_puts_important_channels_first():
    """After sorting, the L1 norms of the projection's rows fall."""
    net = micro_net()
    sort_channels(net, (4,))
    for block in net.blocks:
        if block.block.expand:
            norms = np.abs(block.project.kernel.numpy()).sum((0, 1, 3))
            assert (np.diff(norms) <= 1e-6).all(), block.name


def test_states_of_other_spaces_are_refused():
    """Weights of another space are named and change nothing."""
    net, other = micro_net(), networks.build(micro_space(e=(2, 3)))
    before = net.state()
    with pytest.raises(InputError, match=r"expand.kernel has shape"):
        net.load_state(other.state(), source="weights.npz")
    with pytest.raises(InputError, match=r"weights.npz: tensor .* is missing"):
        net.load_state(dict(list(before.items())[:-1]), source="weights.npz")
    for name, value in net.state().items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize(
    ("space", "names"),
    [
        (spaces.proxyless(0.2, num_classes=10, d=(1, 2), resolutions=(64,)), ["P2", "P3", "P4", "P5"]),
        (
            spaces.resnet50((0.0625, 0.09375, 0.125), num_classes=10, d=(0, 1), resolutions=(64,)),
            ["P2", "P3", "P4", "P5"],
        ),
        (spaces.mobilenet_v3(0.35, num_classes=10, d=(1, 2), resolutions=(64,)), ["P2", "P3", "P4", "P5"]),
        (fused_space(resolutions=(64,)), ["P2", "P3"]),
    ],
    ids=["proxyless", "resnet50", "mobilenet_v3", "few strides"],
)
def test_features_are_the_maps_before_each_stride(space, names):
    """Protects backbones: strides and names as keras_hub has them, and the very maps that the classifier is fed."""
    net = networks.build(space)
    arch = space.sample(np.random.default_rng(0))
    backbone, images = net.extract(arch, outputs="features"), random_images(2, 64)
    features = backbone(images, training=False)
    assert list(features) == names
    assert [features[name].shape[1] for name in names] == [64 // 2 ** int(name[1]) for name in names]
    plain = net.extract(arch)
    head = [layer for layer in plain.layers if layer.name.startswith("head")]
    before = keras.Model(plain.input, head[0].input)(images, training=False)
    # A ResNet's head begins with the pooling, which has no name of its own.
    last = features[names[-1]] if len(before.shape) == 4 else tf.reduce_mean(features[names[-1]], axis=(1, 2))
    np.testing.assert_allclose(last, before, atol=1e-5)
    # A segmentation head gets gradients through all of it.
    assert all(weight.path.partition("_")[0] != "head" for weight in backbone.weights)
    with pytest.raises(InputError, match="outputs is 'maps', expected logits or features"):
        net.extract(arch, outputs="maps")
