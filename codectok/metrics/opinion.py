"""What listeners would say: predictors of mean opinion scores, each by the package that carries it."""

from __future__ import annotations

import contextlib
import io
import sys
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from codectok.metrics.registry import Metric, MetricError, MetricUnavailable
from codectok.metrics.signal import RATE, aligned_pair, finite, one_clip

VISQOL = "pip install 'visqol-python[lattice]'"
DNSMOS = "pip install speechmos onnxruntime librosa"
DISTILLMOS = "pip install distillmos"


def visqol(reference: np.ndarray, estimate: np.ndarray, rate: int) -> float:
    """ViSQOL 3 in speech mode, MOS-LQO 1 to 5, by its deep-lattice mapping (the default of Google's program).

    Raises:
        MetricUnavailable: the package ``visqol-python`` or its lattice runtime is missing.
        MetricError: too short, silent, or unequal lengths.
    """
    api = _visqol()
    ref, est = aligned_pair(reference, estimate, rate)
    if not ref.any() or not est.any():
        raise MetricError("ViSQOL is not defined for silence")
    try:
        value = api.measure_from_arrays(ref, est, RATE).moslqo
    except (ValueError, RuntimeError, IndexError) as error:
        raise MetricError(f"ViSQOL: {error}") from error
    return finite(float(value), "ViSQOL")


@lru_cache(maxsize=1)
def _visqol() -> Any:
    try:
        from visqol import VisqolApi

        api = VisqolApi()
        api.create(mode="speech", use_lattice_model=True)
    except ImportError as error:
        raise MetricUnavailable(f"ViSQOL is not installed: {VISQOL}") from error
    return api


def dnsmos(estimate: np.ndarray, rate: int) -> float:
    """DNSMOS P.808, MOS 1 to 5, the figure that DASB reports; samples outside -1 to 1 are clipped, as in a file.

    As published: a clip is doubled until it has 9.01 s, windows of 9.01 s start every second, the mean counts.

    Raises:
        MetricUnavailable: the package ``speechmos`` or ``onnxruntime`` is missing.
        MetricError: empty, silent or not finite.
    """
    return _dnsmos(estimate, rate, "p808_mos")


def dnsmos_ovrl(estimate: np.ndarray, rate: int) -> float:
    """DNSMOS P.835 overall quality, MOS 1 to 5; ten times the work of :func:`dnsmos`, and raises as it does."""
    return _dnsmos(estimate, rate, "ovrl_mos")


def _dnsmos(estimate: np.ndarray, rate: int, figure: str) -> float:
    model = _dnsmos_model(figure)
    samples = one_clip(estimate, rate).clip(-1.0, 1.0).astype(np.float32)
    return finite(float(model(samples, RATE, False)[figure]), "DNSMOS")


@lru_cache(maxsize=2)
def _dnsmos_model(figure: str) -> Any:
    try:
        import onnxruntime
        from speechmos import dnsmos as package
    except ImportError as error:
        raise MetricUnavailable(f"DNSMOS is not installed: {DNSMOS}") from error
    folder = Path(package.__file__).parent / "dnsmos_models"
    options = onnxruntime.SessionOptions()
    # The runtime's threads wait busily, and so get in each other's way where cells run side by side.
    options.intra_op_num_threads = options.inter_op_num_threads = 1

    class OneModel(package.DNSMOS):  # type: ignore[misc]
        """Of the package's two models the one that is asked for."""

        def __init__(self) -> None:
            self.onnx_sess = self.p808_onnx_sess = _Skipped()
            if figure == "p808_mos":
                self.p808_onnx_sess = onnxruntime.InferenceSession(folder / "model_v8.onnx", options)
            else:
                self.onnx_sess = onnxruntime.InferenceSession(folder / "sig_bak_ovr.onnx", options)

    return OneModel()


class _Skipped:
    """In place of a model whose figures nobody asked for."""

    def run(self, *_: Any) -> list[np.ndarray]:
        return [np.zeros((1, 3))]


def distillmos(estimate: np.ndarray, rate: int) -> float:
    """DistillMOS, MOS 1 to 5: a small model taught by a large one (Stahl and Gamper 2025).

    Raises:
        MetricUnavailable: the package ``distillmos`` is missing.
        MetricError: empty, silent or not finite.
    """
    import torch

    clip = torch.from_numpy(one_clip(estimate, rate)).float()
    with torch.inference_mode():
        return finite(float(_distillmos()(clip[None])), "DistillMOS")


@lru_cache(maxsize=1)
def _distillmos() -> Any:
    try:
        with _without_torchaudio(), contextlib.redirect_stdout(io.StringIO()):
            return import_module("distillmos").ConvTransformerSQAModel().eval()
    except ImportError as error:
        raise MetricUnavailable(f"DistillMOS is not installed: {DISTILLMOS}") from error


@contextlib.contextmanager
def _without_torchaudio() -> Any:
    """Let a package be imported that names torchaudio and uses it in its command line only."""
    try:
        import_module("torchaudio")
    except (ImportError, OSError):
        sys.modules["torchaudio"] = ModuleType("torchaudio")
        try:
            yield
        finally:
            del sys.modules["torchaudio"]
    else:
        yield


_P808 = "Reddy et al., ICASSP 2021 (P.808)"
_P835 = "Reddy et al., ICASSP 2022 (P.835)"


_STAHL = "Stahl and Gamper, ICASSP 2025"
VISQOL_MOS = Metric("visqol", "ViSQOL", visqol, "MOS", True, "Chinen et al., QoMEX 2020", install=VISQOL)
"""Similarity of spectrograms to the reference, as an opinion score."""
DNSMOS_P808 = Metric("dnsmos", "DNSMOS", dnsmos, "MOS", True, _P808, 2, DNSMOS, "reference-free")
"""A network's guess of P.808 opinion scores of noisy speech."""
DNSMOS_OVRL = Metric("dnsmos_ovrl", "DNSMOS overall", dnsmos_ovrl, "MOS", True, _P835, 2, DNSMOS, "reference-free")
"""A network's guess of the overall score of P.835."""
DISTILLMOS_MOS = Metric("distillmos", "DistillMOS", distillmos, "MOS", True, _STAHL, 2, DISTILLMOS, "reference-free")
"""A small network distilled from a large judge of speech quality."""
