"""The mean IoU of masks, as tests compare it with what tasks and units report."""

import numpy as np

from medpt.metrics import class_iou, confusion_matrix, mean_of_defined


def mean_iou(prediction: np.ndarray, target: np.ndarray, num_classes: int) -> float:
    """Mean IoU over all classes, background included, from one confusion matrix over all pixels."""
    return mean_of_defined(class_iou(confusion_matrix(prediction, target, num_classes)))
