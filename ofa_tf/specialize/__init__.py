"""From a supernet and targets to one checked file each: search, choose, export, measure, looped and resumable.

Example:
    from ofa_tf.specialize import Target, specialize_target
    target = Target("host int8, 2 ms", "host", {"latency_ms": 2})
    result = specialize_target(target, "out", predictor=predictor, opened=opened, table=table, measure=measure)
"""

from ofa_tf.specialize.job import Job, finished
from ofa_tf.specialize.learning import learn_accuracies, learn_latencies, open_pairs
from ofa_tf.specialize.opened import Opened
from ofa_tf.specialize.rounds import OverLimitsError, within_limits
from ofa_tf.specialize.specialize_all import specialize_all
from ofa_tf.specialize.specialize_target import MODEL, source_of, specialize_target
from ofa_tf.specialize.subnet_files import export_subnet, finetuned_weights, train_quantized
from ofa_tf.specialize.target import Target, default_name
from ofa_tf.specialize.target_result import TargetResult
from ofa_tf.specialize.targets_file import read_targets
from ofa_tf.specialize.workshop import Workshop

__all__ = [
    "MODEL",
    "Job",
    "Opened",
    "OverLimitsError",
    "Target",
    "TargetResult",
    "Workshop",
    "default_name",
    "export_subnet",
    "finetuned_weights",
    "finished",
    "learn_accuracies",
    "learn_latencies",
    "open_pairs",
    "read_targets",
    "source_of",
    "specialize_all",
    "specialize_target",
    "train_quantized",
    "within_limits",
]
