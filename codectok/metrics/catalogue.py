"""Metrics that are not computed clip by clip: of a whole test set, and properties of a tokenizer or a run."""

from __future__ import annotations

from codectok.metrics.registry import Metric

_BENCH = "pip install 'codectok[bench]'"
_SACREBLEU = "pip install sacrebleu"
_JUDGE = "a named judge's text of the original is the reference"


def _corpus(
    name: str,
    label: str,
    function: str,
    unit: str,
    higher_is_better: bool,
    reference: str,
    decimals: int = 1,
    install: str = "",
) -> Metric:
    where = f"codectok.metrics.{function}"
    return Metric(name, label, where, unit, higher_is_better, reference, decimals, install, "corpus")


def _system(
    name: str, label: str, unit: str, reference: str, decimals: int = 2, higher_is_better: bool = False
) -> Metric:
    return Metric(name, label, None, unit, higher_is_better, reference, decimals, "", "system")


WER = _corpus("wer", "WER", "text:wer", "%", False, "edits over words of the corpus (Levenshtein 1966)", 1, _BENCH)
"""Word error rate of a corpus."""
CER = _corpus("cer", "CER", "text:cer", "%", False, "edits over characters of the corpus", 1, _BENCH)
"""Character error rate of a corpus."""
PER = _corpus("per", "PER", "text:per", "%", False, "edits over phones of the corpus", 1, _BENCH)
"""Phone error rate of a corpus."""
BLEU = _corpus("bleu", "BLEU", "text:bleu", "", True, "Papineni et al., ACL 2002", 1, _SACREBLEU)
"""Overlap of word sequences with reference translations."""
ACCURACY = _corpus("accuracy", "accuracy", "classification:accuracy", "%", True, "share of right answers")
"""Share of right answers."""
F1 = _corpus("f1", "macro F1", "classification:f1", "%", True, "mean over classes of van Rijsbergen's F")
"""Mean over classes of the harmonic mean of precision and recall."""
EER = _corpus("eer", "EER", "classification:eer", "%", False, "Martin et al., Eurospeech 1997", 2)
"""Equal error rate of verification: where misses and false alarms are as many."""
MINDCF = _corpus("mindcf", "minDCF", "classification:mindcf", "", False, "NIST SRE 2016", 3)
"""Least detection cost of verification over thresholds."""
DWER = _corpus("dwer", "dWER", "judged:differential_wer", "%", False, _JUDGE, 1, _BENCH)
"""Words that a recogniser hears otherwise after resynthesis than before."""
DCER = _corpus("dcer", "dCER", "judged:differential_cer", "%", False, _JUDGE, 1, _BENCH)
"""Characters that a recogniser hears otherwise after resynthesis than before."""
ABX = _system("abx", "ABX", "%", "Schatz 2016; Kahn et al., ICASSP 2020")
"""Share of triples in which a phone lies nearer to another than to its own kind."""
PNMI = _system("pnmi", "PNMI", "", "Hsu et al., IEEE/ACM TASLP 29, 2021 (HuBERT)", 3, higher_is_better=True)
"""Share of the phones' entropy that units explain."""
BITRATE = _system("bitrate", "bitrate", "kbit/s", "frame rate times the sum of log2 of the codebook sizes")
"""Nominal bits per second."""
ENTROPY_BITRATE = _system(
    "entropy_bitrate", "entropy bitrate", "kbit/s", "frame rate times the sum of the codebooks' entropies"
)
"""Bits per second that an ideal coder of single codes needs."""
TOKEN_RATE = _system("token_rate", "token rate", "tokens/s", "frame rate times codebooks", 1)
"""Codes per second, of all codebooks."""
RTF = _system("rtf", "real-time factor", "", "seconds of computing per second of audio, one thread", 3)
"""Seconds of computing per second of audio."""
PARAMETERS = _system("parameters", "parameters", "M", "values of the model", 1)
"""Values of the model."""
MACS = _system("macs", "MACs", "G/s", "multiply-accumulates per second of audio", 2)
"""Multiply-accumulates per second of audio."""
