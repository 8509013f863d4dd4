"""The continuous road: audio as soft tokens or by cross-attention, and what it is compared with."""

from codectok.llm.continuous.encoders import EncoderConcat, align_frames, aligned_length
from codectok.llm.continuous.gated import GatedCrossAttention, GatedLLM
from codectok.llm.continuous.projector import Projector
from codectok.llm.continuous.registry import PROJECTORS, build_projector, load_projector, save_projector
from codectok.llm.continuous.scatter import batch_features, expand_placeholders, scatter_features
from codectok.llm.continuous.sources import AudioSource
from codectok.llm.continuous.speech_llm import SpeechLLM

__all__ = [
    "PROJECTORS",
    "AudioSource",
    "EncoderConcat",
    "GatedCrossAttention",
    "GatedLLM",
    "Projector",
    "SpeechLLM",
    "align_frames",
    "aligned_length",
    "batch_features",
    "build_projector",
    "expand_placeholders",
    "load_projector",
    "save_projector",
    "scatter_features",
]
