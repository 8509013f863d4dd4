"""Speed of the neural codecs against transformers' own: the same random weights, the same run, interleaved repeats.

``python -m benchmarks.speed`` (``--quick`` for a minute's look, ``--json FILE`` to keep the figures)

x is seconds of audio a second: the median over the repeats and, in brackets, the slowest and the fastest. ratio is the
median of the repeats' own ratios, ours to theirs. MB is what a fresh process needs at its peak beyond the loaded model.
"""

from __future__ import annotations

import ctypes
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from torch import Tensor

from codectok.cli.common import print_table
from codectok.codec.hf import load_hf_codec
from codectok.codec.tokenizer import CodecTokenizer

Call = Callable[[], Any]
Sides = dict[str, tuple[Call, Call]]
"""For "ours" and perhaps "theirs": a call that encodes and one that decodes."""

PACKAGED = ("speech", "units")
MODELS = ("encodec", "mimi", *PACKAGED)
CODEBOOKS = 8
CASES = [(1, 10), (8, 10), (1, 60)]
"""Clips and seconds of each."""


# -- what is measured -----------------------------------------------------------------------------------------------


def write_peers(folder: Path, names: list[str]) -> None:
    """Write transformers' full-size EnCodec and Mimi, with random weights and codebooks, as model folders."""
    from transformers import EncodecConfig, EncodecModel, MimiConfig, MimiModel

    torch.manual_seed(0)
    for name in names:
        peer: Any = EncodecModel(EncodecConfig()) if name == "encodec" else MimiModel(MimiConfig())
        for tensor_name, tensor in peer.named_buffers():
            if tensor_name.endswith((".embed", ".embed_sum")):
                tensor.normal_()
        peer.save_pretrained(folder / name)


def our_tokenizer(name: str, folder: Path) -> CodecTokenizer:
    """Ours, of that name."""
    if name in PACKAGED:
        from codectok import load

        tokenizer = load(name)
        assert isinstance(tokenizer, CodecTokenizer)
        return tokenizer
    return CodecTokenizer(load_hf_codec(folder / name), name, "0" * 32)


def our_calls(name: str, folder: Path, clips: list[np.ndarray]) -> tuple[Call, Call]:
    """Encode and decode through the Tokenizer interface, as users do."""
    tokenizer = our_tokenizer(name, folder)
    rate = tokenizer.sample_rate
    frames, sizes = tokenizer.num_frames(len(clips[0])), tokenizer.codebook_sizes[:CODEBOOKS]
    codes = torch.stack([torch.randint(size, (frames,)) for size in sizes])
    tokens = [tokenizer.tokens(codes, len(clip)) for clip in clips]
    return (
        lambda: tokenizer.encode_batch(clips, rate, num_codebooks=len(sizes)),
        lambda: tokenizer.decode_batch(tokens),
    )


def their_calls(name: str, folder: Path, clips: list[np.ndarray]) -> tuple[Call, Call]:
    """The same by transformers, all clips in one batch of equal lengths."""
    from transformers import EncodecModel, MimiModel

    x = torch.from_numpy(np.stack(clips))[:, None]
    codes: list[Tensor] = []
    if name == "encodec":
        encodec: Any = EncodecModel.from_pretrained(folder / name).eval()
        return (
            lambda: codes.append(encodec.encode(x, bandwidth=6.0).audio_codes),
            lambda: encodec.decode(codes[-1], [None]),
        )
    mimi: Any = MimiModel.from_pretrained(folder / name).eval()
    return (
        lambda: codes.append(mimi.encode(x, num_quantizers=CODEBOOKS).audio_codes),
        lambda: mimi.decode(codes[-1]),
    )


def make_clips(name: str, count: int, seconds: int) -> list[np.ndarray]:
    """Noise at the codec's rate; what it holds does not change the speed."""
    rng = np.random.default_rng(0)
    rate = 16000 if name in PACKAGED else 24000
    return list((0.1 * rng.standard_normal((count, rate * seconds))).astype(np.float32))


# -- how it is measured ---------------------------------------------------------------------------------------------


@torch.inference_mode()
def time_case(sides: Sides, repeats: int) -> dict[str, dict[str, list[float]]]:
    """Seconds of each repeat, by operation and side; the sides take turns, and turns at being first."""
    times: dict[str, dict[str, list[float]]] = {"encode": {}, "decode": {}}
    for repeat in range(repeats + 1):
        for side in sorted(sides, reverse=repeat % 2 == 1):
            for operation, call in zip(times, sides[side], strict=True):
                start = time.perf_counter()
                call()
                # The first round warms up: it fills caches and compiles kernels.
                if repeat:
                    times[operation].setdefault(side, []).append(time.perf_counter() - start)
    return times


def peak_memory(name: str, side: str, folder: str, case: tuple[int, int], decode: bool, threads: int) -> float | None:
    """MB that one call needs at its peak, in this process; None where the system cannot say (it is not Linux)."""
    torch.set_num_threads(threads)
    with torch.inference_mode():
        calls = (our_calls if side == "ours" else their_calls)(name, Path(folder), make_clips(name, *case))
        if decode and side == "theirs":
            calls[0]()
        try:
            # What loading left free must not hide what the call needs.
            ctypes.CDLL(None).malloc_trim(0)
            Path("/proc/self/clear_refs").write_text("5")
        except (OSError, AttributeError):
            return None
        before = _memory("VmRSS")
        calls[decode]()
    peak = _memory("VmHWM")
    return None if peak is None or before is None else (peak - before) / 1e6


def _memory(field: str) -> float | None:
    """Bytes of a line of /proc/self/status."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.is_file() else []
    return next((1024.0 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), None)


def multiply_adds(tokenizer: CodecTokenizer) -> tuple[float, float]:
    """GMAC a second of audio of the encoder (with the quantizer) and the decoder, measured on 4 s."""
    from torch.nn.attention import SDPBackend, sdpa_kernel
    from torch.utils.flop_counter import FlopCounterMode

    def lstm(x: torch.Size, inner: torch.Size, recurrent: torch.Size, *_: Any, **__: Any) -> int:
        return 2 * x[0] * x[1] * (inner.numel() + recurrent.numel())

    def added(_: torch.Size, left: torch.Size, right: torch.Size, **__: Any) -> int:
        return 2 * left.numel() * right[1]

    model, x = tokenizer.model, torch.randn(1, 4 * tokenizer.sample_rate) * 0.1
    mapping = {torch.ops.aten.mkldnn_rnn_layer: lstm, torch.ops.aten.addmm_: added}
    encode, decode = (FlopCounterMode(display=False, custom_mapping=mapping) for _ in range(2))
    # The counter does not know the fused attention.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
        with encode:
            codes = model.quantize(model.encode_step(x, None, True)[0], min(CODEBOOKS, len(model.codebook_sizes)))
        with decode:
            model.decode_step(model.dequantize(codes), None, True)
    return encode.get_total_flops() / 8e9, decode.get_total_flops() / 8e9


def time_stream(tokenizer: CodecTokenizer, seconds: float) -> dict[str, Any]:
    """Milliseconds to encode and to decode each 80 ms chunk of a stream, once 12 s of it have passed."""
    chunk, times = tokenizer.sample_rate * 80 // 1000, np.zeros((2, 0))
    encoder = tokenizer.stream_encoder(min(CODEBOOKS, len(tokenizer.codebook_sizes)))
    decoder = tokenizer.stream_decoder()
    for i in range(150 + int(seconds / 0.08)):
        samples = 0.1 * np.random.default_rng(i).standard_normal(chunk).astype(np.float32)
        marks = [time.perf_counter()]
        tokens = encoder.push(samples)
        marks.append(time.perf_counter())
        decoder.push(tokens)
        marks.append(time.perf_counter())
        # By then attention sees as much past as it ever will.
        if i >= 150:
            times = np.append(times, 1000 * np.diff(marks)[:, None], 1)
    columns = {"encode ms": times[0], "decode ms": times[1], "both ms": times.sum(0)}
    row: dict[str, Any] = {"model": tokenizer.name}
    for title, values in columns.items():
        row[title] = f"{np.median(values):.1f} ({np.percentile(values, 95):.1f})"
    return row


# -- the run --------------------------------------------------------------------------------------------------------


def speed_rows(name: str, folder: Path, case: tuple[int, int], repeats: int, memory: bool) -> list[dict[str, Any]]:
    """One row an operation."""
    clips = make_clips(name, *case)
    sides = {"ours": our_calls(name, folder, clips)}
    if name not in PACKAGED:
        sides["theirs"] = their_calls(name, folder, clips)
    audio = case[0] * case[1]
    rows = []
    for operation, times in time_case(sides, repeats).items():
        row: dict[str, Any] = {"model": name, "case": f"{case[0]} x {case[1]} s", "operation": operation}
        for side in ("ours", "theirs"):
            row[f"{side} x"] = _spread([audio / t for t in times[side]]) if side in times else ""
        row["ratio"] = ""
        if "theirs" in times:
            row["ratio"] = _spread([b / a for a, b in zip(times["ours"], times["theirs"], strict=True)])
        for side in ("ours", "theirs") if memory else ():
            row[f"{side} MB"] = ""
            if side in times:
                arguments = (name, side, str(folder), case, operation == "decode", torch.get_num_threads())
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
                    peak = fresh.submit(peak_memory, *arguments).result()
                row[f"{side} MB"] = "" if peak is None else f"{peak:.0f}"
        rows.append(row)
    return rows


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} ({min(values):.1f}-{max(values):.1f})"


def run(names: list[str], cases: list[tuple[int, int]], repeats: int, memory: bool, stream: float) -> dict[str, Any]:
    """All tables, as lists of rows."""
    speed, work, streams = [], [], []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        write_peers(folder, [name for name in names if name not in PACKAGED])
        for name in names:
            for case in cases:
                speed += speed_rows(name, folder, case, repeats, memory)
            tokenizer = our_tokenizer(name, folder)
            encode, decode = multiply_adds(tokenizer)
            parameters = sum(p.numel() for p in tokenizer.model.parameters()) / 1e6
            work.append({"model": name, "M parameters": parameters, "GMAC/s encode": encode, "GMAC/s decode": decode})
            streams.append(time_stream(tokenizer, stream))
    return {"speed": speed, "work": work, "streams": streams}


@click.command(help=__doc__)
@click.option("--quick", is_flag=True, help="10 s clips only, 2 repeats, no memory.")
@click.option("--repeats", type=click.IntRange(min=1), default=5, show_default=True)
@click.option("--model", "models", multiple=True, type=click.Choice(MODELS), help="Default all.")
@click.option("--threads", type=click.IntRange(min=1), help="Default: torch's own choice.")
@click.option("--memory/--no-memory", default=True, help="Measure peak memory, each figure in a fresh process.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Write the figures.")
def main(
    quick: bool, repeats: int, models: tuple[str, ...], threads: int | None, memory: bool, json_file: Path | None
) -> None:
    """See the module."""
    if threads:
        torch.set_num_threads(threads)
    names = list(models or MODELS)
    cases = CASES[:2] if quick else CASES
    result = run(names, cases, 2 if quick else repeats, memory and not quick, 1.0 if quick else 4.0)
    result["threads"], result["cpus"] = torch.get_num_threads(), os.cpu_count()
    result["versions"] = {"python": sys.version.split()[0], "torch": torch.__version__}
    result["command"] = " ".join(["python -m benchmarks.speed", *sys.argv[1:]])
    where = f"{result['threads']} threads of {result['cpus']} CPUs"
    print_table(f"Speed, at most {CODEBOOKS} codebooks, {where}", result["speed"])
    print_table("Work", result["work"])
    print_table("Streaming 80 ms chunks: median (95th percentile)", result["streams"])
    click.echo(result["command"])
    if json_file:
        json_file.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
