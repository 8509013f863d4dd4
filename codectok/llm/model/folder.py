"""Language models as folders: opened from safetensors alone, written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from codectok.errors import FormatError
from codectok.extras import need
from codectok.files.folder_lock import FolderLock, is_vacant
from codectok.files.full_disk import disk_error
from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.log import logger, tell_hub

LOG = logger(__name__)

PICKLES = ("*.bin", "*.pt", "*.pth", "*.pkl", "*.ckpt")
"""Files whose reading may run code. They are never opened."""


def quiet() -> None:
    """Keep transformers' own progress bars and notes off the terminal, for the rest of the process."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()


def open_text_tokenizer(name: str | os.PathLike[str]) -> Any:
    """The text tokenizer of a model folder or hub id.

    Raises:
        FormatError: there is none, or it needs code of its own.
    """
    need("text tokenizers need", "llm", "transformers")
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(os.fspath(name), trust_remote_code=False)
    except Exception as error:
        raise FormatError(f"no text tokenizer in {os.fspath(name)} ({_reason(error)})", path=name) from None


def open_model(name: str | os.PathLike[str], dtype: Any = "auto") -> Any:
    """The causal language model of a model folder or hub id, in evaluation mode.

    Args:
        name: folder or hub id.
        dtype: a torch dtype; "auto" for the one it is stored in.

    Raises:
        FormatError: no model, pickled weights only, code of its own, weights missing, or a quantized model.
    """
    from transformers import AutoModelForCausalLM

    name = os.fspath(name)
    tell_hub(LOG, name)
    try:
        opened: Any = AutoModelForCausalLM.from_pretrained(
            name, dtype=dtype, use_safetensors=True, output_loading_info=True, trust_remote_code=False
        )
    except Exception as error:
        pickled = Path(name).is_dir() and any(next(Path(name).glob(kind), None) for kind in PICKLES)
        remedy = "its weights are pickles, which are never opened: convert them to safetensors" if pickled else ""
        raise FormatError(f"no causal language model in {name} ({remedy or _reason(error)})") from None
    model, info = opened
    if info["missing_keys"]:
        missing = sorted(info["missing_keys"])
        raise FormatError(
            f"{name} lacks {len(missing)} weights, {missing[0]} first, which would be random: get the whole model, "
            "or set tie_word_embeddings in its config.json if that is the head"
        )
    if getattr(model.config, "quantization_config", None) is not None:
        raise FormatError(f"{name} is quantized: extend the model that it was made from, then quantize")
    return model.eval()


def save_model(folder: Path, model: Any, tokenizer: Any, vocab: AudioVocab) -> None:
    """Write model, tokenizer and ``audio_vocab.json`` into a folder."""
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    vocab.save(folder)


@contextlib.contextmanager
def new_folder(
    path: str | os.PathLike[str], overwrite: bool = False, *, locked: bool = True, mark: str | None = None
) -> Iterator[Path]:
    """Yield a temporary folder beside ``path``; renamed to it when the block ends, removed on any exception.

    Args:
        path: of the folder that will be there.
        overwrite: replace one that is.
        locked: refuse a second run meanwhile; not needed inside a folder that is locked.
        mark: a file that every such folder has: one without is not ours, and never replaced. None inside a folder of
            our own.

    Raises:
        FormatError: something of that name exists, and is not to be overwritten.
        CodectokError: another run is writing it.
    """
    target = Path(path)
    _refuse(target, overwrite, mark)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name[:40]}.{secrets.token_hex(6)}.tmp")
    with FolderLock(target) if locked else contextlib.nullcontext() as lock:
        temporary.mkdir()
        try:
            yield temporary
            old = temporary.with_suffix(".old")
            if lock is not None:
                lock.release()  # its file would be moved away with the folder
            _refuse(target, overwrite, mark)
            if target.exists():
                target.rename(old)
            temporary.rename(target)
            shutil.rmtree(old, ignore_errors=True)
        except BaseException as error:
            full = disk_error(error, target)
            shutil.rmtree(temporary, ignore_errors=True)
            if full is not None:
                raise full from error
            raise


def _refuse(target: Path, overwrite: bool, mark: str | None) -> None:
    if target.exists() and not (target.is_dir() and (overwrite or is_vacant(target))):
        raise FormatError(f"{target} exists: give another folder, or --overwrite to replace it", path=target)
    if target.exists() and mark is not None and not is_vacant(target) and not (target / mark).is_file():
        raise FormatError(f"{target} was not made by this command (it has no {mark}): give another folder", path=target)
    if target.is_symlink():
        raise FormatError(f"{target} is a link: give the folder itself, or another", path=target)


def _reason(error: BaseException) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    return (lines[0] if lines else type(error).__name__)[:300]
