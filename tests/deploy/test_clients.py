"""Readers of files that need no browser: they open what is exported here, and answer as LiteRT does.

`python -m benchmarks.clients --install` brings them; tests whose client is not there are skipped.
"""

import functools
import json
import shutil
import subprocess

import numpy as np
import pytest

from ofa_tf import deploy
from ofa_tf.data.preprocessing import SYMMETRIC
from tests.benchmark_modules import benchmark_module
from tests.reference import ROOT

pytestmark = pytest.mark.slow
clients = benchmark_module("clients")

PRECISIONS = ("float32", "float16", "dynamic", "int8", "int16x8")
NAMES = ["cat", "dog", "bird", "fish"]
# Between two programs' code for the same arithmetic: of numbers that sum to 1.
TOLERANCES = {"dynamic": 0.02, "int8": 0.012, "int16x8": 1e-3}


@pytest.fixture(name="files", scope="module")
def _files(subnet, tmp_path_factory):
    """A file of each precision and input type, by these."""
    folder = tmp_path_factory.mktemp("files")
    facts = {"name": "a small net", "names": NAMES}
    network = deploy.Network.of_subnet(subnet.net, subnet.arch, SYMMETRIC, subnet.statistics, facts=facts)
    files = {}
    for precision in PRECISIONS:
        for input_type in ("uint8", "float32"):
            path = folder / f"{precision}_{input_type}.tflite"
            network.export(path, precision, representative_images=subnet.images, input_type=input_type, max_drop=1.0)
            files[path.stem] = path
    return files


def folder_of(title: str):
    """The environment of a client; the test is skipped where it or Node is missing."""
    folder = ROOT / "build" / "clients" / clients.folder_name(*clients._CLIENTS[title])
    if shutil.which("node") is None or not folder.is_dir():
        pytest.skip(f"needs node and {folder}; python -m benchmarks.clients --clients={title} --install makes that")
    return folder


@pytest.mark.parametrize("title", ["LiteRT.js", "tfjs-tflite"])
def test_clients_of_web_pages_answer_as_litert(subnet, files, tmp_path, title):
    """Protects web apps: every precision, with pixels and with floats, in WebAssembly."""
    folder, images = folder_of(title), subnet.images[:8]
    images.tofile(tmp_path / "images.raw")
    job = {
        "files": {name: str(path) for name, path in files.items()},
        "pixels": str(tmp_path / "images.raw"),
        "shape": images.shape,
        "quantization": {name: clients.quantization(path) for name, path in files.items()},
    }
    (tmp_path / "job.json").write_text(json.dumps(job))
    worker, answers = ROOT / "benchmarks" / "client_worker.mjs", tmp_path / "answers.json"
    command = ["node", worker, clients._CLIENTS[title][0], tmp_path / "job.json", answers]
    done = subprocess.run(list(map(str, command)), cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "refused" not in done.stdout
    for name, scores in json.loads(answers.read_text()).items():
        precision, _, input_type = name.partition("_")
        given = images if input_type == "uint8" else (images.astype(np.float32) - 128) / 128
        expected = deploy.Runner(files[name]).predict(given)
        np.testing.assert_allclose(scores, expected, atol=TOLERANCES.get(precision, 1e-4), rtol=0, err_msg=name)
    assert set(json.loads(answers.read_text())) == set(files)


def test_netron_shows_what_a_file_is(files):
    """Protects whoever looks into a file: name, tensors, metadata and operations are there, of every precision."""
    reader = clients.netron_reader(folder_of("Netron"))
    run = functools.partial(subprocess.run, capture_output=True, text=True, check=False)
    for name, path in files.items():
        done = run([*reader, str(path)])
        assert done.returncode == 0, done.stderr[-2000:]
        found = json.loads(done.stdout)
        assert found["format"] == "TensorFlow Lite v3"
        assert found["name"] == "a small net"
        assert "Image classifier of 4 classes, exported by ofa_tf" in found["description"]
        assert {"author", "ofa_tf"} <= set(found["metadata"])
        assert found["runtime"].rstrip("\0") in ("1.15.0", "2.4.0")
        assert found["signatures"] == ["classify"]
        ([images], [scores]) = found["inputs"], found["outputs"]
        # Its name in the graph, where that has other borders than the converter's, is not that of the signature.
        assert images["name"] in ("images", "border_images")
        assert images["types"] == [f"{name.partition('_')[2]}[1,32,32,3]"]
        assert images["kind"] == ["Image(RGB)"]
        assert scores["types"][0].endswith("[1,4]")
        assert "Conv2D" in found["operations"]
        assert "Softmax" in found["operations"]
    # And it does refuse what is none.
    broken = path.with_name("broken.tflite")
    broken.write_bytes(path.read_bytes()[:5000])
    assert run([*reader, str(broken)]).returncode != 0
