"""How an exported network is written: its precision, and its form, the same function in other operations."""

import dataclasses
import itertools
from collections.abc import Collection

from ofa_tf.common.errors import InputError

HARD_SWISHES = ("fused", "split", "folded")
PADDINGS = ("written", "same")
KERNELS = ("whole", "rows")
# XNNPACK's depthwise convolutions have code for so many taps; more run an order of magnitude slower.
MAX_TAPS = 25
# What a microcontroller's runtime is best off with: it has a hard-swish of its own in every precision, which needs one
# tensor less than the others, and no partition that it could break; nothing is padded in memory.
MICROCONTROLLER_FORM = "fused-same"


@dataclasses.dataclass(frozen=True)
class Form:
    """How hard-swish, gates, paddings and large depthwise kernels are written.

    Args:
        hard_swish: "fused": x * (relu6(x + 3) / 6), which TFLite recognises as one HARD_SWISH: best in float.
            "split": (x / 6) * relu6(x + 3), which it does not: better in int8, where HARD_SWISH breaks XNNPACK's
            partition. "folded": x * relu6(x + 3), and the sixth is in the weights of what follows (also that of gates),
            where nothing else reads it.
        padding: before a strided convolution. "written": zeros around its input, an operation of its own. "same": none;
            where the convolution's own padding begins a pixel later, its kernel gets a row and a column of zeros.
        kernels: of a depthwise convolution with more than 25 taps (7x7). "whole", or "rows": the sum of convolutions
            with some of its rows each, which XNNPACK runs six to nine times as fast.

    Raises:
        InputError: one of them is unknown.

    Source: docs/design_notes.md, "Hard-swish in int8"; docs/results/int8.md.

    Example:
        str(Form.parse("folded-same"))
    """

    hard_swish: str = "fused"
    padding: str = "written"
    kernels: str = "whole"

    def __post_init__(self):
        if self.hard_swish not in HARD_SWISHES or self.padding not in PADDINGS or self.kernels not in KERNELS:
            raise InputError(f"form {str(self)!r} is unknown; known are {', '.join(FORMS)}")

    @staticmethod
    def parse(text: str) -> "Form":
        """The form of a name, one of `FORMS`."""
        if text not in FORMS:
            raise InputError(f"form {text!r} is unknown; known are {', '.join(FORMS)}")
        return FORMS[text]

    def __str__(self) -> str:
        parts = (self.hard_swish, *(part for part in (self.padding, self.kernels) if part not in ("written", "whole")))
        return "-".join(parts)

    def kernel_side(self, kernel_size: int, stride: int, input_size: int) -> int:
        """The side of the kernel that a convolution is written with, in pixels."""
        # TensorFlow pads an even side by one pixel less, and leaves that out at the beginning.
        return kernel_size + (self.padding == "same" and stride > 1 and kernel_size > 1 and input_size % stride == 0)

    def row_groups(self, kernel_size: int, stride: int, input_size: int, zeros_before: int) -> list[tuple[int, int]]:
        """The groups of rows that a depthwise kernel is written in: first row and number of rows of each.

        Rows that reach nothing but padding, on a small input, are left out.
        """
        if self.kernels == "whole" or kernel_size**2 <= MAX_TAPS:
            return [(0, kernel_size)]
        rows = MAX_TAPS // kernel_size
        last_start = (input_size - 1) // stride * stride - zeros_before
        groups = [(first, min(rows, kernel_size - first)) for first in range(0, kernel_size, rows)]
        return [
            (first, count)
            for first, count in groups
            if first - zeros_before < input_size and last_start + first + count - 1 >= 0
        ]


# By name.
FORMS = {str(form): form for form in itertools.starmap(Form, itertools.product(HARD_SWISHES, PADDINGS, KERNELS))}


@dataclasses.dataclass(frozen=True)
class Precision:
    """What is known of a precision of exported files.

    Args:
        activation_bytes: of an activation while the file runs.
        integer: whether it computes in integers; then activations need ranges, and those representative images.
        input_types: what such a file can take, the usual one first.
        output_types: what it can give, the usual one first.
        form: the one of `FORMS` that XNNPACK runs fastest. Source: docs/results/int8.md.
        max_drop: the top-1 that a file may lose against the Keras model, 0..1, besides what chance explains.
        measured: whether blocks can be converted alone, and so a latency table be built.
    """

    activation_bytes: int
    integer: bool
    input_types: tuple[str, ...]
    output_types: tuple[str, ...]
    form: str
    max_drop: float
    measured: bool = True


_FLOAT = {"integer": False, "input_types": ("uint8", "float32"), "output_types": ("float32",), "form": "fused-rows"}
# By name.
PRECISIONS = {
    "float32": Precision(4, **_FLOAT, max_drop=0.005),
    "float16": Precision(4, **_FLOAT, max_drop=0.005),
    "dynamic": Precision(4, **_FLOAT, max_drop=0.02),
    "int8": Precision(
        1, True, ("uint8", "int8", "float32"), ("uint8", "int8", "float32"), "folded-rows", max_drop=0.01
    ),
    "int16x8": Precision(2, True, ("uint8", "float32"), ("float32",), "folded", max_drop=0.01, measured=False),
}
# What the outputs of a file can be, the usual one first.
OUTPUTS = ("probabilities", "logits", "features")
# By stride, what the feature maps of a backbone are called, here and in `keras_hub`.
FEATURE_NAMES = {4: "P2", 8: "P3", 16: "P4", 32: "P5"}
# Every type that some file can take or give.
INPUT_OUTPUT_TYPES = PRECISIONS["int8"].input_types


def precision_of(name: str) -> Precision:
    """The precision of a name; raises `InputError` where it is unknown."""
    if not isinstance(name, str) or name not in PRECISIONS:
        raise InputError(f"precision {name!r} is unknown; known are {', '.join(PRECISIONS)}")
    return PRECISIONS[name]


def form_of(
    precision: str,
    form: str | None = None,
    *,
    limits: Collection[str] = (),
    table_form: str | None = None,
    trained: bool = False,
) -> str:
    """How a file is written: the one place that decides it.

    Args:
        precision: of the file, one of `PRECISIONS`.
        form: what the user asks for, one of `FORMS`; it always counts.
        limits: kinds of limits that the file must keep; one of "peak_memory_bytes" asks for what suits memory best.
        table_form: of the latency table that the file was searched with.
        trained: whether the file's rounding is trained, which needs a hard-swish of integers.

    Returns:
        One of `FORMS`; the precision's usual one where nothing else is asked for.

    Example:
        form_of("int8", limits=target.limits)
    """
    usual = precision_of(precision).form
    if form is not None:
        return str(Form.parse(form))
    found = Form.parse(MICROCONTROLLER_FORM if "peak_memory_bytes" in limits else table_form or usual)
    if trained and found.hard_swish == "fused":
        found = dataclasses.replace(found, hard_swish="folded")
    return str(found)
