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
# Passes over the images of the schedules that the picture compares, few and many.
_PANELS = (16, 60)
_LABELS = ("all sub-networks from the start (joint)", "the full network first (delayed)")
_ALONE_LABEL = "that network alone, 15 passes"


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
    """An SVG of the eight corners of the small space with and without the schedule, after few and after many passes.

    Bars are means over the seeds; a mark is a network that was trained alone for a quarter of the many passes.
    """
    from ofa_tf.common import InputError
    from ofa_tf.report import style

    panels = {passes: found for passes in _PANELS if (found := _series(rows, passes))}
    if not panels:
        raise InputError("--picture: no seed of a schedule to compare is finished; run benchmarks.cifar10 first")
    corners = list(next(iter(panels.values()))[1])
    described = []
    with style.drawing("cifar10"):
        height, ratios = 0.8 + 2.8 * len(panels), (1,) * len(panels)
        figure, all_axes = style.new_axes(len(panels), height, ratios, width=8.6)
        for axes, (passes, (seeds, *series)) in zip(all_axes, panels.items(), strict=True):
            for place, (label, tops, colour) in enumerate(zip(_LABELS, series, (style.SKY, style.BLUE), strict=True)):
                where = [index + (place - 0.5) * 0.4 for index in range(len(corners))]
                values = [tops[name] for name in corners]
                bars = axes.bar(where, values, 0.37, color=colour, label=label if axes is all_axes[0] else None)
                axes.bar_label(bars, fmt="%.1f", fontsize=7.5, padding=2, color=style.INK)
                described.append(f"{passes} passes, {label}: {', '.join(f'{value:.1f}' for value in values)}")
            lowest = min(value for tops in series for value in tops.values())
            alone = _alone(rows) if passes == _PANELS[-1] else {}
            if alone:
                places = [corners.index(name) for name in alone]
                axes.plot(places, list(alone.values()), "D", color=style.INK, markersize=4, label=_ALONE_LABEL)
                described.append(f"{_ALONE_LABEL}: {', '.join(f'{name} {top1:.1f}' for name, top1 in alone.items())}")
            axes.set_ylim(5 * (min([lowest, *alone.values()]) // 5) - 5, None)
            axes.set_xticks(range(len(corners)), corners, fontsize=8)
            axes.grid(visible=False, axis="x")
            axes.set_ylabel("top-1 in %, axis cut")
            axes.set_title(f"{passes} passes over the images, {seeds} seed{'s' if seeds > 1 else ''}")
        style.legend_below(figure, 3)
        return style.to_svg(
            figure,
            "cifar10",
            f"CIFAR-10, sub-networks of ofa_cifar_s, 5,000 held-out images. Top-1 of {', '.join(corners)}. "
            f"{'; '.join(described)}",
        )


def _series(rows: dict[str, dict], passes: int) -> tuple | None:
    """How many seeds both schedules have, and the mean top-1 of each corner without and with the schedule."""
    prefixes = (f"s_joint{passes}_seed", "s_delayed_seed" if passes == _PANELS[-1] else f"s_delayed{passes}_seed")
    seeds = [
        {name.removeprefix(prefix): accuracies(row) for name, row in rows.items() if name.startswith(prefix)}
        for prefix in prefixes
    ]
    common = sorted(seeds[0].keys() & seeds[1].keys())
    if not common:
        return None
    corners = [name for name in seeds[0][common[0]] if not name.startswith("random")]
    means_of = [{it: sum(found[seed][it] for seed in common) / len(common) for it in corners} for found in seeds]
    return len(common), *means_of


def _alone(rows: dict[str, dict]) -> dict[str, float]:
    """Top-1 of the corners that were trained alone for a quarter of the passes."""
    return {
        name: top1
        for row_name, row in rows.items()
        if row_name.startswith("s_alone15_")
        for name, top1 in accuracies(row).items()
    }


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
