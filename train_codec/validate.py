"""Quality of a codec on whole clips, per bitrate: PESQ-WB, STOI, log-mel distance, and codebook use."""

from __future__ import annotations

import numpy as np
import torch
from pesq import NoUtterancesError, pesq
from pystoi import stoi

from codectok.codec.mdct_codec import MdctCodec
from train_codec.data import ClipArray


@torch.inference_mode()
def reconstruct(model: MdctCodec, audio: np.ndarray, depth: int) -> tuple[np.ndarray, torch.Tensor]:
    """Decode the first ``depth`` levels of a clip [S] at the model's rate; returns samples [S] and codes [K, T]."""
    x = torch.from_numpy(audio)[None]
    device = next(model.parameters()).device
    latents, _ = model.encode_step(x.to(device), None, final=True)
    codes = model.quantize(latents, depth)
    y, _ = model.decode_step(model.dequantize(codes), None, final=True)
    return y[0, : len(audio)].cpu().numpy(), codes[0].cpu()


def validate(model: MdctCodec, clips: ClipArray, count: int) -> dict[str, float]:
    """Mean scores over ``count`` clips spread evenly, with all codebooks and with a quarter of them."""
    top = len(model.codebook_sizes)
    depths = sorted({max(1, top // 4), top})
    step = max(1, len(clips.clips) // count)
    chosen = clips.clips[::step][:count]
    out: dict[str, float] = {}
    for depth in depths:
        scores: list[float] = []
        quality: list[float] = []
        used: list[set[int]] = [set() for _ in range(depth)]
        for clip in chosen:
            audio = clips.read(clip)
            y, codes = reconstruct(model, audio, depth)
            for k, row in enumerate(codes):
                used[k].update(row.tolist())
            quality.append(float(stoi(audio, y, 16000)))
            try:
                scores.append(float(pesq(16000, audio, y, "wb")))
            except NoUtterancesError:
                continue
        out[f"pesq_{depth}"] = round(float(np.mean(scores)), 4)
        out[f"stoi_{depth}"] = round(float(np.mean(quality)), 4)
        out[f"used_{depth}"] = round(float(np.mean([len(u) for u in used])), 1)
    return out
