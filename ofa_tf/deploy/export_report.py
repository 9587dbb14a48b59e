"""`ExportReport`: what the check of an exported file found."""

import dataclasses
from typing import Any


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """An exported file, and how it compares with the Keras model on the same images.

    Args:
        path: the file.
        precision: one of `PRECISIONS`.
        form: how it is written, one of `spaces.form.FORMS`.
        model_bytes: its size.
        images: how many images it was checked on.
        agreement: share of them on which both have the same top-1 class, 0..1.
        keras_top1: top-1 of the Keras model, 0..1, None without labels.
        tflite_top1: top-1 of the file, 0..1, None without labels.
        input_type: NumPy type of its input.
        output_type: NumPy type of its output.
        partitions: parts of the graph that XNNPACK runs here.
    """

    path: str
    precision: str
    form: str
    model_bytes: int
    images: int
    agreement: float
    keras_top1: float | None
    tflite_top1: float | None
    input_type: str
    output_type: str
    partitions: int

    def to_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return dataclasses.asdict(self)
