"""`read_operations`: the table that `benchmark_model --enable_op_profiling=true` prints, one operation a line."""

import dataclasses
import re

from ofa_tf.devices.benchmark_output import OutputError

_TITLE = re.compile(r"^\W*=+ Run Order =+\s*$", re.M)
_NODES = re.compile(r"^(?:INFO: )?Number of nodes executed: ([0-9]+)\s*$", re.M)
# Columns are tabs apart; texts that were copied have spaces in their place.
_BETWEEN = re.compile(r"\s*\t\s*|\s{2,}")
_COLUMNS = {"node_type": "[node type]", "mean_ms": "[avg ms]", "times_called": "[times called]", "name": "[Name]"}


@dataclasses.dataclass(frozen=True)
class OperationTime:
    """One operation of a model.

    Args:
        node_type: what it is, such as CONV_2D or, inside a delegate, "Convolution (NHWC, QC8) IGEMM".
        name: its output's name and its index.
        mean_ms: time of one run of the model, in milliseconds.
        times_called: calls in one run.
    """

    node_type: str
    name: str
    mean_ms: float
    times_called: int


def read_operations(text: str) -> list[OperationTime]:
    """The operations in the order in which they ran; its columns are found by their heads, which differ by version.

    Args:
        text: the output of one run of `benchmark_model`.

    Raises:
        OutputError: there is no such table, or it is not whole.
    """
    # The first of two is about loading the model.
    tables = _TITLE.split(text.replace("\r\n", "\n"))[1:]
    if not tables:
        raise OutputError("no table of operations in a benchmark's output; was --enable_op_profiling=true given?", text)
    try:
        return _rows(tables[-1])
    except ValueError as error:
        raise OutputError(f"its table of operations cannot be read: {error}", text) from error


def _rows(table: str) -> list[OperationTime]:
    counted = _NODES.search(table)
    lines = iter(table.strip("\n").split("\n"))
    head = _BETWEEN.split(next(lines).strip())
    places = {field: head.index(column) for field, column in _COLUMNS.items() if column in head}
    if len(places) < len(_COLUMNS) or head[-1] != _COLUMNS["name"]:
        raise ValueError(f"its columns are {head}, expected {list(_COLUMNS.values())} among them, the name last")
    rows = []
    for line in lines:
        if not line.strip():
            break
        cells = _BETWEEN.split(line.strip(), maxsplit=len(head) - 1)
        if len(cells) != len(head):
            raise ValueError(f"{len(cells)} columns of {len(head)} in the line {line.strip()!r}")
        row = OperationTime(
            cells[places["node_type"]],
            cells[places["name"]],
            float(cells[places["mean_ms"]]),
            int(cells[places["times_called"]]),
        )
        if not 0 <= row.mean_ms < float("inf"):
            raise ValueError(f"{row.mean_ms} ms in the line {line.strip()!r}")
        rows.append(row)
    if counted is None or int(counted[1]) != len(rows):
        raise ValueError(f"{len(rows)} operations, and {counted[1] if counted else 'no number of them'} behind")
    return rows
