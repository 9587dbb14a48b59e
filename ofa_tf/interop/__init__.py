"""The published PyTorch checkpoints, read into our networks."""

from ofa_tf.interop.ofa_checkpoint import load_ofa_checkpoint

__all__ = ["load_ofa_checkpoint"]
