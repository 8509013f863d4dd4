"""``codectok info``: the facts of a tokenizer, a .ctk file or a store, computed and never typed in."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from codectok.cli.console import format_value, handle_errors, print_json, print_table
from codectok.cli.help import command

if TYPE_CHECKING:
    from codectok.abilities import EncoderFacts
    from codectok.tokenizer import Tokenizer

Facts = dict[str, Any]


@command()
@click.argument("target", metavar="TOKENIZER|FILE.ctk|STORE", default="speech")
@click.option("--list", "kind", metavar="KIND", help="List what has a name: tokenizers, encoders, metrics, ...")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@handle_errors
def info(target: str, kind: str | None, as_json: bool) -> None:
    """Show the facts of a tokenizer (default: speech), of a .ctk file, or of a token store.

    With --list, show instead what there is of a kind, which package brings it, and what is missing to use it.
    A packaged name is the tokenizer even where a file or folder has that name: write ./NAME for those.

    \b
    Examples:
      codectok info speech
      codectok info a.ctk --json
      codectok info store
      codectok info --list metrics
    """
    from codectok import registry

    if kind is not None:
        from codectok.cli.listing import list_names

        list_names(kind, as_json)
        return
    path = Path(target)
    if registry.known("tokenizers", target):
        facts = tokenizer_facts(_load(target))
    elif (path / "store.json").is_file():
        facts = store_facts(path)
    elif path.is_file() or path.suffix.lower() == ".ctk":
        facts = file_facts(path)
    else:
        facts = tokenizer_facts(_load(target))
    if as_json:
        print_json(facts)
    else:
        print_facts(facts)


def _load(name: str) -> Tokenizer:
    from codectok.tokenizer import load

    return load(name)


def tokenizer_facts(tokenizer: Tokenizer) -> Facts:
    """What a tokenizer is: rates in Hz and kbit/s, sizes, parameters (None where it has no network)."""
    from codectok.abilities import HasNetwork, ReadsEncoder

    return {
        "kind": "tokenizer",
        "name": tokenizer.name,
        **(_encoder_facts(tokenizer.encoder) if isinstance(tokenizer, ReadsEncoder) else {}),
        "sample_rate": tokenizer.sample_rate,
        "frame_rate": float(tokenizer.frame_rate),
        "frame_rate_exact": str(tokenizer.frame_rate),
        "codebooks": len(tokenizer.codebook_sizes),
        "codebook_sizes": list(tokenizer.codebook_sizes),
        "bitrates": [tokenizer.bitrate(k + 1) for k in range(len(tokenizer.codebook_sizes))],
        "decoded_codebooks": [tokenizer.decoded_codebooks(k + 1) for k in range(len(tokenizer.codebook_sizes))],
        "causal": tokenizer.causal,
        "can_decode": tokenizer.can_decode,
        "parameters": _count(tokenizer.model.state_dict().values()) if isinstance(tokenizer, HasNetwork) else None,
        "feature_dim": tokenizer.feature_dim,
        "fingerprint": tokenizer.fingerprint,
    }


def _count(values: Any) -> int:
    """Numbers in a state's tensors; layers in int8 keep weight and bias in one tuple, beside facts without a size."""
    return sum(_count(v) if isinstance(v, tuple) else getattr(v, "numel", int)() for v in values)


def _encoder_facts(encoder: EncoderFacts) -> Facts:
    """Of a unit tokenizer: the speech encoder, its layers and how they are counted."""
    return {"encoder": encoder.name_or_path, "layers": list(encoder.layers), "convention": encoder.convention}


def file_facts(path: Path) -> Facts:
    """What a .ctk file holds; bitrates in kbit/s, the actual one from the size of the file.

    Raises:
        FormatError: not a .ctk file, or damaged.
        FileNotFoundError: no such file.
    """
    from codectok.metrics import code_usage
    from codectok.tokens import Tokens

    size = path.stat().st_size
    tokens = Tokens.load(path)
    used, bits = code_usage(tokens.expand().codes)
    return {
        "kind": "tokens",
        "file": str(path),
        "bytes": size,
        "duration": tokens.duration,
        "num_samples": tokens.num_samples,
        "sample_rate": tokens.sample_rate,
        "frame_rate": float(tokens.frame_rate),
        "frame_rate_exact": str(tokens.frame_rate),
        "frames": tokens.num_frames,
        "runs": None if tokens.durations is None else int(tokens.codes.shape[1]),
        "codebooks": tokens.num_codebooks,
        "codebook_sizes": list(tokens.codebook_sizes),
        "token_rate": tokens.token_rate,
        "bitrate": tokens.bitrate,
        "actual_bitrate": size * 8 / tokens.duration / 1000 if tokens.num_samples else None,
        "fingerprint": tokens.fingerprint,
        "usage": _usage(tokens.codebook_sizes, used, bits),
    }


def store_facts(path: Path) -> Facts:
    """What a store holds, from its description and counts; its shards are not read (``codectok verify`` does that).

    Raises:
        FormatError: unfinished or damaged.
    """
    from codectok.store import open_store

    store = open_store(path)
    stats = store.stats
    reasons = Counter(error.kind for error in store.errors)
    sizes = store.info.codebook_sizes
    used = [round(c["used_share"] * c["size"]) for c in stats["codebooks"]]
    return {
        "kind": "store",
        "folder": str(path),
        "format": store.info.format,
        "items": len(store),
        "failed": store.num_failed,
        "failed_by_kind": dict(reasons),
        "shards": store.num_shards,
        "hours": stats["hours_audio"],
        "frames": stats["frames"],
        "tokens": stats["tokens"],
        "token_rate": stats["token_rate"],
        "bitrate": stats["bitrate_kbps"],
        "sample_rate": store.info.sample_rate,
        "frame_rate": float(store.info.frame_rate),
        "frame_rate_exact": str(store.info.frame_rate),
        "codebooks": len(sizes),
        "codebook_sizes": list(sizes),
        "dedup": store.info.options.dedup,
        **({} if store.info.transform is None else {"transform": str(store.info.transform)}),
        "flatten": store.info.options.flatten,
        "labels": None if store.info.labels is None else list(store.info.labels.types),
        "tokenizer": store.info.tokenizer,
        "fingerprint": store.info.fingerprint,
        "usage": _usage(sizes, used, [c["entropy_bits"] for c in stats["codebooks"]]),
    }


def _usage(sizes: tuple[int, ...], used: Any, bits: Any) -> list[Facts]:
    levels = enumerate(zip(used, sizes, bits, strict=True))
    return [{"codebook": k, "used": n, "size": size, "entropy_bits": b} for k, (n, size, b) in levels]


_WIDTH = 16
_UNITS = {
    "sample_rate": "Hz",
    "frame_rate": "Hz",
    "duration": "s",
    "hours": "h",
    "token_rate": "tokens/s",
    "bitrate": "kbit/s nominal",
    "actual_bitrate": "kbit/s on disk",
}


def print_facts(facts: Facts) -> None:
    """Print facts as aligned lines, with units; use of the codebooks as a table below."""
    hidden = {"usage", "frame_rate_exact", "bitrates", "decoded_codebooks", "failed_by_kind", "convention"}
    lines = {key: _show(key, value, facts) for key, value in facts.items() if key not in hidden and value is not None}
    if "bitrates" in facts:
        lines["bitrates"] = _bitrates(facts["bitrates"])
        if unheard := _unheard(facts["decoded_codebooks"]):
            lines["in vain"] = unheard
    for kind, count in facts.get("failed_by_kind", {}).items():
        lines["failed"] += f"  ({count} {kind})"
    for key, text in lines.items():
        click.echo(f"{key.replace('_', ' '):<{_WIDTH}}{text}")
    if "usage" in facts:
        print_table("usage", facts["usage"])


def _bitrates(rates: list[float], a_line: int = 8) -> str:
    """Each number of codebooks with its kbit/s, some to a line."""
    cells = [f"{k}: {rate:.4g}".ljust(9) for k, rate in enumerate(rates, 1)]
    lines = ["  ".join(cells[i : i + a_line]).rstrip() for i in range(0, len(cells), a_line)]
    return ("\n" + " " * _WIDTH).join(["kbit/s of the first k codebooks", *lines])


def _unheard(decoded: list[int]) -> str:
    """Numbers of codebooks that cost more bits than are decoded, such as "10 to 17 codebooks decode as 9"."""
    found = [(k, used) for k, used in enumerate(decoded, 1) if used < k]
    return f"{found[0][0]} to {found[-1][0]} codebooks decode as {found[0][1]}" if found else ""


def _show(key: str, value: Any, facts: Facts) -> str:
    if key == "codebook_sizes":
        runs: list[list[int]] = []
        for size in value:
            if runs and runs[-1][1] == size:
                runs[-1][0] += 1
            else:
                runs.append([1, size])
        return " + ".join(f"{n} x {size}" if n > 1 else str(size) for n, size in runs)
    if key == "layers":
        return f"{', '.join(map(str, value))} ({facts['convention']})"
    if key == "parameters":
        return f"{value / 1e6:.2f} M"
    exact = facts["frame_rate_exact"] if key == "frame_rate" else ""
    text = format_value(value) + (f" {_UNITS[key]}" if key in _UNITS else "")
    return text + (f" ({exact})" if "/" in exact else "")
