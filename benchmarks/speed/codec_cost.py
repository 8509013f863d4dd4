"""What the codecs cost besides time: memory, multiply-accumulates, and the latency of a stream."""

from __future__ import annotations

import ctypes
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from codectok.codec.tokenizer import CodecTokenizer

from .codec_sides import CODEBOOKS, make_clips, our_calls, their_calls


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
