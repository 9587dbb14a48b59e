"""Once-for-All networks for TensorFlow: train one supernet, ship a TFLite file for every device."""

__version__ = "0.1.0"
