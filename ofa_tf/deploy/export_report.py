"""`ExportReport`: what the check of an exported file found."""

import dataclasses
from collections.abc import Mapping
from typing import Any


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """An exported file, and how it compares with the Keras model on the same images.

    Args:
        path: the file.
        precision: one of `PRECISIONS`.
        form: how it is written, one of `common.form.FORMS`.
        model_bytes: its size.
        images: how many images it was checked on.
        agreement: share of them on which both have the same top-1 class, 0..1.
        logits_error: root mean square of the differences of both's logits, in units of the spread of Keras's.
        keras_top1: top-1 of the Keras model, 0..1, None without labels.
        tflite_top1: top-1 of the file, 0..1, None without labels.
        keras_top5: likewise, the right class among the first five; None with no more than five classes, too.
        tflite_top5: likewise.
        input_type: NumPy type of its input.
        output_type: NumPy type of its output.
        batch_size: images that it takes at once.
        threads: numbers of threads with which it was run and gave the same.
        partitions: parts of the graph that XNNPACK runs here.
        int8_share: share of the operations that read and write 8-bit activations only, 0..1.
        operations: how many there are of each kind.
        outside_xnnpack: how many of each kind XNNPACK leaves to slower code here.
    """

    path: str
    precision: str
    form: str
    model_bytes: int
    images: int
    agreement: float
    logits_error: float
    keras_top1: float | None
    tflite_top1: float | None
    keras_top5: float | None
    tflite_top5: float | None
    input_type: str
    output_type: str
    batch_size: int
    threads: tuple[int, ...]
    partitions: int
    int8_share: float
    operations: Mapping[str, int]
    outside_xnnpack: Mapping[str, int]

    def to_dict(self) -> dict[str, Any]:
        """The fields, ready for JSON."""
        return dataclasses.asdict(self)
