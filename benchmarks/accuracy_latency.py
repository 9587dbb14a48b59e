"""The README's picture: accuracy against latency, of found sub-networks and of what they are to be compared with.

    python -m benchmarks.accuracy_latency --output=docs/accuracy_latency.svg
    python -m benchmarks.accuracy_latency --measure --output=docs/accuracy_latency.svg

On the left the figures that the authors published for a Samsung Note10: their specialized networks (`ofa_tf.zoo`), and
MobileNetV3 and ProxylessNAS. On the right sub-networks of the supernet that ships, on one thread of this machine: those
that were searched, as int8 and as float32 files (top-1 from benchmarks/results/quantized_accuracy.json), and those with
the same depth, width and kernel size everywhere, which need no search (benchmarks/results/imagenette.json). All top-1
are of the same 1,000 photos that were never trained on.

With --measure the latencies are measured anew, about two minutes: all files in turns, with random weights, on which no
time depends. They are kept in benchmarks/results/accuracy_latency.json, from which the picture is drawn.
"""

import pathlib

from absl import flags

from ofa_tf.common import cli

_MEASURE = flags.DEFINE_bool("measure", False, "measure the latencies, instead of reading them")
_OUTPUT = flags.DEFINE_string("output", None, "the SVG", required=True)

_RESULTS = pathlib.Path("benchmarks/results")
_FIGURES = _RESULTS / "accuracy_latency.json"
# Turns of all files, of which the least disturbed counts.
_ROUNDS = 20
_WIDTH, _HEIGHT = 9.6, 4.4
_TICKS = (0.1, 0.2, 0.3, 0.5, 1, 2, 3, 5, 10, 20, 30, 50)


def main(argv):
    """Measures if asked to, and draws."""
    del argv
    from ofa_tf.common import read_json, write_json, write_text

    if _MEASURE.value:
        write_json(_FIGURES, measure(networks(_RESULTS)))
    rows = read_json(_FIGURES)["rows"]
    write_text(_OUTPUT.value, picture(rows))
    gains = gained(rows)
    print(f"searched above the best no slower one of one block, points: {min(gains):.1f} to {max(gains):.1f}")


def networks(results: pathlib.Path) -> list[dict]:
    """The sub-networks whose accuracy is known: group, precision, architecture, and top-1 of 1,000 photos."""
    from ofa_tf import spaces
    from ofa_tf.common import read_json

    rows = [
        {"group": "searched", "precision": row["kind"], "arch": row["arch"], "top1": row["tflite_top1"]}
        for row in read_json(results / "quantized_accuracy.json")["rows"]
        if row["kind"] in ("float32", "int8")
    ]
    uniform = read_json(results / "imagenette.json")
    space = spaces.get(uniform["space"])
    for row in uniform["rows"]:
        # "largest" and "smallest" are there a second time by their depth, width and kernel size.
        if row["subnet"].startswith("D"):
            depth, expand, kernel = (int(part[1:]) for part in row["subnet"].split("-"))
            arch = space.arch(d=depth, e=expand, ks=kernel, r=row["resolution"])
            rows.append({"group": "uniform", "precision": "float32", "arch": arch.to_dict(), "top1": row["top1"]})
    return rows


def measure(rows: list[dict]) -> dict:
    """The rows with their latencies, and what they were measured on."""
    import json

    from ofa_tf import devices, zoo
    from ofa_tf.common.form import precision_of
    from ofa_tf.devices.block_models import model_bytes
    from ofa_tf.spaces import Arch

    space = zoo.supernet("ofa_imagenette_mbv3").space
    models = []
    for row in rows:
        arch = space.canonical(Arch.from_json(json.dumps(row["arch"])))
        form = precision_of(row["precision"]).form
        models.append(model_bytes(space.blocks(arch), row["precision"], form=form))
    with devices.open("host", devices.BenchmarkOptions(threads=1)) as device:
        times_ms = device.compare(models, rounds=_ROUNDS)
        versions = dict(device.describe())
    rows = [{**row, "latency_ms": time_ms} for row, time_ms in zip(rows, times_ms, strict=True)]
    return {"unit": "ms", "space": space.name, "versions": versions, "rows": rows}


def gained(rows: list[dict]) -> list[float]:
    """For each searched float32 file, how many points it is above the best uniform one that is no slower."""
    uniform = [(row["latency_ms"], row["top1"]) for row in rows if row["group"] == "uniform"]
    gains = []
    for row in rows:
        if (row["group"], row["precision"]) == ("searched", "float32"):
            best = max((top1 for latency_ms, top1 in uniform if latency_ms <= row["latency_ms"]), default=None)
            gains += [] if best is None else [100 * (row["top1"] - best)]
    return gains


def panels(rows: list[dict]) -> list[tuple[str, str, list[tuple[str, str, list[tuple[float, float]]]]]]:
    """Title and axis of each half, and its series: looks, label, and points of milliseconds and percent."""
    from ofa_tf import zoo
    from ofa_tf.report import PUBLISHED_BASELINES

    found = [net for net in map(zoo.specialized, zoo.names()) if net.device == "note10"]
    published = [("found", "Once-for-All", sorted((net.latency_ms, 100 * net.top1) for net in found))]
    for look, name in (("first", "MobileNetV3"), ("second", "ProxylessNAS")):
        own = [it for it in PUBLISHED_BASELINES["note10"] if it.name.startswith(name)]
        published.append((look, name, sorted((it.cost, 100 * it.top1) for it in own)))

    def points(group: str, precision: str) -> list[tuple[float, float]]:
        own = [row for row in rows if (row["group"], row["precision"]) == (group, precision)]
        return sorted((row["latency_ms"], 100 * row["top1"]) for row in own)

    measured = [
        ("found", "searched, int8", points("searched", "int8")),
        ("float", "searched, float32", points("searched", "float32")),
        ("first", "one block everywhere, float32", points("uniform", "float32")),
    ]
    return [
        ("ImageNet on a Samsung Note10, as published", "latency in ms", published),
        ("10 kinds of photo on one CPU core, measured here", "latency in ms", measured),
    ]


def picture(rows: list[dict]) -> str:
    """The SVG, on white paper."""
    from matplotlib.figure import Figure

    from ofa_tf.report import style

    looks = {
        "found": ("D", style.VERMILLION, "-"),
        "float": ("s", style.ORANGE, "-"),
        "first": ("o", style.BLUE, "-"),
        "second": ("^", style.GREEN, "-"),
    }
    with style.drawing("accuracy_latency"):
        figure = Figure(figsize=(_WIDTH, _HEIGHT), layout="constrained")
        for axes, (title, label, series) in zip(figure.subplots(1, 2), panels(rows), strict=True):
            for look, name, points in series:
                marker, colour, line = looks[look]
                # Points that nobody would choose among belong to no line.
                line = "" if len(points) > 12 else line
                axes.plot(
                    *zip(*points, strict=True), color=colour, marker=marker, linestyle=line, markersize=6,
                    markeredgecolor="white", label=name,
                )  # fmt: skip
            axes.set(title=title, xlabel=label, ylabel="top-1 accuracy in %", xscale="log")
            ticks = [tick for tick in _TICKS if axes.get_xlim()[0] <= tick <= axes.get_xlim()[1]]
            axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
            axes.set_xticks([], minor=True)
            axes.margins(x=0.06, y=0.08)
            axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=2, columnspacing=1.2, handletextpad=0.4)
        names = "Top-1 accuracy against latency: published on a Note10, and measured here"
        svg = style.to_svg(figure, "accuracy_latency", names)
    opening, end, rest = svg.partition(">")
    return f'{opening}{end}<rect width="100%" height="100%" fill="#ffffff"/>{rest}\n'


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
