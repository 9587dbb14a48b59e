"""How a photo of any shape becomes a square: `preprocessing.resize` of a run, a packed supernet and an exported file.

"crop" keeps the proportions: the short side is resized and the centre is cut out. "stretch" resizes the whole photo to
the square, as MediaPipe's `ImageClassifier` does; `crop_fraction` has no effect then. Training draws its crops from the
photo, or from the photo that is stretched.

Source: docs/deployment.md, "Stretched photos".
"""

CROP, STRETCH = RESIZES = ("crop", "stretch")
