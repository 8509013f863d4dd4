"""Audio, spectrograms and codes as ``data:`` URIs: everything a page needs, inside the page."""

from __future__ import annotations

import base64
import io

import numpy as np
import soundfile

from codectok.audio.samples import to_int16
from codectok.inspect.png import palette, write_png
from codectok.metrics.mel import hz_to_mel, log_mel

MAX_COLUMNS = 1600
"""Widest picture in pixels: finer than any screen shows."""
BANDS = 112
_WINDOW_SECONDS = 0.04
_RANGE_DB = 80.0


def data_uri(kind: str, data: bytes) -> str:
    """Bytes of a media type as a URI."""
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def audio_uri(samples: np.ndarray, rate: int) -> str:
    """Float [S] as 16-bit audio: FLAC, or WAV where that is smaller. Every current browser plays both."""
    pcm = to_int16(samples)
    files = []
    for container in ("FLAC", "WAV"):
        buffer = io.BytesIO()
        soundfile.write(buffer, pcm, rate, format=container, subtype="PCM_16")
        files.append((len(buffer.getvalue()), f"audio/{container.lower()}", buffer.getvalue()))
    _, kind, data = min(files)
    return data_uri(kind, data)


def spectrogram(samples: np.ndarray, rate: int, top_hz: float) -> np.ndarray:
    """Mel spectrogram for the eye, dB below full scale [T, BANDS], from 0 to ``top_hz``; at most MAX_COLUMNS wide."""
    window = 2 * round(_WINDOW_SECONDS * rate / 2)
    hop = max(round(0.005 * rate), -(-len(samples) // MAX_COLUMNS))
    return log_mel(samples, rate, window, hop, BANDS, top_hz)


def spectrogram_uri(mel: np.ndarray, loudest_db: float) -> str:
    """A spectrogram [T, BANDS] as PNG, low frequencies at the bottom; ``loudest_db`` is the lightest colour."""
    level = (mel - (loudest_db - _RANGE_DB)) / _RANGE_DB
    pixels = np.rint(255 * level.clip(0.0, 1.0)).astype(np.uint8)
    return data_uri("image/png", write_png(pixels.T[::-1], palette("magma")))


def band_position(hz: float, top_hz: float) -> float:
    """Height of a frequency in the spectrogram, 0 at the bottom to 1."""
    return float(hz_to_mel(hz) / hz_to_mel(top_hz))


def thin_codes(codes: np.ndarray) -> tuple[np.ndarray, int]:
    """Codes [K, T] with every n-th frame only, so that a picture is never wider than MAX_COLUMNS; and n."""
    step = -(-codes.shape[1] // MAX_COLUMNS)
    return codes[:, ::step], step


def codes_uri(codes: np.ndarray, sizes: tuple[int, ...]) -> str:
    """Codes [K, T] as PNG, one pixel a code, its colour the code divided by the codebook's size."""
    level = codes / np.maximum(np.array(sizes)[:, None] - 1, 1)
    return data_uri("image/png", write_png(np.rint(255 * level).astype(np.uint8), palette("viridis")))


def codes_base64(codes: np.ndarray) -> str:
    """Codes [K, T] as base64 of little-endian uint32, row after row, for the page's script."""
    return base64.b64encode(np.ascontiguousarray(codes, dtype="<u4").tobytes()).decode("ascii")
