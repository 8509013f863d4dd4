"""Systems whose streams have no common frame: one after another, or merged by time."""

from __future__ import annotations

from codectok.llm.vocab.audio_vocab import AudioVocab
from codectok.llm.vocab.presets.marks import in_a_row


def spirit_lm(base_id: int = 32000) -> AudioVocab:
    """Spirit LM (Nguyen et al., 2024; repository facebookresearch/spiritlm), on Llama 2.

    [Text] (``base_id``) [Speech], then 501 HuBERT units [Hu0] ..., 64 pitch tokens [Pi0] ... and 100 style tokens
    [St0] ...: deduplicated streams of 25, 12.5 and 1 Hz, sorted by time. The base model uses the first stream alone.
    """
    marks = in_a_row(base_id, {"text": "[Text]", "begin": "[Speech]"})
    templates = ("[Hu{c}]", "[Pi{c}]", "[St{c}]")
    return AudioVocab("spirit-lm", (501, 64, 100), base_id + 2, templates, framed=False, marks=marks)


def spark_tts(base_id: int = 151665) -> AudioVocab:
    """Spark-TTS (Wang et al., 2025; repository SparkAudio/Spark-TTS): BiCodec on Qwen2.5.

    <|bicodec_global_0|> (``base_id``) ... of 4096, <|bicodec_semantic_0|> ... of 8192, then attributes, tasks and
    markers. An utterance is 32 global tokens (the speaker), then the semantic ones.
    """
    attributes = [f"pitch_value_{i}" for i in range(1001)] + [f"pitch_var_value_{i}" for i in range(11)]
    attributes += [f"{label}_{i}" for label in ("pitch_label", "pitch_var_label") for i in range(5)]
    attributes += [f"speed_value_{i}" for i in range(11)] + [f"speed_label_{i}" for i in range(5)]
    attributes += [f"loudness_value_{i}" for i in range(31)] + [f"loudness_label_{i}" for i in range(5)]
    attributes += [f"age_{i}" for i in range(5)] + [f"gender_{i}" for i in range(3)]
    attributes += [f"emotion_{i}" for i in range(101)]
    tasks = ("vc", "tts", "asr", "s2s", "t2s", "cap", "understand", "controllable_tts", "prompt_tts", "edit")
    parts = ("content", "style_label", "style_prompt", "acoustic_token", "global_token", "semantic_token")
    first = base_id + 4096 + 8192
    marks = in_a_row(first, {name: f"<|{name}|>" for name in attributes}, "attribute")
    marks += in_a_row(first + len(marks), {f"task_{name}": f"<|task_{name}|>" for name in tasks}, "task")
    ends = {f"{way}_{part}": f"<|{way}_{part}|>" for way in ("start", "end") for part in parts}
    marks += in_a_row(first + len(marks), ends)
    templates = ("<|bicodec_global_{c}|>", "<|bicodec_semantic_{c}|>")
    return AudioVocab("spark-tts", (4096, 8192), base_id, templates, framed=False, marks=marks)
