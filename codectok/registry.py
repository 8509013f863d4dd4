"""Finding a tokenizer by name, prefix, folder or hub id."""

from __future__ import annotations

from pathlib import Path

from codectok.errors import CodectokError, UnknownTokenizerError
from codectok.tokenizer import Tokenizer

PRETRAINED = Path(__file__).parent / "pretrained"
HUB_ALIASES = {"encodec-24k": "facebook/encodec_24khz", "mimi": "kyutai/mimi"}
CONTROLS = ("pcm", "random")


def packaged() -> list[str]:
    """Names of the tokenizers in the package that need nothing else."""
    shipped = [p.parent.name for p in sorted(PRETRAINED.glob("*/config.json"))]
    return [*shipped, *CONTROLS]


def open_tokenizer(name: str, device: str = "cpu") -> Tokenizer:
    """See :func:`codectok.load`."""
    check_device(device)
    if (PRETRAINED / name / "config.json").is_file() and "/" not in name:
        return _open_folder(PRETRAINED / name, name, device)
    if name in CONTROLS:
        from codectok.controls import open_control

        return open_control(name)
    if name.startswith("km:"):
        return _open_units(Path(name.removeprefix("km:")), name, device)
    if name.startswith("hf:"):
        raise UnknownTokenizerError(f"{name}: transformers tokenizers are not part of this version yet")
    if Path(name).is_dir():
        return _open_folder(Path(name), name, device)
    return _open_hub(HUB_ALIASES.get(name, name), name, device)


def check_device(device: str) -> None:
    """Raises CodectokError for a torch device that is not here, or holds no values ("meta")."""
    import torch

    try:
        torch.zeros(1, device=device).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CodectokError(f"device {device!r} cannot be used ({reason}): give cpu, or another that is here") from None


def _open_folder(folder: Path, name: str, device: str) -> Tokenizer:
    from codectok.codec.folder import open_codec, read_config
    from codectok.codec.hf import open_hf_codec

    config = read_config(folder)
    if "tokenizer_type" in config:
        from codectok.units.folder import open_units

        return open_units(folder, name, device)
    if "model_type" in config:
        return open_hf_codec(folder, name, device)
    return open_codec(folder, name, device)


def _open_units(folder: Path, name: str, device: str) -> Tokenizer:
    if not folder.is_dir():
        raise UnknownTokenizerError(f"{name}: no folder {folder}: make one with codectok units fit")
    from codectok.units.folder import open_units

    return open_units(folder, name, device)


def _open_hub(repo: str, name: str, device: str) -> Tokenizer:
    if repo.count("/") != 1 or repo.startswith((".", "/")):
        raise UnknownTokenizerError(
            f"no tokenizer {name!r}: give a packaged name ({', '.join([*packaged(), *HUB_ALIASES])}), "
            "a model folder, or a hub id like facebook/encodec_24khz"
        )
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    patterns = ["config.json", "*/config.json", "*/preprocessor_config.json", "bpe.json"]
    patterns += ["*.safetensors", "*.safetensors.index.json"]
    try:
        folder = snapshot_download(repo, allow_patterns=patterns)
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UnknownTokenizerError(
            f"could not get {repo!r} from the hub ({reason}): check the id and the network, "
            "or download it elsewhere and give the folder"
        ) from None
    return _open_folder(Path(folder), name, device)
