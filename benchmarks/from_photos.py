"""From photos to files, beside EfficientNet-Lite0 that is fine-tuned alone on the same photos.

    python -m benchmarks.from_photos --photos=flowers --native=lite0.npz --work_dir=runs/flowers \\
        --output=benchmarks/results/flowers.json
    python -m benchmarks.from_photos --photos=flowers --per_class=50 ...

The one command makes a first file, whose wall time counts, then one for each share of the published network's latency.
`--per_class` takes so many photos of each class to learn from, the first by name; test photos are always all. In the
end all files are timed in turns, and each one's accuracy on test photos, which decided nothing, is told.
"""

import pathlib
import statistics
import time

from absl import flags

from benchmarks.subset import link_photos
from ofa_tf.common import cli

_PHOTOS = flags.DEFINE_string("photos", None, "folder with train/<class>/ and test/<class>/ or val/", required=True)
_PER_CLASS = flags.DEFINE_integer("per_class", None, "of train/; all unless given", lower_bound=2)
_NATIVE = flags.DEFINE_string("native", None, "the published network, as tools.import_ofa packs it", required=True)
_SHARES = flags.DEFINE_list(
    "shares",
    ["0.4", "0.1", "0.15", "0.2", "0.25", "0.3", "0.5", "0.6", "0.8", "1.0"],
    "of its latency, first file first",
)
_WORK_DIR = flags.DEFINE_string("work_dir", None, "what is in it is not made again", required=True)
_ALONE = flags.DEFINE_bool("alone", True, "whether the published network is fine-tuned, too, or only timed as it is")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file for the figures", required=True)
_TURNS = 9


def main(argv):
    """Makes, measures and prints."""
    del argv
    import ofa_tf
    from ofa_tf.common import read_json, write_json
    from ofa_tf.deploy import Runner
    from ofa_tf.devices import HOST
    from ofa_tf.specialize import Target
    from ofa_tf.specialize.finetuned_baselines import measure_finetuned

    work = pathlib.Path(_WORK_DIR.value)
    photos = pathlib.Path(_PHOTOS.value)
    if _PER_CLASS.value is not None:
        photos = some_photos(photos, work / "photos", _PER_CLASS.value)
    native_ms = read_json(_latency_file(work), "latency")["native_ms"]
    targets = [Target(share, HOST, {"latency_ms": float(share) * native_ms}) for share in _SHARES.value]
    wall, begun = work / "wall_s.json", (work / "out").exists()
    began = time.monotonic()
    done = ofa_tf.specialize(photos=photos, targets=targets[:1], output=work / "out")
    if not wall.exists():
        # Of a run that went on the time is not known.
        write_json(wall, {"seconds": None if begun else time.monotonic() - began})
    done = ofa_tf.specialize(photos=photos, targets=targets, output=work / "out")
    kept = [result for result in done.results if result.path is not None and result.status != "failed"]
    rows = [
        {
            "name": f"sub-network, {result.target.name} of the latency",
            "side": result.arch.r,
            "macs": result.predicted["macs"],
            "bytes": result.measured["model_bytes"],
            "validation": result.tflite_top1,
            "validation_float": result.keras_top1,
            "test": result.test_top1,
            "path": str(result.path),
        }
        for result in kept
    ]
    if _ALONE.value:
        baselines = work / "baselines.json"
        measure = lambda file: Runner(file).time().median_ms  # noqa: E731
        measure_finetuned(
            baselines, _NATIVE.value, done.opened, precision="int8", threads=1, measure=measure, say=print
        )
        [(_, found)] = read_json(baselines, "baselines").items()
        [file] = (work / "baselines").glob("*.tflite")
        alone = {"name": f"{found['name']} alone", "side": found["resolution"], "bytes": file.stat().st_size}
        alone |= {"validation": found["top1"], "validation_float": found["float_top1"], "test": found["test_top1"]}
        rows.insert(0, {**alone, "path": str(file)})
    else:
        rows.insert(0, {"name": "the published network, untrained", "path": str(work / "native.tflite")})
    runners = [Runner(row["path"]) for row in rows]
    turns = [[runner.time().median_ms for runner in runners] for _ in range(_TURNS)]
    for row, times in zip(rows, zip(*turns, strict=True), strict=True):
        del row["path"]
        row["latency_ms"] = statistics.median(times)
        row["latency_share"] = statistics.median(it / turn[0] for it, turn in zip(times, turns, strict=True))
        accuracies = [f"{of} {100 * row[of]:.1f}%" for of in ("test", "validation", "validation_float") if of in row]
        told = [f"{row['name']}: {row['latency_ms']:.2f} ms ({row['latency_share']:.2f})", *accuracies]
        if "side" in row:
            told.insert(1, f"{row['side']} pixels")
        print(", ".join(told), flush=True)
    seconds = read_json(wall, "seconds")["seconds"]
    photo_count = len(done.opened.dataset.split("train")) + len(done.opened.dataset.split("validation"))
    if seconds is not None:
        print(f"{photo_count} photos to the first checked file: {seconds / 60:.1f} min")
    write_json(_OUTPUT.value, {"photos": photo_count, "seconds_to_first_file": seconds, "rows": rows})


def some_photos(photos: pathlib.Path, folder: pathlib.Path, per_class: int) -> pathlib.Path:
    """A folder of links: the first photos of each class to learn from, and all others' splits."""
    for of_class in (photos / "train").iterdir():
        link_photos(sorted(of_class.iterdir())[:per_class], folder / "train" / of_class.name)
    link_photos([split for split in photos.iterdir() if split.name != "train"], folder)
    return folder


def _latency_file(work: pathlib.Path) -> pathlib.Path:
    """The latency of the published network as an int8 file, untrained: budgets are shares of it."""
    from ofa_tf.common import write_json
    from ofa_tf.data import load
    from ofa_tf.deploy import Runner
    from ofa_tf.networks import PackedSupernet
    from ofa_tf.spaces import native_arch
    from ofa_tf.specialize import export_subnet
    from ofa_tf.specialize.opened import of_packed

    path = work / "native.json"
    if not path.exists():
        work.mkdir(parents=True, exist_ok=True)
        packed = PackedSupernet.load(_NATIVE.value)
        opened = of_packed(packed, load("folder", _PHOTOS.value), "native")
        arch, file = native_arch(opened.net.space), work / "native.tflite"
        export_subnet(opened, arch, file, split="validation", limit=20, max_drop=1.0)
        runner = Runner(file)
        write_json(path, {"native_ms": statistics.median(runner.time().median_ms for _ in range(_TURNS))})
    return path


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
