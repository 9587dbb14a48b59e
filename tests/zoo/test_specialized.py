"""The authors' 50 specialized networks: their figures, their sizes, and a model to begin with."""

import collections
import copy
import dataclasses
import json
import pathlib

import numpy as np
import pytest

from ofa_tf import interop, spaces, zoo
from ofa_tf.common import InputError
from tests.reference import shared
from tests.zoo import make_specialized
from tools.opening import ARCH_WORDS, read_arch, read_specialized, written_as


def test_all_fifty_have_the_published_sizes():
    """MACs, parameters and resolutions equal the reference's for every one."""
    reference = json.loads(shared("reference/specialized_nets.json").read_text(encoding="utf-8"))
    assert len(reference) == len(zoo.names()) == 50
    for line in reference:
        net = zoo.specialized(line["net"])
        assert (net.resolution, net.macs, net.params) == (line["resolution"], line["macs"], line["params"])
        assert net.blocks[0].out_channels == line["stem_channels"]


def test_what_ships_is_what_the_configurations_say():
    """Made anew from the published files, the shipped file is the same."""
    made = make_specialized.make(shared("data/ofa_official/ofa/ofa_specialized"))
    file = pathlib.Path(zoo.__file__).parent / "specialized.json"
    assert made == json.loads(file.read_text(encoding="utf-8"))
    for fields in made["networks"]:
        net = zoo.specialized(fields["name"])
        assert fields["arch"] == net.arch.to_dict()
        assert (fields["latency_ms"], fields["top1"], fields["space"]) == (net.latency_ms, net.top1, net.space.name)


def test_the_spaces_they_come_from():
    """24 of MobileNetV3 w1.0, 10 of w1.2, 16 of ProxylessNAS w1.3."""
    assert collections.Counter(zoo.specialized(name).space.name for name in zoo.names()) == {
        "ofa_mbv3_d234_e346_k357_w1.0": 24,
        "ofa_mbv3_d234_e346_k357_w1.2": 10,
        "ofa_proxyless_d234_e346_k357_w1.3": 16,
    }


@pytest.mark.parametrize(
    ("name", "device", "latency_ms", "batch_size", "top1", "epochs"),
    [
        ("note10_lat-22ms_top1-76.6_finetune-25", "note10", 22.0, 1, 0.766, 25),
        ("v100_gpu64-11ms_top1-76.1_finetune-25", "v100", 11.0, 64, 0.761, 25),
        ("LG-G8_lat-24ms_top1-76.4_finetune-25", "LG-G8", 24.0, 1, 0.764, 25),
        ("flops-595M_top1-80.0_finetune-75", "flops", None, 1, 0.8, 75),
    ],
)
def test_figures_come_from_the_published_name(name, device, latency_ms, batch_size, top1, epochs):
    """Device, latency and the batch it belongs to, top-1, fine-tuning."""
    net = zoo.specialized(name)
    found = (net.device, net.latency_ms, net.batch_size, net.top1, net.finetune_epochs)
    assert found == (device, latency_ms, batch_size, top1, epochs)


def test_a_model_to_begin_with():
    """A plain Keras model for one's own classes, of the size that is stated."""
    net = zoo.specialized("pixel1_lat-20ms_top1-71.4_finetune-25")
    model = net.build(num_classes=7)
    logits = model(np.zeros((1, net.resolution, net.resolution, 3), np.float32))
    assert logits.shape == (1, 7)
    trainable = sum(int(np.prod(weight.shape)) for weight in net.build().trainable_weights)
    assert trainable == net.params


def test_unknown_names():
    """The message names some that there are, of the same device where it can."""
    with pytest.raises(InputError, match=r"'note10_fast' is unknown; zoo\.names\(\) has 50, such as note10_lat-"):
        zoo.specialized("note10_fast")


def test_the_authors_own_spelling():
    """Their code writes @ where their files have -."""
    assert zoo.specialized("note10_lat@22ms_top1@76.6_finetune@25") is zoo.specialized(
        "note10_lat-22ms_top1-76.6_finetune-25"
    )
    assert interop.published_name("ofa_supernet_mbv3_w10") == "ofa_mbv3_d234_e346_k357_w1.0"
    assert {interop.published_name(name) for name in interop.published_names()} == set(interop.published_names())


def test_a_description_is_an_architecture_of_ones_own_supernet(tmp_path):
    """Of the same stages with other widths, at the image size beside it or at one that is given."""
    name = "note10_lat-22ms_top1-76.6_finetune-25"
    net = zoo.specialized(name)
    file = shared(f"data/ofa_official/ofa/ofa_specialized/{name}") / "net.config"
    assert read_arch(net.space, str(file)) == net.arch
    own = spaces.get("ofa_mbv3_d234_e346_k357_w0.5")
    found = read_arch(own, str(file))
    assert (found.ks, found.e, found.d) == (net.arch.ks, net.arch.e, net.arch.d)
    alone = tmp_path / "net.config"
    alone.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    with pytest.raises(InputError, match=r"says no image size.* give --resolution"):
        read_arch(own, str(alone))
    assert read_arch(own, str(alone), 160).r == 160
    with pytest.raises(InputError, match=r"net\.config, at 160 pixels: .*ks"):
        read_arch(own.restricted(ks=(3,)), str(alone), 160)
    with pytest.raises(InputError, match="has stages of"):
        read_arch(spaces.get("ofa_tiny"), str(file))
    assert read_specialized(str(file)).arch == net.arch
    changed = json.loads(file.read_text(encoding="utf-8"))
    for field, value in (("out_channels", 1000), ("act_func", "relu6"), ("use_se", "odd"), ("stride", 3)):
        other = copy.deepcopy(changed)
        other["blocks"][-1]["mobile_inverted_conv"][field] = value
        alone.write_text(json.dumps(other), encoding="utf-8")
        with pytest.raises(InputError, match=f"{field}|has stages of"):
            interop.read_net_config(alone, resolution=160)
    alone.write_text(json.dumps({**changed, "name": ["MobileNetV3"]}), encoding="utf-8")
    with pytest.raises(InputError, match="expected one of the published spaces"):
        interop.read_net_config(alone, resolution=160)
    alone.write_text('{"name": "MobileNetV3", "blocks": [{"x": 1}]}', encoding="utf-8")
    with pytest.raises(InputError, match=r"expected a net.config of the authors"):
        interop.read_net_config(alone)


def test_the_native_network_is_named_like_the_largest():
    """By a word, of a space around it, at its largest image side; a space around nothing says so."""
    space, native = spaces.native_space("MobileNetV2", num_classes=5, resolutions=(96, 128))
    assert read_arch(space, "native") == dataclasses.replace(native, r=128)
    assert read_arch(space, "native", 96).r == 96
    with pytest.raises(InputError, match="--arch=native: space ofa_tiny"):
        read_arch(spaces.get("ofa_tiny"), "native")
    assert {written_as(word, None, None) for word in ARCH_WORDS} == {("int8", None)}
