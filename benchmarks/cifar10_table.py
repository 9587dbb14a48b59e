"""The tables and the picture of docs/results/cifar10.md, of whatever rows are finished.

    python -m benchmarks.cifar10_table --picture=docs/results/cifar10.svg

Accuracies are of the 5,000 held-out images, in per cent; a single one has a standard error of about half a point.
"""

import pathlib

from absl import flags

from ofa_tf.common import cli

_RESULTS = flags.DEFINE_string("results", "benchmarks/results/cifar10", "folder of benchmarks.cifar10")
_PICTURE = flags.DEFINE_string("picture", None, "SVG file for the corners with and without the schedule")
_SPACES = ("ofa_cifar_s", "ofa_cifar_m")
_WITH, _WITHOUT = "s_delayed_seed", "s_joint60_seed"


def main(argv):
    """Prints the tables, and draws."""
    del argv
    from ofa_tf.common import write_text

    rows = read_rows(pathlib.Path(_RESULTS.value))
    for space in _SPACES:
        own = {name: row for name, row in rows.items() if row["config"]["space"] == space}
        if own:
            print(f"\n{space}\n\n{table(own)}")
    print(f"\n{alone_table(rows)}\n\n{cost_table(rows)}")
    if _PICTURE.value:
        write_text(_PICTURE.value, picture(rows))


def read_rows(folder: pathlib.Path) -> dict[str, dict]:
    """What `benchmarks.cifar10_score` wrote of each row, in the order of the rows."""
    from benchmarks.cifar10_config import PILOTS, ROWS
    from ofa_tf.common import InputError, read_json

    rows = {name: folder / f"{name}.json" for name in ROWS | PILOTS}
    found = {name: read_json(path, "row") for name, path in rows.items() if path.exists()}
    if not found:
        raise InputError(f"--results={folder}: no row is finished; run benchmarks.cifar10")
    return found


def accuracies(row: dict) -> dict[str, float]:
    """Top-1 of each sub-network of a row, in per cent."""
    return {subnet["subnet"]: 100 * subnet["top1"] for subnet in row["subnets"]}


def means(row: dict) -> tuple[float, float]:
    """Mean top-1 of the corners and of the random sub-networks of a supernet."""
    tops = accuracies(row)
    random = [top1 for name, top1 in tops.items() if name.startswith("random")]
    corners = [top1 for name, top1 in tops.items() if not name.startswith("random")]
    return sum(corners) / len(corners), sum(random) / max(1, len(random))


def table(rows: dict[str, dict]) -> str:
    """The supernets of one space: a line for each corner, then the means."""
    supernets = {name: row for name, row in rows.items() if len(row["subnets"]) > 1}
    if not supernets:
        return "no supernet is finished"
    first = next(iter(supernets.values()))
    lines = [["sub-network", "million MACs", *supernets]]
    for subnet in first["subnets"]:
        if not subnet["subnet"].startswith("random"):
            tops = [f"{accuracies(row)[subnet['subnet']]:.1f}" for row in supernets.values()]
            lines.append([subnet["subnet"], f"{subnet['macs'] / 1e6:.2f}", *tops])
    for place, what in enumerate(("mean of the corners", "mean of the random ones")):
        lines.append([what, "", *(f"{means(row)[place]:.2f}" for row in supernets.values())])
    return markdown(lines)


def alone_table(rows: dict[str, dict]) -> str:
    """Each network that was trained alone, beside its twin in the supernets of its space."""
    alone = {name: row for name, row in rows.items() if len(row["subnets"]) == 1}
    twins = {name: row for name, row in rows.items() if "_delayed_" in name or "_joint60_" in name}
    lines = [["alone", "sub-network", "million MACs", "top-1", *twins]]
    for name, row in alone.items():
        (subnet,) = row["subnets"]
        same = [row["config"]["space"] == twin["config"]["space"] for twin in twins.values()]
        tops = [accuracies(twin).get(subnet["subnet"]) for twin in twins.values()]
        beside = [f"{top1:.1f}" if fits and top1 is not None else "" for fits, top1 in zip(same, tops, strict=True)]
        lines.append([name, subnet["subnet"], f"{subnet['macs'] / 1e6:.2f}", f"{100 * subnet['top1']:.1f}", *beside])
    return markdown(lines)


def cost_table(rows: dict[str, dict]) -> str:
    """What each row took."""
    lines = [["row", "passes", "minutes of training, the machine shared"]]
    for name, row in rows.items():
        passes = sum(stage["epochs"] + stage["warmup_epochs"] for stage in row["config"]["stages"].values())
        lines.append([name, f"{passes:g}", f"{row['training_seconds'] / 60:.0f}"])
    return markdown(lines)


def markdown(lines: list[list[str]]) -> str:
    """A table whose first line is its head."""
    texts = [f"| {' | '.join(line)} |" for line in lines]
    return "\n".join([texts[0], "|---" * len(lines[0]) + "|", *texts[1:]])


def picture(rows: dict[str, dict]) -> str:
    """An SVG of the eight corners of the small space with and without the schedule, means over the seeds."""
    from ofa_tf.common import InputError
    from ofa_tf.report import style

    series = {}
    for label, prefix in (("all sub-networks from the start", _WITHOUT), ("the full network first", _WITH)):
        found = [accuracies(row) for name, row in rows.items() if name.startswith(prefix)]
        if not found:
            raise InputError(f"--picture: no row {prefix}N is finished; run benchmarks.cifar10 first")
        corners = [name for name in found[0] if not name.startswith("random")]
        series[f"{label} ({len(found)} seed{'s' if len(found) > 1 else ''})"] = [
            sum(tops[name] for tops in found) / len(found) for name in corners
        ]
    with style.drawing("cifar10"):
        figure, (axes,) = style.new_axes(width=8.6, height=3.8)
        width = 0.4
        for place, ((label, values), colour) in enumerate(zip(series.items(), (style.SKY, style.BLUE), strict=True)):
            where = [index + (place - 0.5) * width for index in range(len(values))]
            bars = axes.bar(where, values, width * 0.94, color=colour, label=label)
            axes.bar_label(bars, fmt="%.1f", fontsize=7.5, padding=2, color=style.INK)
        lowest = min(value for values in series.values() for value in values)
        axes.set_ylim(5 * (lowest // 5) - 5, None)
        axes.set_xticks(range(len(corners)), corners, fontsize=8)
        axes.grid(visible=False, axis="x")
        axes.set_ylabel("top-1 in %, axis cut")
        axes.set_title("CIFAR-10, sub-networks of ofa_cifar_s, 60 passes, 5,000 held-out images")
        axes.legend(loc="upper right", ncols=2, bbox_to_anchor=(1.0, -0.08))
        described = "; ".join(f"{label}: {', '.join(f'{v:.1f}' for v in values)}" for label, values in series.items())
        return style.to_svg(figure, "cifar10", f"Top-1 of {', '.join(corners)}. {described}")


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
