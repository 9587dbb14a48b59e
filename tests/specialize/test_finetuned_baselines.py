"""Published networks beside the search's front: they learn the same images, at their own size, and are kept."""

import json
import shutil

import pytest

from ofa_tf import networks, spaces
from ofa_tf.common import InputError
from ofa_tf.data import PUBLISHED, load
from ofa_tf.networks import PackedSupernet
from ofa_tf.specialize import finetuned_baselines
from ofa_tf.specialize.finetuned_baselines import check_network, measure_finetuned
from ofa_tf.specialize.opened import of_packed
from tests.data.image_files import write_folder
from tests.micro import nano_net


def packed_lite(path, **facts):
    """EfficientNet-Lite0 with random weights and small images, as tools.import_ofa packs it."""
    net = networks.build(spaces.efficientnet_lite(resolutions=(32,)), seed=0)
    PackedSupernet(net, PUBLISHED.to_config(), **facts).save(path)
    return str(path)


@pytest.mark.slow
def test_a_network_learns_the_images_and_is_measured_once(tmp_path, monkeypatch):
    """Its file, its accuracies and its latency are kept, and other images are another measurement."""
    monkeypatch.setattr(finetuned_baselines, "training_passes", lambda photos: 2)
    name = packed_lite(tmp_path / "lite0.npz", provenance={"network": "EfficientNetLite0", "weights": "random"})
    timed = []

    def measure(count: int, tests: int = 3) -> dict:
        photos = tmp_path / f"photos{count}"
        write_folder(photos / "train", {"ant": count, "bee": count})
        shutil.rmtree(photos / "test", ignore_errors=True)
        if tests:
            write_folder(photos / "test", {"bee": tests})
        opened = of_packed(PackedSupernet(nano_net(1)), load("folder", photos, 8), "nano")
        path = tmp_path / "out" / "baselines.json"
        path.parent.mkdir(exist_ok=True)
        measure_finetuned(
            path, name, opened, precision="int8", threads=1, measure=lambda file: timed.append(file) or 2.5, say=print
        )
        return json.loads(path.read_text())["EfficientNetLite0, fine-tuned, int8, 1 threads"]

    found = measure(20)
    assert (found["resolution"], found["latency_ms"], found["test_images"]) == (32, 2.5, 3)
    assert {found["top1"] * 8, found["test_top1"] * 3} <= set(range(9))
    assert timed[0].stat().st_size > 1e6
    assert measure(20) == found
    assert len(timed) == 1
    assert measure(20, tests=5)["test_images"] == 5
    assert not {"test_top1", "test_images", "test_data"} & set(measure(20, tests=0)), "of images that are gone"
    assert len(timed) == 1
    assert measure(24)["source"] != found["source"]
    assert len(timed) == 2


def test_what_is_no_published_network(tmp_path):
    """A supernet that was trained on is refused in one line, before anything is done."""
    with pytest.raises(InputError, match=r"not a published network as it was; give one as tools\.import_ofa packs it"):
        check_network(packed_lite(tmp_path / "mine.npz"))
