"""What pages and terminals say of a network: costs with units, accuracies, architectures, the table of targets."""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ofa_tf.search import Candidate
from ofa_tf.spaces import Arch, Space

if TYPE_CHECKING:
    from ofa_tf.specialize import TargetResult

    Network = TargetResult | Candidate

MISSING = "-"
OVER_BUDGET = "*"
OVER_BUDGET_NOTE = f"{OVER_BUDGET} measured over its budget"
# With a hyphen at which no line ends.
_TOP1 = "top\N{NON-BREAKING HYPHEN}1"
# The table's columns after the name: heading and explanation.
COLUMNS = (
    ("status", "what the target came to, see above"),
    ("budget", "the largest values that were allowed"),
    ("predicted", "the same costs as predicted; a latency by the device's table"),
    (
        "measured",
        "the same costs as measured through the file on the device; MACs and parameters are counted and so always "
        "known",
    ),
    (f"{_TOP1} predicted", "what the accuracy predictor says, in percent"),
    (f"{_TOP1} float", "of the float32 Keras model, in percent, on the images that its device's section names"),
    (f"{_TOP1} file", "of the file on the same images, in percent"),
    ("million MACs", "multiply-accumulates for one image"),
    ("file bytes", "the size of the file"),
)
# Between stages, where a line may end, and between the blocks of one.
_BAR, _TOGETHER = " | ", "\N{NO-BREAK SPACE}"
_COUNTED = {"macs": Space.count_macs, "params": Space.count_params}
_RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


@dataclasses.dataclass(frozen=True)
class CostKind:
    """How people read one kind of cost: its label, shown unit, own units in one of these, axis, and what has it."""

    label: str
    unit: str
    scale: float
    axis: str
    of: str = ""

    def format(self, value: float, *, exact: bool = False) -> str:
        """A value with its unit, in four digits; as it was given where it is `exact` (a limit)."""
        shown = value / self.scale
        if exact:
            text = f"{shown:,.6f}".rstrip("0").rstrip(".")
        else:
            decimals = 1 if shown <= 0 else min(max(3 - math.floor(math.log10(shown)), 0), 5)
            text = f"{shown:,.{decimals}f}"
        return f"{text} {self.unit}"


# The kinds of limits that `search.Constraint` knows, in the order in which they are told.
COST_KINDS = {
    "latency_ms": CostKind("latency", "ms", 1, "latency in ms"),
    "macs": CostKind("multiply-accumulates", "M MACs", 1e6, "million multiply-accumulates"),
    "params": CostKind("parameters", "M params", 1e6, "million parameters"),
    "model_bytes": CostKind("file size", "KB", 1e3, "file size in KB", "file"),
    "peak_memory_bytes": CostKind("peak memory", "KB", 1e3, "peak activation memory in KB", "memory"),
}


def predicted_cost(network: "Network", kind: str) -> float | None:
    """What was predicted of a network before it was made; None where nothing was."""
    costs = network.costs if isinstance(network, Candidate) else network.predicted
    return _finite(costs.get(kind))


def measured_cost(network: "Network", kind: str) -> float | None:
    """What a network turned out to cost; None where it was not measured, which MACs and parameters need not be."""
    measured = None if isinstance(network, Candidate) else _finite(network.measured.get(kind))
    return predicted_cost(network, kind) if measured is None and kind in _COUNTED else measured


def accuracies(network: "Network") -> tuple[float | None, float | None, float | None]:
    """Top-1, 0..1: predicted, of the float32 Keras model, of the file."""
    if isinstance(network, Candidate):
        return _finite(network.predicted_top1), None, None
    return _finite(network.predicted_top1), _finite(network.keras_top1), _finite(network.tflite_top1)


def broken_limits(result: "TargetResult") -> tuple[str, ...]:
    """The kinds of limits over which a target's network was measured."""
    measured = {kind: measured_cost(result, kind) for kind in result.target.limits}
    return tuple(kind for kind, value in measured.items() if value is not None and value > result.target.limits[kind])


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None


def percent(share: float | None) -> str:
    """A share of 0..1 in percent, to a tenth."""
    return MISSING if share is None else f"{share * 100:.1f}"


def count(number: int) -> str:
    """A whole number as people write it, however large."""
    if number < 10**9:
        return f"{number:,}"
    mantissa, exponent = f"{number:.0e}".split("e+")
    return f"about {mantissa} \N{MULTIPLICATION SIGN} 10{exponent.translate(_RAISED)}"


def amount(value: float) -> str:
    """A number in three digits."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value >= 1e-4 or value == 0 else f"{value:.0e}"


def duration(hours: float) -> str:
    """A time in hours, minutes or seconds."""
    if hours >= 1:
        return f"{amount(hours)} hours"
    return f"{hours * 60:.1f} minutes" if hours * 60 >= 2 else f"{hours * 3600:.0f} seconds"


def architecture_facts(space: Space, arch: Arch) -> list[tuple[str, str]]:
    """An architecture as (label, values), block by block: ("kernel sizes", "3 5 | 7 3 3"), with bars between stages."""
    arch = space.canonical(arch)
    running = {block.name for block in space.blocks(arch)}
    facts = [("image", f"{arch.r} \N{MULTIPLICATION SIGN} {arch.r}"), ("depths", " ".join(map(str, arch.d)))]
    for field, label in (("ks", "kernel sizes"), ("e", "expand ratios")):
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


def figures(space: Space, network: "Network") -> list[tuple[str, str]]:
    """A network's accuracies and costs as (label, value), as far as they are known or can be counted."""
    labels = ("top-1, predicted", "top-1, float", "top-1, file")
    known = zip(labels, accuracies(network), strict=True)
    lines = [(label, f"{percent(value)} %") for label, value in known if value is not None]
    for kind, cost in COST_KINDS.items():
        predicted, measured = predicted_cost(network, kind), measured_cost(network, kind)
        if kind in _COUNTED:
            lines.append((cost.label, cost.format(predicted or _COUNTED[kind](space, network.arch))))
            continue
        if predicted is not None:
            lines.append((f"{cost.label}, predicted", cost.format(predicted)))
        if measured is not None:
            lines.append((f"{cost.label}, measured", cost.format(measured)))
    return lines


def table_cells(result: "TargetResult") -> tuple[tuple[str, ...], ...]:
    """For each of `COLUMNS` the lines of a target's cell; budgets and costs take a line for each kind."""
    limits = result.target.limits
    kinds = [kind for kind in COST_KINDS if kind in limits]
    if "latency_ms" not in kinds and predicted_cost(result, "latency_ms") is not None:
        kinds.append("latency_ms")
    broken = broken_limits(result)
    budget, predicted, measured = [], [], []
    for kind in kinds:
        cost = COST_KINDS[kind]
        budget.append(f"{cost.format(limits[kind], exact=True)} {cost.of}".strip() if kind in limits else MISSING)
        for cells, value, mark in (
            (predicted, predicted_cost(result, kind), ""),
            (measured, measured_cost(result, kind), OVER_BUDGET * (kind in broken)),
        ):
            cells.append(MISSING if value is None else cost.format(value) + mark)
    macs, size = measured_cost(result, "macs"), measured_cost(result, "model_bytes")
    return (
        (result.status,),
        tuple(budget),
        tuple(predicted),
        tuple(measured),
        *((percent(top1),) for top1 in accuracies(result)),
        (MISSING if macs is None else f"{macs / 1e6:,.2f}",),
        (MISSING if size is None else f"{size:,.0f}",),
    )


def format_table(results: "Sequence[TargetResult]") -> str:
    """The table of targets as aligned plain text for a terminal.

    Args:
        results: in the order of the rows; a target with several limits takes several lines.

    Returns:
        Lines without a final newline; numbers are aligned on the right.

    Example:
        print(format_table(results))
    """
    headings = ["target", *(heading.replace("\N{NON-BREAKING HYPHEN}", "-") for heading, _ in COLUMNS)]
    rows = []
    for result in results:
        rows += itertools.zip_longest((result.target.name,), *table_cells(result), fillvalue="")
    columns = [_aligned(cells) for cells in zip(*rows, strict=True)]
    widths = [max(map(len, (heading, *cells))) for heading, cells in zip(headings, columns, strict=True)]
    lines = [headings, ["-" * width for width in widths], *zip(*columns, strict=True)]
    aligned = [
        "  ".join(
            text.rjust(width) if index > 1 else text.ljust(width)
            for index, (text, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join(aligned + [OVER_BUDGET_NOTE] * any(map(broken_limits, results)))


def _aligned(cells: Sequence[str]) -> list[str]:
    """With a blank where other cells have a star, so that digits stay below digits."""
    starred = any(cell.endswith(OVER_BUDGET) for cell in cells)
    return [cell if cell.endswith(OVER_BUDGET) or not starred else cell + " " for cell in cells]
