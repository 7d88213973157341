"""Small networks on few threads: more only slow each other down."""

import torch

torch.set_num_threads(1)
