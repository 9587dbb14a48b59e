"""`PhoneMeasurement`: what a phone said of one model."""

import dataclasses

from ofa_tf.devices.benchmark_output import BenchmarkOutput
from ofa_tf.devices.operation_profile import OperationTime
from ofa_tf.devices.phone_facts import Reading
from ofa_tf.predictors.block_latency import BlockLatency


@dataclasses.dataclass(frozen=True)
class PhoneMeasurement:
    """One model's measurement, or why there is none.

    Args:
        name: of the model.
        output: its times; None where it could not be measured.
        error: why not, one line; "" where it was.
        before: how warm the phone was before,
        after: and after it.
        hot: whether it was hot, in the coolest of several attempts.
        attempts: how often the model was run.
        operations: times of its operations, where they were asked for.
    """

    name: str
    output: BenchmarkOutput | None
    error: str
    before: Reading
    after: Reading
    hot: bool
    attempts: int
    operations: tuple[OperationTime, ...] = ()

    def block_latency(self) -> BlockLatency:
        """The same for a latency table; where the tool tells no median, the mean takes its place.

        Raises:
            ValueError: it could not be measured.
        """
        if self.output is None:
            raise ValueError(f"{self.name}: {self.error}")
        median_ms = self.output.mean_ms if self.output.median_ms is None else self.output.median_ms
        return BlockLatency(median_ms, self.output.p95_ms, self.output.std_ms, self.output.count)
