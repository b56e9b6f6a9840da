"""Networks by name: backbones, a classifier and segmentation networks. Importing it does not import torch."""

from medpt.models.registry import build_classifier, build_encoder, build_segmenter

__all__ = ["build_classifier", "build_encoder", "build_segmenter"]
