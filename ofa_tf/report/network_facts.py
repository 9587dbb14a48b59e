"""What a page says of one network, line by line."""

import itertools

from ofa_tf.report.comparison_table import percent
from ofa_tf.report.cost_kinds import COST_KINDS, measured_cost, predicted_cost
from ofa_tf.report.report_model import ReportModel
from ofa_tf.report.report_point import ReportPoint
from ofa_tf.spaces import Arch, Space

# Between stages, where a line may end, and between the blocks of one.
_BAR, _TOGETHER = " | ", "\N{NO-BREAK SPACE}"
_COUNTS = {"macs": Space.count_macs, "params": Space.count_params}
_FIELDS = (("ks", "kernel sizes"), ("e", "expand ratios"))


def architecture_facts(space: Space, arch: Arch) -> list[tuple[str, str]]:
    """An architecture in words: (what, values), block by block, with bars between stages.

    Example:
        architecture_facts(space, arch)  # [("image", "160 x 160"), ("depths", "2 3"), ("kernel sizes", "3 5 | 7 3 3")]
    """
    arch = space.canonical(arch)
    running = {block.name for block in space.blocks(arch)}
    facts = [("image", f"{arch.r} \N{MULTIPLICATION SIGN} {arch.r}"), ("depths", " ".join(map(str, arch.d)))]
    for field, label in _FIELDS:
        stages = []
        for _, group in itertools.groupby(space.positions, key=lambda position: position.depth):
            values = [
                f"{getattr(arch, field)[gene.index]:g}"
                for position in group
                if position.name in running
                for gene in position.genes
                if gene.field == field and len(gene.choices) > 1
            ]
            if values:
                stages.append(_TOGETHER.join(values))
        if stages:
            facts.append((label, _BAR.join(stages)))
    if arch.w:
        facts.append(("width indices", " ".join(map(str, arch.w))))
    return facts


def figures(space: Space, item: ReportModel | ReportPoint) -> list[tuple[str, str]]:
    """A network's accuracies and costs: (what, value), as far as they are known or can be counted."""
    found = [
        ("top-1, predicted", percent(item.predicted_top1)),
        ("top-1, float", percent(item.keras_top1)),
        ("top-1, file", percent(getattr(item, "tflite_top1", None))),
    ]
    lines = [(label, f"{value} %") for label, value in found if value != "-"]
    for kind, cost in COST_KINDS.items():
        predicted, measured = predicted_cost(item, kind), measured_cost(item, kind)
        counted = kind in _COUNTS
        if counted and predicted is None:
            predicted = _COUNTS[kind](space, item.arch)
        if predicted is not None:
            lines.append((cost.label if counted else f"{cost.label}, predicted", cost.format(predicted)))
        if measured is not None and not counted:
            lines.append((f"{cost.label}, measured", cost.format(measured)))
    return lines
