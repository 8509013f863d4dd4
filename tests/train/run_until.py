"""Runs or resumes the test recipe until a step: the other processes of the resume and two-process tests.

python -m tests.train.run_until OUT STOP [key=value ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

if __name__ == "__main__":
    from codectok.stops import handled
    from tests.train.recipes import recipe
    from train_codec.loop import train
    from train_codec.trainer import Trainer

    changes = dict(item.split("=", 1) for item in sys.argv[3:])
    with handled():
        trainer = Trainer(recipe(Path(sys.argv[1]), **changes))
        train(trainer, until=int(sys.argv[2]))
        trainer.accelerator.end_training()
