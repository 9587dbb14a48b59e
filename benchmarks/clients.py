"""Exported files in the clients that apps are made with: which open them, and whether they answer as LiteRT does here.

    python -m benchmarks.clients --install --output=benchmarks/results/clients.json

A sub-network that ships is exported in every precision, with uint8 and float32 input, and classifies the 300 photos
that ship in each client. `--install` puts each into an environment of its own (below `--environments`, made once; needs
a package index); one that is not there is left out with the reason; `--clients=Netron,LiteRT.js` tries these alone.
tflite-runtime's older versions need an older Python (`--old_python`). Most clients take the photos' centre, as the
networks were trained; MediaPipe stretches a whole photo unless it is told which part to take, and is compared with
LiteRT on photos that were stretched alike. With `--resize=stretch` the files are for stretched photos. Netron runs
nothing: what it shows of each file is noted.
Goals: MediaPipe within 0.5 point of LiteRT on stretched photos; int8 on tflite-runtime from 2.8 on within 1 point.
"""

import importlib.metadata
import importlib.util
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

from absl import flags

from ofa_tf.common import cli
from ofa_tf.common.config import check_one_of
from ofa_tf.common.resizing import RESIZES

_ARCH = flags.DEFINE_string("arch", "smallest", "largest, smallest, or a JSON file with an architecture")
_ENVIRONMENTS = flags.DEFINE_string("environments", "build/clients", "folder of the clients' environments")
_INSTALL = flags.DEFINE_bool("install", False, "make those that are missing")
_OLD_PYTHON = flags.DEFINE_string("old_python", "python3.9", "for runtimes that no newer Python has")
_OUTPUTS = flags.DEFINE_enum("output_type", "probabilities", ["probabilities", "logits"], "of the files")
_RESIZE = flags.DEFINE_enum("resize", RESIZES[0], list(RESIZES), "what the files are calibrated and checked on")
_ONLY = flags.DEFINE_list("clients", None, "names of clients, of the table's; all unless given")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the table")

_PRECISIONS = ("float32", "float16", "dynamic", "int8", "int16x8")
_OLD_RUNTIMES = ("2.7.0", "2.8.0", "2.9.1", "2.10.0", "2.11.0", "2.12.0", "2.13.0", "2.14.0")
# By the name of the environment: the worker's client, and what is installed ("" for this environment).
_CLIENTS = {
    **{f"tflite-runtime-{version}": ("tflite_runtime", version) for version in _OLD_RUNTIMES},
    "tf.lite": ("tensorflow", ""),
    "tflite-micro": ("tflite_micro", ""),
    "mediapipe": ("mediapipe", "1.2.3"),
    "mediapipe, centre": ("mediapipe_centred", "1.2.3"),
    "LiteRT.js": ("litertjs", "2.5.3"),
    "tfjs-tflite": ("tfjs_tflite", "0.0.1-alpha.10"),
    "Netron": ("netron", "9.3.3"),
}
_DISTRIBUTIONS = {
    "tensorflow": "tensorflow", "tflite_micro": "tflite-micro", "tflite_runtime": "tflite-runtime",
    "mediapipe_centred": "mediapipe",
}  # fmt: skip
# Of npm, by client; the last ones are what tfjs-tflite computes with.
_NODE_PACKAGES = {
    "litertjs": ("@litertjs/core@{version}",),
    "tfjs_tflite": (
        "@tensorflow/tfjs-tflite@{version}", "@tensorflow/tfjs-core@4.9.0", "@tensorflow/tfjs-backend-cpu@4.9.0",
    ),
}  # fmt: skip


def main(argv):
    """Exports, runs every client, and prints the table."""
    del argv
    import numpy as np

    from ofa_tf.common import write_json
    from ofa_tf.specialize import open_source

    for title in _ONLY.value or ():
        check_one_of("--clients", title, _CLIENTS)
    opened = open_source(supernet="ofa_imagenette_mbv3", resize=_RESIZE.value)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        files = exported(opened, folder)
        photos, labels = photos_of(opened.dataset)
        crops, stretched = prepared(opened, photos)
        np.save(folder / "images.npy", crops)
        crops.tofile(folder / "images.raw")
        job = {
            "files": {key: str(path) for key, path in files.items()},
            "images": str(folder / "images.npy"),
            "photos": photos,
            # Of clients in Node, which read no NumPy files and tell no quantization.
            "pixels": str(folder / "images.raw"),
            "shape": crops.shape,
            "quantization": {key: quantization(path) for key, path in files.items()},
        }
        (folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
        expected = {False: litert(files, crops), True: litert(files, stretched)}
        for is_stretched, scores in expected.items():
            title = "LiteRT, stretched" if is_stretched else "LiteRT"
            rows += table(title, version_of("ai-edge-litert"), scores, {}, scores, labels, files, opened)
        for title, (client, version) in _CLIENTS.items():
            if title not in (_ONLY.value or _CLIENTS):
                continue
            reference = expected[client == "mediapipe"]
            try:
                if client == "netron":
                    rows += shown(title, version, files)
                    continue
                scores, words = answers_of(title, client, version, folder)
            except FileNotFoundError as reason:
                rows.append({"client": title, "skipped": str(reason)})
                print(f"{title}: left out, {reason}", flush=True)
                continue
            version = version or version_of(_DISTRIBUTIONS[client])
            rows += table(title, version, scores, words, reference, labels, files, opened)
    if _OUTPUT.value:
        write_json(_OUTPUT.value, {"photos": len(labels), "rows": rows})


def exported(opened, folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """A file of each precision and input type, by these; what each loses is the result here."""
    from ofa_tf.specialize import export_subnet
    from tools.opening import read_arch

    arch = read_arch(opened.net.space, _ARCH.value, None)
    files = {}
    for precision in _PRECISIONS:
        for input_type in ("uint8", "float32"):
            path = folder / f"{precision}_{input_type}.tflite"
            export_subnet(
                opened, arch, path, split="validation", precision=precision, input_type=input_type,
                outputs=_OUTPUTS.value, max_drop=1.0,
            )  # fmt: skip
            files[path.stem] = path
    return files


def quantization(path: pathlib.Path) -> tuple[float, int]:
    """Scale and zero point of a file's scores."""
    from ofa_tf.deploy import read_description

    output = read_description(path)["output"]
    return output.get("scale", 1.0), output.get("zero_point", 0)


def photos_of(dataset) -> tuple[list[str], list[int]]:
    """The paths of all photos, trained on and not, and their classes."""
    splits = [dataset.split(name) for name in ("train", "validation")]
    photos = [split.describe(int(index)) for split in splits for index in split.indices]
    return photos, [int(label) for split in splits for label in split.labels]


def prepared(opened, photos: list[str]):
    """The photos as the files are calibrated for them; and whole photos stretched as MediaPipe does it."""
    import numpy as np
    import tensorflow as tf

    from ofa_tf.data import decode_image, evaluation_image
    from tools.opening import read_arch

    side = read_arch(opened.net.space, _ARCH.value, None).r
    preprocessing = opened.evaluator.preprocessing
    images = [decode_image(tf.io.read_file(photo)) for photo in photos]
    crops = [
        evaluation_image(image, side, preprocessing.crop_fraction, preprocessing.resize).numpy() for image in images
    ]
    # As OpenCV does it there: bilinear, from each pixel's corner, without a low-pass filter.
    stretched = [
        tf.raw_ops.ResizeBilinear(images=image[None], size=(side, side)).numpy()[0].round().astype(np.uint8)
        for image in images
    ]
    return np.stack(crops), np.stack(stretched)


def litert(files, images):
    """LiteRT's scores, of each file."""
    from ofa_tf.deploy import Runner

    from .client_worker import taken

    runners = {name: Runner(path) for name, path in files.items()}
    return {name: runner.predict(taken(images, runner.input_details["dtype"])) for name, runner in runners.items()}


def answers_of(title: str, client: str, version: str, folder: pathlib.Path):
    """A client's scores by file, and what else it says; `FileNotFoundError` says why where it is missing."""
    import numpy as np

    from ofa_tf.common import OfaError

    worker, job = pathlib.Path(__file__).with_name("client_worker"), folder / "job.json"
    if client in _NODE_PACKAGES:
        answers, home = folder / f"{client}.json", node_folder(client, version)
        command = ["node", str(worker.with_suffix(".mjs")), client, str(job), str(answers)]
    else:
        answers, home = folder / f"{client}{version}.npz", None
        python = environment(client, version) if version else own_python(client)
        command = [python, str(worker.with_suffix(".py")), client, str(job), str(answers)]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=False)
    said = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode:
        raise OfaError(f"{title}: ended with code {done.returncode} after {len(said)} files: {done.stderr[-200:]}")
    if home:
        scores = {name: np.array(rows) for name, rows in json.loads(answers.read_text(encoding="utf-8")).items()}
    else:
        with np.load(answers) as arrays:
            scores = dict(arrays)
    return scores, {words.pop("file"): words for words in said}


def own_python(client: str) -> str:
    """This Python, where it has a client."""
    if importlib.util.find_spec(client) is None:
        raise FileNotFoundError(
            f"{_DISTRIBUTIONS[client]} is not installed; pip install --pre {_DISTRIBUTIONS[client]}"
        )
    return sys.executable


def environment(client: str, version: str) -> str:
    """The Python of a client's environment, which is made where that is asked for."""
    package = _DISTRIBUTIONS.get(client, client)
    folder = pathlib.Path(_ENVIRONMENTS.value) / folder_name(client, version)
    python = folder / "bin" / "python"
    old = package == "tflite-runtime"
    packages = [f"{package}=={version}", *(["numpy<2"] if old else [])]
    base = _OLD_PYTHON.value if old else sys.executable
    made(folder, [base, "-m", "venv", str(folder)], [str(python), "-m", "pip", "install", "-q", *packages])
    return str(python)


def folder_name(client: str, version: str) -> str:
    """What the folder of a client's environment is called."""
    return f"{_DISTRIBUTIONS.get(client, client)}-{version}"


def node_folder(client: str, version: str) -> str:
    """The folder with a client for Node, which is made where that is asked for."""
    folder = pathlib.Path(_ENVIRONMENTS.value) / folder_name(client, version)
    packages = [package.format(version=version) for package in _NODE_PACKAGES[client]]
    made(folder, ["npm", "install", "--prefix", str(folder), *packages])
    return str(folder)


def shown(title: str, version: str, files: dict[str, pathlib.Path]) -> list[dict]:
    """The rows of Netron, which are printed, too."""
    if shutil.which("node") is None:
        raise FileNotFoundError("it needs node, which is not here")
    environment("netron", version)
    reader = netron_reader(pathlib.Path(_ENVIRONMENTS.value) / folder_name("netron", version))
    rows = []
    for name, path in files.items():
        precision, _, input_type = name.partition("_")
        row = {"client": title, "version": version, "precision": precision, "input_type": input_type}
        done = subprocess.run([*reader, str(path)], capture_output=True, text=True, check=False)
        row |= {"refused": done.stderr[-200:]} if done.returncode else {"shown": json.loads(done.stdout)}
        if "shown" in row:
            row["shown"]["operations"] = len(row["shown"]["operations"])
        print(f"{title} {version}, {precision}, {input_type} in: {row.get('refused') or 'shown'}", flush=True)
        rows.append(row)
    return rows


def netron_reader(environment_folder: pathlib.Path) -> list[str]:
    """The command that says of a file, whose path comes behind it, what the Netron of an environment shows."""
    [package] = environment_folder.glob("lib/python*/site-packages/netron")
    return ["node", str(pathlib.Path(__file__).with_name("netron_reader.mjs")), str(package)]


def made(folder: pathlib.Path, *commands: list[str]) -> None:
    """Makes an environment by commands, where it is missing and that is asked for."""
    needed = "node" if commands[0][0] == "npm" else commands[0][0]
    if shutil.which(needed) is None:
        raise FileNotFoundError(f"it needs {needed}, which is not here")
    if folder.exists():
        return
    if not _INSTALL.value:
        raise FileNotFoundError(f"not in {folder}; give --install")
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            shutil.rmtree(folder, ignore_errors=True)
            raise FileNotFoundError(f"cannot be installed: {done.stderr.strip().splitlines()[-1]}")


def version_of(distribution: str) -> str:
    """The version of an installed package."""
    return importlib.metadata.version(distribution)


def table(title, version, scores, words, reference, labels, files, opened) -> list[dict]:
    """The rows of a client, which are printed, too."""
    import numpy as np

    from ofa_tf.data.names import label_facts

    names = set(label_facts(opened.dataset)["names"])
    rows = []
    for name in files:
        precision, _, input_type = name.partition("_")
        row = {"client": title, "version": version, "precision": precision, "input_type": input_type}
        row["model_bytes"] = files[name].stat().st_size
        said = words.get(name, {})
        if name in scores:
            found, expected = scores[name].argmax(-1), reference[name].argmax(-1)
            row |= {
                "top1": float(np.mean(found == labels)),
                "litert_top1": float(np.mean(expected == labels)),
                "same_class": float(np.mean(found == expected)),
                "score_sum_error": float(np.abs(scores[name].sum(-1) - 1).max()),
            }
            if "names" in said:
                row["all_named"] = set(said["names"]) == names
        else:
            row["refused"] = said["refused"]
        result = row.get("refused") or (
            f"top-1 {100 * row['top1']:.1f}%, LiteRT {100 * row['litert_top1']:.1f}%, the same class on "
            f"{100 * row['same_class']:.1f}%, sums within {row['score_sum_error']:.4f} of 1"
            + (f", all named: {row['all_named']}" if "all_named" in row else "")
        )
        print(f"{title} {version}, {precision}, {input_type} in: {result}", flush=True)
        rows.append(row)
    return rows


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
