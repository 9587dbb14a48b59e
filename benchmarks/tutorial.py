"""The published tutorial, remade: its sub-network's figures, its searches, its plots with the same baselines.

    python -m benchmarks.tutorial --official=DIR --output=docs/tutorial

Writes `result.json`, `latency.svg` and `macs.svg` into the folder; docs/tutorial.md explains them. Needs torch, for the
published accuracy predictor.
"""

import pathlib

from absl import flags

from ofa_tf.common import cli

_OFFICIAL = flags.DEFINE_string(
    "official", None, "the folder with ofa/acc_predictor.pth and ofa/note10/", required=True
)
_OUTPUT = flags.DEFINE_string("output", None, "the folder for the plots and the figures", required=True)

RESOLUTIONS = (160, 176, 192, 208, 224)
# The sub-network that the published tutorial found under 25 ms, of running blocks only.
SUBNET = {
    "d": [2, 2, 3, 4, 3],
    "ks": [[5, 3], [5, 3], [7, 7, 3], [5, 5, 7, 3], [3, 3, 5]],
    "e": [[3, 3], [4, 4], [6, 3, 4], [4, 4, 4, 3], [6, 6, 6]],
    "r": 192,
}
# ImageNet top-1 in percent, as published with the tutorial: docs/method.md, "Baselines".
PUBLISHED_LATENCY = {
    "MobileNetV3": ((15.3, 73.3), (22.0, 75.2), (31.0, 76.6)),
    "ProxylessNAS": ((26.0, 74.6), (45.0, 76.7)),
    "Once-for-All, published": ((24.73, 76.9),),
}
PUBLISHED_MACS = {
    "MobileNetV3": ((219.0, 75.2), (343.0, 76.6)),
    "EfficientNet": ((390.0, 76.3), (700.0, 78.8)),
    "Once-for-All, published": ((349.9, 78.1), (399.5, 78.3), (599.1, 79.1)),
}
MACS_LIMITS = (600e6, 400e6, 350e6)


def tutorial_arch(space):
    """The tutorial's sub-network, with skipped blocks filled in."""
    fields = {
        name: [value for stage in SUBNET[name] for value in (*stage, *[0] * (4 - len(stage)))] for name in ("ks", "e")
    }
    return space.arch(**fields, d=SUBNET["d"], r=SUBNET["r"])


def remake(official: pathlib.Path) -> tuple[dict, dict[str, str]]:
    """The figures, and the plots by name."""
    from ofa_tf import interop
    from ofa_tf.report import TradeoffSeries, tradeoff_plot
    from ofa_tf.search import Constraint, evolutionary_search, pareto_search

    predictor = interop.load_ofa_accuracy_predictor(official / "ofa" / "acc_predictor.pth")
    table = interop.load_ofa_latency_table(official / "ofa" / "note10")
    space = predictor.space
    arch = tutorial_arch(space)
    found = evolutionary_search(
        space, predictor, Constraint("latency_ms", 25, predictor=table), resolutions=RESOLUTIONS
    )
    figures = {
        "tutorial": {
            "predicted_top1_percent": 100 * float(predictor.predict(space, [arch])[0]),
            "latency_ms": float(table.predict(space, [arch])[0]),
        },
        "searched_25_ms": _figures(found),
        "searched_macs": {},
    }
    for limit in MACS_LIMITS:
        result = evolutionary_search(space, predictor, Constraint("macs", limit), resolutions=RESOLUTIONS)
        figures["searched_macs"][f"{limit / 1e6:.0f}M"] = _figures(result)
    plots = {}
    for name, label, kind, limit, published in (
        ("latency", "latency on a Samsung Note10 in ms", "latency_ms", 60, PUBLISHED_LATENCY),
        ("macs", "multiply-accumulates in millions", "macs", 700e6, PUBLISHED_MACS),
    ):
        constraint = Constraint(kind, limit, predictor=table if kind == "latency_ms" else None)
        front = pareto_search(space, predictor, constraint, resolutions=RESOLUTIONS)
        unit = 1 if kind == "latency_ms" else 1e6
        points = tuple((point.costs[kind] / unit, 100 * point.predicted_top1) for point in front.candidates)
        series = [TradeoffSeries(title, line) for title, line in published.items()]
        # Predictions are of held-out training images, on which every network does better than in the validation set.
        series.insert(0, TradeoffSeries("searched here, predicted (training images)", points))
        plots[name] = tradeoff_plot(series, name=name, cost_label=label)
    return figures, plots


def _figures(result) -> dict:
    return {
        "predicted_top1_percent": 100 * result.predicted_top1,
        **{kind: float(cost) for kind, cost in result.costs.items()},
        "arch": result.arch.to_dict(),
    }


def main(argv):
    """Remakes and writes."""
    del argv
    from ofa_tf.common import write_json, write_text

    folder = pathlib.Path(_OUTPUT.value)
    figures, plots = remake(pathlib.Path(_OFFICIAL.value))
    write_json(folder / "result.json", figures)
    for name, svg in plots.items():
        write_text(folder / f"{name}.svg", svg)
    print(figures["tutorial"])


def run():
    """The console script."""
    cli.run(main)


if __name__ == "__main__":
    run()
