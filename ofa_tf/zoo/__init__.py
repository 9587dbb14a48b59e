"""What ships: supernets with a few photos, accuracy predictors, and the authors' specialized networks by name.

Example:
    from ofa_tf import zoo
    predictor = zoo.accuracy_predictor("ofa_mbv3_d234_e346_k357_w1.0")
    model = zoo.specialized("note10_lat-22ms_top1-76.6_finetune-25").build()
"""

from ofa_tf.zoo.shipped import (
    SpecializedNet,
    accuracy_predictor,
    accuracy_predictor_names,
    names,
    packed_supernet,
    photos,
    photos_names,
    specialized,
    supernet,
    supernet_names,
)

__all__ = [
    "SpecializedNet",
    "accuracy_predictor",
    "accuracy_predictor_names",
    "names",
    "packed_supernet",
    "photos",
    "photos_names",
    "specialized",
    "supernet",
    "supernet_names",
]
