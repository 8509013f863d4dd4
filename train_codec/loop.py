"""The training loop: from a run's checkpoint, if there is one, to its last step."""

from __future__ import annotations

from contextlib import nullcontext

from codectok.files.atomic import sweep
from codectok.files.folder_lock import FolderLock
from codectok.log import logger
from codectok.stops import holding, keeping
from train_codec.begin import begin_codes, begin_fixed, has_fixed
from train_codec.data import prefetch
from train_codec.trainer import Trainer
from train_codec.watch.session import Session

LOG = logger(__name__)


def train(trainer: Trainer, until: int | None = None) -> None:
    """Train to ``steps`` (or stop at step ``until``), resuming if the run folder holds a checkpoint.

    A SIGINT or SIGTERM ends it after the step, with a checkpoint.

    Raises:
        CodectokError: another run is writing the folder.
        Stopped: a signal came.
    """
    main = trainer.accelerator.is_main_process
    with FolderLock(trainer.out) if main else nullcontext(), keeping(trainer.kept):
        if main:
            sweep(trainer.out)
        _train(trainer, until)


def _train(trainer: Trainer, until: int | None) -> None:
    recipe = trainer.recipe
    stop = recipe.run.steps if until is None else min(until, recipe.run.steps)
    clips = trainer.clips_fit = trainer.clips_fit if trainer.clips_fit is not None else trainer.clips("fit")
    val = trainer.clips("val")
    resumed = trainer.load()
    if resumed:
        LOG.info("going on at step %d of %d, from the checkpoint in %s", trainer.step, recipe.run.steps, trainer.out)
    with Session(trainer, val, resumed) as session, holding() as asked:
        for batch in prefetch(lambda step: trainer.batch(clips, step), trainer.step, stop):
            if trainer.step == recipe.distill.first_steps and has_fixed(trainer):
                with session.aside("fitting envelope and pitch to clips"):
                    begin_fixed(trainer, clips)
            if trainer.step == recipe.quantizer.quantize_from:
                with session.aside(f"fitting {len(trainer.codec.codebook_sizes)} codebooks to clips"):
                    begin_codes(trainer, clips)
            values, output = trainer.train_step(batch)
            session.after_step(values, output)
            if trainer.step % recipe.run.checkpoint_every == 0 or trainer.step == stop or asked():
                trainer.save()
            if asked():
                break
            if trainer.step % recipe.run.validate_every == 0 or trainer.step == recipe.run.steps:
                session.validate()
