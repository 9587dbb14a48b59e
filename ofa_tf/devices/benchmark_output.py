"""`read_run`: what LiteRT's `benchmark_model` says of one model, in every form that it has had.

TFLite's lines (`count=50 first=... avg=...`, microseconds; the first such line is the warm-up, the second the
measurement), in newer ones with p5, median and p95, under one summary or another; LiteRT 2's, which has these lines and
a table of results behind them.

A number counts only where the output holds all that belongs to it, and where what is said twice agrees: a tool that was
killed, or a text that was cut, is an error and never a figure.
"""

import dataclasses
import itertools
import math
import re

from ofa_tf.common import OfaError, brief
from ofa_tf.devices.benchmark_model import ON_PROCESSOR, BenchmarkOptions
from ofa_tf.predictors.latency_table import BlockLatency

_NUMBER = r"[0-9]+(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?"
# A log's prefix: none, "INFO: ", "INFO: [path:line] ", logcat's.
_PREFIX = r"(?:INFO: |.*\btflite *: )?"
_STATISTICS = re.compile(rf"^{_PREFIX}(count=.*)$", re.M)
_FIELD = re.compile(rf"([a-z]+[0-9]*)=({_NUMBER})(\(all same\))?")
_SUMMARY = re.compile(
    rf"^{_PREFIX}(?:Inference timings in us: Init: (?P<init>{_NUMBER}), .*Inference \(avg\): (?P<mean>{_NUMBER})"
    rf"|Average inference timings in us: Warmup: {_NUMBER}, Init: (?P<old_init>{_NUMBER}), "
    rf"(?:no stats|Inference): (?P<old_mean>{_NUMBER})) *$",
    re.M,
)
_RESULTS = re.compile(r"^(?:INFO: \[.*\] *\n?)?[= ]*BENCHMARK RESULTS[= ]*$", re.M)
_RESULT = re.compile(
    rf"^(?:INFO: \[[^\]]*\] )?([A-Z][a-z]+ ?[a-z()0-9]*): +({_NUMBER})(?: ms)?(?: \(([0-9]+) runs\))? *$", re.M
)
_UNKNOWN_OPTIONS = re.compile(r"Unconsumed cmdline flags: (.+)")
_NOT_DELEGATED = re.compile(
    r"will not be executed by the delegate|Failed to apply .*delegate|acceleration is unsupported", re.I
)
# The clock of a phone may be coarser than a microsecond, but never so that a run of this length takes 0 of it.
_COARSEST_MS = 1.0
# Of what is printed with two decimals.
_ROUNDING_MS = 0.011
_QUOTED_CHARACTERS = 400


class OutputError(OfaError):
    """An output that is no measurement; says which options the tool does not know, and whether a new run is in vain."""

    def __init__(self, message: str, text: str, unknown_options: str = "", *, final: bool = False):
        super().__init__(message)
        self.text, self.unknown_options, self.final = text, unknown_options, final


@dataclasses.dataclass(frozen=True)
class BenchmarkOutput:
    """What was measured of one model, in milliseconds.

    Median and p95 are None of tools that do not tell them (before 2024); `delegated` is False where the tool says that
    a delegate it was given was not used.
    """

    count: int
    mean_ms: float
    std_ms: float
    min_ms: float
    max_ms: float
    median_ms: float | None = None
    p95_ms: float | None = None
    init_ms: float | None = None
    delegated: bool = True

    def __post_init__(self):
        if self.mean_ms == 0:
            raise ValueError("0 ms: the model is too fast for the tool's clock")
        if self.min_ms == 0 and self.mean_ms >= _COARSEST_MS:
            raise ValueError(f"0 ms as the shortest time, {self.mean_ms:g} ms as the mean: no clock is so coarse")
        # NaN fails every one of these.
        ordered = [self.min_ms, *(value for value in (self.median_ms, self.p95_ms) if value is not None), self.max_ms]
        if not (
            self.count >= 1
            and 0 <= self.min_ms <= self.mean_ms * (1 + 1e-5)
            and self.mean_ms <= self.max_ms * (1 + 1e-5)
            and all(low <= high for low, high in itertools.pairwise(ordered))
            and 0 <= self.std_ms < math.inf
            and self.max_ms < math.inf
        ):
            raise ValueError(f"its numbers contradict one another: {dataclasses.asdict(self)}")

    @property
    def below_clock(self) -> bool:
        """Whether most runs took less than the tool's clock can tell: the median is 0, and only the mean a time."""
        return self.median_ms == 0

    @property
    def latency(self) -> BlockLatency:
        """The same for a latency table; where the tool tells no median, or 0, the mean takes its place."""
        median_ms = self.median_ms or self.mean_ms
        return BlockLatency(median_ms, self.p95_ms or None, self.std_ms, self.count)


def read_run(text: str, code: int, options: BenchmarkOptions) -> tuple[BenchmarkOutput, tuple["OperationTime", ...]]:
    """What one run of the tool measured, of the model and, where that was asked for, of its operations.

    Raises:
        OutputError: it failed, did not use the delegate, or wrote what cannot be read.
    """
    if code:
        said = brief(text[-_QUOTED_CHARACTERS:])
        raise OutputError(f"benchmark_model ended with exit code {code} ({said})", text)
    output = read_output(text)
    # What XNNPACK does not take, the processor runs inside networks, too.
    if not output.delegated and options.delegate not in ON_PROCESSOR:
        raise OutputError(
            f"--delegate={options.delegate} was not used: the model ran on the processor", text, final=True
        )
    return output, tuple(read_operations(text)) if options.profile else ()


def read_output(text: str) -> BenchmarkOutput:
    """Reads what one run of the tool wrote; raises `OutputError` where that is not whole, or of no known form."""
    text = text.replace("\r\n", "\n")
    unknown = _UNKNOWN_OPTIONS.search(text)
    if unknown:
        options = " ".join(unknown[1].split())
        raise OutputError(f"the tool does not know {options}", text, options)
    try:
        return dataclasses.replace(_of_lines(text), delegated=not _NOT_DELEGATED.search(text))
    except (ArithmeticError, KeyError, ValueError) as error:
        raise OutputError(f"cannot be read as a benchmark's output: {_words(error)}", text) from error


def _of_lines(text: str) -> BenchmarkOutput:
    # Profiles of operations have such lines, too, behind other words.
    lines = _STATISTICS.findall(text)
    if len(lines) != 2:
        raise ValueError(f"{len(lines)} lines 'count=...', expected one of the warm-up and one of the measurement")
    output = _of_statistics(lines[1])
    summaries = list(_SUMMARY.finditer(text))
    if len(summaries) > 1:
        raise ValueError(f"{len(summaries)} summaries, expected one")
    if summaries:
        said_ms = float(summaries[0]["mean"] or summaries[0]["old_mean"]) / 1e3
        init_ms = float(summaries[0]["init"] or summaries[0]["old_init"]) / 1e3
        tolerance_ms = 2e-5 * said_ms
    else:
        results = _results(text)
        said_ms, init_ms = results["Inference (avg)"][0], results["Model initialization"][0]
        tolerance_ms = _ROUNDING_MS
        if results["Inference (avg)"][1] != output.count:
            raise ValueError(f"{output.count} runs in one place and {results['Inference (avg)'][1]} in another")
    if abs(said_ms - output.mean_ms) > tolerance_ms:
        raise ValueError(f"the mean is {output.mean_ms:g} ms in one place and {said_ms:g} ms in another")
    return dataclasses.replace(output, init_ms=init_ms)


def _of_statistics(line: str) -> BenchmarkOutput:
    matches = list(_FIELD.finditer(line))
    if " ".join(match[0] for match in matches) != line.strip():
        raise ValueError(f"damaged line {line!r}")
    fields = {match[1]: float(match[2]) for match in matches}
    if len(fields) != len(matches):
        raise ValueError(f"a field twice in {line!r}")
    count = fields["count"]
    if count != int(count):
        raise ValueError(f"{count} runs")
    if count == 1 or any(match[3] for match in matches):
        # One run, or all of them alike: nothing else is told, or only the same again.
        same_ms = fields["curr"] / 1e3
        return BenchmarkOutput(int(count), same_ms, 0.0, same_ms, same_ms, same_ms, same_ms)
    optional = {name: fields[name] / 1e3 if name in fields else None for name in ("p5", "median", "p95")}
    if 0 < sum(value is None for value in optional.values()) < len(optional):
        raise ValueError(f"only some of p5, median, p95 in {line!r}")
    if optional["p5"] is not None and not fields["min"] <= fields["p5"] <= fields["median"]:
        raise ValueError(f"p5 contradicts the others in {line!r}")
    if (
        not fields["min"]
        <= min(fields["first"], fields["curr"])
        <= max(fields["first"], fields["curr"])
        <= fields["max"]
    ):
        raise ValueError(f"first or curr contradict the others in {line!r}")
    return BenchmarkOutput(
        int(count),
        *(fields[name] / 1e3 for name in ("avg", "std", "min", "max")),
        median_ms=optional["median"],
        p95_ms=optional["p95"],
    )


def _results(text: str) -> dict[str, tuple[float, int | None]]:
    """The table of results: name to number and, where it is told, number of runs."""
    tables = _RESULTS.split(text)
    if len(tables) != 2:
        raise ValueError("no summary of the measurement, or more than one")
    if not re.search(r"^(?:INFO: \[[^\]]*\] )?={20,} *$", tables[1].split("\n", 2)[-1], re.M):
        raise ValueError("the table of results has no end")
    found: dict[str, tuple[float, int | None]] = {}
    for name, value, runs in _RESULT.findall(tables[1]):
        if name in found:
            raise ValueError(f"{name} twice")
        found[name] = float(value), int(runs) if runs else None
    return found


def _words(error: Exception) -> str:
    text = f"{error.args[0]} is missing" if isinstance(error, KeyError) else str(error)
    return " ".join(text.split())[:300]


_TITLE = re.compile(r"^\W*=+ Run Order =+\s*$", re.M)
_NODES = re.compile(r"^(?:INFO: )?Number of nodes executed: ([0-9]+)\s*$", re.M)
# Columns are tabs apart; texts that were copied have spaces in their place.
_BETWEEN = re.compile(r"\s*\t\s*|\s{2,}")
_COLUMNS = {"node_type": "[node type]", "mean_ms": "[avg ms]", "times_called": "[times called]", "name": "[Name]"}


@dataclasses.dataclass(frozen=True)
class OperationTime:
    """One operation: its kind, CONV_2D or in a delegate "Convolution (NHWC, QC8) IGEMM"; the name of its output."""

    node_type: str
    name: str
    mean_ms: float
    times_called: int


def read_operations(text: str) -> list[OperationTime]:
    """The operations in the order in which they ran; columns are found by their heads, which differ by version."""
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
