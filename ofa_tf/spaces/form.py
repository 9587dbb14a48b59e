"""How an exported network is written: the same function, in operations that runtimes take differently well."""

import dataclasses

from ofa_tf.common import InputError

HARD_SWISHES = ("fused", "split", "folded")
PADDINGS = ("written", "same")
_SAME = "-same"


@dataclasses.dataclass(frozen=True)
class Form:
    """How hard-swish, gates and paddings are written.

    Args:
        hard_swish: "fused": x * (relu6(x + 3) / 6), which TFLite recognises as one HARD_SWISH: best in float.
            "split": (x / 6) * relu6(x + 3), which it does not: best in int8 where HARD_SWISH breaks XNNPACK's
            partition. "folded": x * relu6(x + 3), and the sixth is in the weights of what follows (also that of gates),
            where nothing else reads it.
        padding: before a strided convolution. "written": zeros around its input, an operation of its own. "same": none;
            where the convolution's own padding begins a pixel later, its kernel gets a row and a column of zeros.

    Raises:
        InputError: one of them is unknown.

    Source: tflite_notes.md, "Hard-swish in int8".

    Example:
        str(Form.parse("folded-same"))
    """

    hard_swish: str = "fused"
    padding: str = "written"

    def __post_init__(self):
        if self.hard_swish not in HARD_SWISHES or self.padding not in PADDINGS:
            raise InputError(f"form {str(self)!r} is unknown; known are {', '.join(FORMS)}")

    @staticmethod
    def parse(text: str) -> "Form":
        """The form of a name, one of `FORMS`."""
        if text not in FORMS:
            raise InputError(f"form {text!r} is unknown; known are {', '.join(FORMS)}")
        return Form(text.removesuffix(_SAME), "same" if text.endswith(_SAME) else "written")

    def __str__(self) -> str:
        return self.hard_swish + (_SAME if self.padding == "same" else "")

    def kernel_side(self, kernel_size: int, stride: int, input_size: int) -> int:
        """The side of the kernel that a convolution is written with, in pixels."""
        # TensorFlow pads an even side by one pixel less, and leaves that out at the beginning.
        return kernel_size + (self.padding == "same" and stride > 1 and kernel_size > 1 and input_size % stride == 0)


FORMS = tuple(name + suffix for suffix in ("", _SAME) for name in HARD_SWISHES)
