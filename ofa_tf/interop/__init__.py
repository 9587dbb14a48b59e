"""What others have published, read into ours: once-for-all networks, predictors, latency tables, ImageNet networks."""

from ofa_tf.common.download import cache_folder
from ofa_tf.interop.native_weights import KERAS_NETWORKS, load_efficientnet_lite0, load_keras_network
from ofa_tf.interop.ofa_accuracy_predictor import load_ofa_accuracy_predictor
from ofa_tf.interop.ofa_checkpoint import (
    MappedTensor,
    class_count,
    inferred_space,
    load_ofa_checkpoint,
    load_specialized_checkpoint,
)
from ofa_tf.interop.ofa_latency_table import is_ofa_latency_table, load_ofa_latency_table, save_ofa_latency_table
from ofa_tf.interop.ofa_net_config import is_net_config, read_net_config
from ofa_tf.interop.published_files import (
    import_command,
    published_file,
    published_name,
    published_names,
    published_url,
)

__all__ = [
    "KERAS_NETWORKS",
    "MappedTensor",
    "cache_folder",
    "class_count",
    "import_command",
    "inferred_space",
    "is_net_config",
    "is_ofa_latency_table",
    "load_efficientnet_lite0",
    "load_keras_network",
    "load_ofa_accuracy_predictor",
    "load_ofa_checkpoint",
    "load_ofa_latency_table",
    "load_specialized_checkpoint",
    "published_file",
    "published_name",
    "published_names",
    "published_url",
    "read_net_config",
    "save_ofa_latency_table",
]
