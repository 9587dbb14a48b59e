"""Measuring on devices: `.tflite` files, latency tables of a space's blocks, and how well tables predict networks."""
