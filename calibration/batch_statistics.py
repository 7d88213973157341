"""Batch norm's statistics of the pose network, measured again on training pictures. Trains nothing.

A mean of several networks' weights gives other activations than each of them, and the mean of their statistics is not
the statistics of the mean (Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", 2018).
"""

from itertools import islice

import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from calibration.distill_training import batches_from
from calibration.evaluate_pose import normalised
from calibration.pose_task import PoseTask


def measure_statistics(network: nn.Module, task: PoseTask, pictures: int, device: torch.device, loaders: int) -> None:
    """Sets batch norm's means and variances to those over training pictures as `task` makes them.

    Args:
        network: an `hrnet_compact`, changed in place.
        task: its crops and augmentation decide which pictures the statistics fit.
        pictures: how many, of the first epoch; whole batches, at least one.
        device: on which the network runs.
        loaders: processes that make batches; 0: this one.
    """
    batches = islice(batches_from(task, [0], loaders), max(pictures // task.batch_size, 1))
    images = (normalised(batch.pictures).contiguous(memory_format=torch.channels_last) for batch in batches)
    update_bn(images, network, device)
