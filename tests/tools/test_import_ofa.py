"""From a published checkpoint to evaluation and search on the command line."""

import json
import os
import pathlib
import socket
import subprocess
import sys
import tarfile

import numpy as np
import pytest

from ofa_tf import zoo
from ofa_tf.common import file_sha256
from ofa_tf.networks import PackedSupernet
from ofa_tf.spaces import Arch
from tests.binaries import run_binary
from tests.interop.test_specialized_checkpoint import published_state
from tests.reference import ROOT, shared
from tests.tools.test_binaries import run

FAMILIES = {
    "mbv3_w0.35": ("mobilenet_v3", "0.35"),
    "proxyless_w0.35": ("proxyless", "0.35"),
    "resnet_w0.1": ("resnet50", "0.0625,0.09375,0.125"),
}


@pytest.fixture(name="needs_torch")
def _needs_torch():
    pytest.importorskip("torch", reason="the extra `torch` is not installed")


@pytest.mark.usefixtures("needs_torch")
@pytest.mark.parametrize("name", FAMILIES)
def test_a_reference_checkpoint_becomes_a_supernet(tmp_path, name):
    """What the file holds gives the reference's logits; the report names every tensor."""
    family, widths = FAMILIES[name]
    output = tmp_path / "supernet.npz"
    checkpoint = shared(f"reference/{name}.pth")
    printed = run(
        "tools.import_ofa", f"--checkpoint={checkpoint}", f"--space={family}", f"--width_mult={widths}",
        f"--output={output}", anew=name == "mbv3_w0.35",
    )  # fmt: skip
    report = json.loads((tmp_path / "supernet.npz.report.json").read_text(encoding="utf-8"))
    assert f"{len(report['tensors'])} tensors" in printed
    packed = PackedSupernet.load(output)
    assert {line["target"] for line in report["tensors"]} == set(packed.net.named_variables())
    assert packed.provenance["sha256"] == report["sha256"]
    case = json.loads(shared(f"reference/{name}.json").read_text(encoding="utf-8"))["cases"][1]
    arrays = np.load(shared(f"reference/{name}.npz"))
    arch = packed.net.space.canonical(Arch.from_json({**case["arch"], "r": case["resolution"]}))
    logits = packed.net(arrays[f"images_{arch.r}"].transpose(0, 2, 3, 1), arch=arch).numpy()
    expected = arrays["logits"][1]
    np.testing.assert_allclose(logits, expected, atol=1e-4 * np.abs(expected).max(), rtol=0)


@pytest.mark.usefixtures("needs_torch")
def test_mistakes_are_one_line(tmp_path):
    """No such file or name, a space that does not fit, a wrong ending, a wrong hash; nothing is left behind."""
    checkpoint = shared("reference/mbv3_w0.35.pth")
    output = f"--output={tmp_path / 'out.npz'}"
    for arguments, message in (
        (("--checkpoint=nothing.pth", output), "no such file, and no published name; names are ofa_mbv3"),
        (("--checkpoint=resnet50D_MAC@4.1B", f"--output={tmp_path / 'out.keras'}"), "and no published name"),
        ((f"--checkpoint={checkpoint}", output), "of no space that has a name (it looks like MobileNetV3"),
        ((f"--checkpoint={checkpoint}", "--space=ofa_tiny", output), "has shape"),
        ((f"--checkpoint={checkpoint}", "--space=mobilenet_v3", output), "--width_mult: space mobilenet_v3 needs"),
        ((f"--checkpoint={checkpoint}", f"--output={tmp_path / 'out.pth'}"), "a supernet becomes a .npz file"),
        ((f"--checkpoint={checkpoint}", "--sha256=00", output), "SHA-256 is"),
    ):
        assert message in run("tools.import_ofa", *arguments, code=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("needs_torch")
def test_a_specialized_network_becomes_a_keras_file(tmp_path, monkeypatch):
    """By name, with the file where the cache wants it: the classes are the file's, and it opens without ofa_tf."""
    import torch

    classes = 7  # as after fine-tuning with the authors' code
    net = zoo.specialized("pixel1_lat-20ms_top1-71.4_finetune-25")
    model = net.build(classes)
    (tmp_path / "cache").mkdir()
    torch.save({"state_dict": published_state(net.blocks, model, "older")}, tmp_path / "cache" / net.name)
    monkeypatch.setenv("OFA_TF_CACHE", str(tmp_path / "cache"))
    output, report = tmp_path / "net.keras", tmp_path / "lines.json"
    printed = run("tools.import_ofa", f"--checkpoint={net.name}", f"--output={output}", f"--report={report}")
    lines = json.loads(report.read_text(encoding="utf-8"))
    assert len(lines["tensors"]) == len(model.weights)
    assert f"{len(model.weights)} tensors" in printed
    assert lines["sha256"] == file_sha256(tmp_path / "cache" / net.name)
    images = np.random.default_rng(0).normal(size=(2, net.resolution, net.resolution, 3)).astype(np.float32)
    np.save(tmp_path / "images.npy", images)
    code = (
        "import keras, numpy as np\n"
        "np.save('logits.npy', keras.models.load_model('net.keras')(np.load('images.npy')).numpy())\n"
    )
    done = subprocess.run([sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    expected = model(images, training=False).numpy()
    assert expected.shape == (2, classes)
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), expected, atol=1e-5 * np.abs(expected).max(), rtol=0)


def test_without_a_network(tmp_path, monkeypatch):
    """One line with the address, the place in the cache and the way around; the work failed, so the exit code is 1."""
    monkeypatch.setenv("OFA_TF_CACHE", str(tmp_path / "cache"))
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        monkeypatch.setenv("OFA_TF_MIRROR", f"http://127.0.0.1:{taken.getsockname()[1]}")
        name = "ofa_mbv3_d234_e346_k357_w1.2"
        line = run("tools.import_ofa", f"--checkpoint={name}", f"--output={tmp_path / 'out.npz'}", code=1)
    for part in (f"/ofa/ofa_nets/{name}", str(tmp_path / "cache" / name), "path in place of the name"):
        assert part in line
    assert not (tmp_path / "out.npz").exists()


def test_flags_that_contradict(tmp_path):
    """A name, or --specialized, already says what the file holds; nothing is fetched or written."""
    supernet, net = "--checkpoint=ofa_mbv3_d234_e346_k357_w1.0", "note10_lat-22ms_top1-76.6_finetune-25"
    (tmp_path / "file.pth").write_bytes(b"")
    file, output = f"--checkpoint={tmp_path / 'file.pth'}", f"--output={tmp_path / 'out.npz'}"
    for arguments, message in (
        ((supernet, "--space=ofa_tiny"), "leave --space out"),
        ((file, f"--specialized={net}", "--width_mult=1.0"), "leave --width_mult out"),
        ((file, "--width_mult=0.35"), "--width_mult: of which family"),
        ((file, "--space=ofa_efficientnet_lite", "--width_mult=0.5"), "has its own widths"),
        ((f"--checkpoint={tmp_path}",), "is a folder"),
    ):
        assert message in run("tools.import_ofa", *arguments, output, code=2)
    assert [path.name for path in tmp_path.iterdir()] == ["file.pth"]


def test_a_file_comes_before_the_name_that_it_has(tmp_path):
    """A file called as its authors call it is read, not fetched."""
    name = "ofa_mbv3_d234_e346_k357_w1.2"
    (tmp_path / name).write_bytes(b"no checkpoint")
    cache = tmp_path / "cache"
    done = subprocess.run(
        [sys.executable, "-m", "tools.import_ofa", f"--checkpoint={name}", "--output=out.npz"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OFA_TF_CACHE": str(cache), "OFA_TF_MIRROR": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 2
    assert "needs torch" in done.stderr or f"{name}: cannot be read" in done.stderr
    assert not cache.exists()


def test_without_torch(tmp_path):
    """The message says what to install."""
    checkpoint = shared("reference/mbv3_w0.35.pth")
    code = (
        "import importlib.abc, sys\n"
        "class Blocker(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, *_):\n"
        "        if name.partition('.')[0] == 'torch': raise ImportError(name)\n"
        "sys.meta_path.insert(0, Blocker())\n"
        f"sys.argv = ['import_ofa', '--checkpoint={checkpoint}', '--output={tmp_path / 'x.npz'}']\n"
        "import tools.import_ofa; tools.import_ofa.run()"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 2
    assert "needs torch, which is not installed; install it with: pip install torch" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module", name="imagenet")
def _imagenet(tmp_path_factory) -> pathlib.Path:
    """ImageNet's layout, `train/` and `val/` by wnid, of one photo for each of the 1,000 classes."""
    folder = tmp_path_factory.mktemp("imagenet")
    with tarfile.open(shared("data/imagenet_sample_1000.tar")) as archive:
        archive.extractall(folder / "train", filter="data")
    (folder / "val").symlink_to(folder / "train")
    return folder


def test_evaluation_on_an_imagenet_folder(tmp_path, imagenet):
    """`tools.evaluate --supernet` on `train/` and `val/` by wnid: all 1,000 classes, in the order of their wnids."""
    from ofa_tf import networks, spaces
    from ofa_tf.data import load

    data = load("folder", str(imagenet), validation=None, seed=0)
    assert data.class_names == tuple(sorted(path.name for path in (imagenet / "train").iterdir()))
    assert data.num_classes == 1000
    np.testing.assert_array_equal(np.sort(data.split("test").labels), np.arange(1000))
    supernet = tmp_path / "random.npz"
    PackedSupernet(networks.build(spaces.mobilenet_v3(0.35), seed=0)).save(supernet)
    printed = run(
        "tools.evaluate", f"--supernet={supernet}", "--arch=smallest", f"--data_dir={imagenet}", "--split=test"
    )
    found = json.loads(printed)
    assert (found["images"], found["split"]) == (1000, "test")
    assert 0 <= found["top1"] <= found["top5"] < 0.05  # random weights


@pytest.mark.usefixtures("needs_torch")
def test_search_with_the_published_predictor_and_table(tmp_path):
    """`.pth` and `.yaml` files as they are published; the weights' import command is printed."""
    official = shared("data/ofa_official/ofa")
    output = tmp_path / "arch.json"
    done = run_binary(
        "tools.search", f"--predictor={official / 'acc_predictor.pth'}", f"--latency_table={official / 'note10'}",
        "--max_latency_ms=25", "--resolutions=160,176,192,208,224", f"--output={output}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(output.read_text(encoding="utf-8"))
    assert found["predicted"]["latency_ms"] <= 25
    assert found["predicted_top1"] >= 0.8181  # the reference's search
    assert "python -m tools.import_ofa --checkpoint=ofa_mbv3_d234_e346_k357_w1.2" in done.stderr
    front = tmp_path / "front.json"
    common = (
        f"--predictor={official / 'acc_predictor.pth'}", f"--latency_table={official / 'note10'}", "--max_latency_ms=20"
    )  # fmt: skip
    assert "block stem-in3" in run("tools.search", *common, "--resolutions=128", f"--output={front}", code=2)
    assert "--resolutions=160,x: expected" in run(
        "tools.search", *common, "--resolutions=160,x", f"--output={front}", code=2
    )
    run("tools.search", *common, "--resolutions=160,192", "--front", f"--output={front}")
    assert {path.name for path in tmp_path.iterdir()} == {"arch.json", "front.json", "front.csv", "front.svg"}


def test_search_without_training_data_or_table_of_blocks(tmp_path):
    """The predictor that ships, and a latency fitted on measured networks of a GPU."""
    pairs = shared("data/ofa_mbv3_gpu_latency_ms.jsonl")
    space = "ofa_mbv3_d234_e346_k357_w1.0"
    gpu = tmp_path / "v100.npz"
    printed = run(
        "tools.fit_latency_predictor", f"--pairs={pairs}", f"--space={space}", "--setting=v100_64", "--count=500",
        f"--output={gpu}",
    )  # fmt: skip
    assert json.loads(printed)["mape"] < 2.2
    output = tmp_path / "arch.json"
    run("tools.search", f"--predictor={space}", f"--latency_table={gpu}", "--max_latency_ms=20", f"--output={output}")
    found = json.loads(output.read_text(encoding="utf-8"))
    assert found["predicted"]["latency_ms"] <= 20
    assert 0.72 < found["predicted_top1"] < 0.78
    assert "name one of them (--setting)" in run(
        "tools.fit_latency_predictor", f"--pairs={pairs}", f"--space={space}", f"--output={gpu}", code=2
    )
