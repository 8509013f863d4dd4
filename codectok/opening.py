"""Tokenizers by name, folder or hub id. What is opened is found by the registry: no tokenizer is named here."""

from __future__ import annotations

import contextlib
import inspect
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from codectok import registry
from codectok.errors import CodectokError, FormatError, UnknownTokenizerError
from codectok.files.model_folder import read_config
from codectok.log import logger

LOG = logger(__name__)

FAMILIES = ("codec_type", "model_type")
"""Keys of ``config.json`` that stand for a whole family of folders; its opener looks at their values."""
WANTED = ("config.json", "*/config.json", "*/preprocessor_config.json", "bpe.json")
"""What is fetched from a hub, beside the weights. Never a pickle."""
PATTERNS = [*WANTED, "*.safetensors", "*.safetensors.index.json"]
PATIENCE = 1.5
"""Seconds that the hub has to answer, unless ``HF_HUB_ETAG_TIMEOUT`` gives others."""


def open_named(name: str, device: str = "cpu") -> Any:
    """The tokenizer that a name of the registry, ``PREFIX:REST``, a folder or a hub id stands for, in this order.

    What a name of the kind ``tokenizers`` stands for is called without arguments, and for ``PREFIX:REST`` with REST; if
    it takes a ``device``, with that too, and else what it gives is moved there.
    """
    check_device(device)
    asked, *rest = name.split(":", 1)
    opener = registry.find("tokenizers", asked) if registry.known("tokenizers", asked) else None
    if opener is not None and _takes(opener, *rest, device=device):
        return opener(*rest, device=device)
    if opener is not None and _takes(opener, *rest):
        return opener(*rest) if device == "cpu" else opener(*rest).to(device)
    if Path(name).is_dir():
        return open_folder(Path(name), name, device)
    if opener is not None:
        wanted = f"{asked} alone" if rest else f"what it is to open after a colon, {asked}:FOLDER or {asked}:ID"
        raise UnknownTokenizerError(
            f"{name!r} does not tell which tokenizer: write {wanted}", name=name, kind="tokenizers"
        )
    return open_hub(name, name, device)


def _takes(opener: Callable[..., Any], *rest: str, **device: str) -> bool:
    """Whether it can be called so: a name alone, or with something after a colon."""
    try:
        inspect.signature(opener).bind(*rest, **device)
    except (TypeError, ValueError):
        return False
    return True


def open_folder(folder: Path, name: str, device: str = "cpu") -> Any:
    """Open a model folder by the kind ``folders``: by its ``tokenizer_type``, or else by its key in ``FAMILIES``.

    Raises:
        FormatError: not a model folder, or of a type that nothing here opens.
    """
    config = read_config(folder)
    kind = str(config.get("tokenizer_type") or next((key for key in FAMILIES if key in config), ""))
    if not kind:
        raise FormatError(
            f"{folder / 'config.json'} names no codec_type, tokenizer_type or model_type", path=folder / "config.json"
        )
    if not registry.known("folders", kind):
        there = ", ".join(n for n in registry.names("folders") if n not in FAMILIES)
        raise FormatError(
            f"{folder} has tokenizer_type {kind!r}: this codectok knows {there}",
            key="tokenizer_type",
            given=kind,
            allowed=there,
            path=folder,
        )
    return registry.find("folders", kind)(folder, name, device)


def open_hub(repo: str, name: str, device: str = "cpu") -> Any:
    """Fetch a model folder from the Hugging Face hub and open it. Raises as :func:`fetch` does."""
    return open_folder(fetch(repo, name), name, device)


def fetch(repo: str, name: str) -> Path:
    """The folder of a model on the Hugging Face hub, fetched where that was not done before.

    Raises:
        UnknownTokenizerError: not the form of an id, or not to be had.
    """
    if repo.count("/") != 1 or repo.startswith((".", "/")):
        known = f"{registry.unknown('tokenizers', name)} (or give a model folder, or a hub id)"
        raise UnknownTokenizerError(
            known if repo == name else f"{name}: {repo!r} is no folder that is here, nor of the form of a hub id",
            name=name,
            kind="tokenizers",
            known=registry.names("tokenizers"),
        )
    from huggingface_hub import snapshot_download

    LOG.info("getting %s from the hub, or what was fetched of it before", repo)
    try:
        found = hub_facts(repo)
    except UnknownTokenizerError:
        with contextlib.suppress(Exception):  # the first answer is the one that tells
            return Path(snapshot_download(repo, allow_patterns=PATTERNS, local_files_only=True))
        raise
    try:
        return Path(snapshot_download(repo, revision=found.sha, allow_patterns=PATTERNS))
    except Exception as error:
        raise _not_had(repo, error) from None


def hub_facts(repo: str) -> Any:
    """What the hub says of a model, with the sizes of its files: asked once, with an answer or an error at once.

    Raises:
        UnknownTokenizerError: no such model, or no answer.
    """
    from huggingface_hub import HfApi

    seconds = os.environ.get("HF_HUB_ETAG_TIMEOUT", "")
    try:
        return HfApi().model_info(repo, files_metadata=True, timeout=float(seconds) if seconds else PATIENCE)
    except Exception as error:  # of the hub, of its client, or of the library that this one speaks through
        raise _not_had(repo, error) from None


def _not_had(repo: str, error: Exception) -> UnknownTokenizerError:
    reason = next(iter(str(error).strip().splitlines()), "") or type(error).__name__
    return UnknownTokenizerError(
        f"could not get {repo!r} from the hub ({reason}): check the id and the network, "
        "or download it elsewhere and give the folder",
        name=repo,
        kind="tokenizers",
    )


def check_device(device: str) -> None:
    """Raises CodectokError for a torch device that is not here, or holds no values ("meta")."""
    import torch

    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CodectokError(f"device {device!r} cannot be used ({reason}): give cpu, or another that is here") from None
