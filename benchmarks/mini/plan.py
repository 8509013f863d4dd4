"""Which clips each data set of ``mini`` wants, by speaker: written down before anything was trained on it.

A *want* is (speaker, language prefix, number of clips). Clips are taken in the order of a hash of their path, so that
data sets share clips wherever they can. Test clips always come from those marked ``mini-test`` in the table of splits
of the shipped models; training clips may be any.
"""

from __future__ import annotations

Want = tuple[str, str, int]
Plan = dict[str, list[Want]]


def _each(number: int, *speakers: str) -> list[Want]:
    return [(speaker, "en" if speaker == "allison" else "", number) for speaker in speakers]


KNOWN = (
    *("allison", "dalzot", "ivrvoice-ru"),
    *("fillets-cs-big", "fillets-cs-small", "fillets-nl-big", "fillets-nl-small"),
    *("tuxpaint-be-buraya", "tuxpaint-bg-petkov", "tuxpaint-ca-pujal", "tuxpaint-el-serafeim", "tuxpaint-fr-paulk"),
    *("rally-ab", "kajongg-de-male2"),
)
"""Names that stand for one person; some of the ``klettres-*`` and ``ktuberling-*`` hold two or more voices."""

SI: Plan = {"train": _each(16, *KNOWN), "valid": _each(4, *KNOWN), "test": _each(8, *KNOWN)}

_TRAIN = ("allison", "dalzot", "fillets-cs-big", "fillets-cs-small", "tuxpaint-be-buraya", "tuxpaint-el-serafeim")
_VALID = ("tuxpaint-da-dalton", "tuxpaint-bg-petkov", "tuxpaint-ca-pujal")
_TEST = (
    *("ivrvoice-ru", "fillets-nl-big", "fillets-nl-small", "tuxpaint-fr-paulk"),
    *("rally-ab", "kajongg-de-male2", "kajongg-de-female2"),
)
_MORE = ("klettres-en", "klettres-de", "klettres-fr", "klettres-nl", "ktuberling-ru")

SV: Plan = {"train": _each(16, *_TRAIN, *_MORE), "valid": _each(8, *_VALID), "test": _each(9, *_TEST)}

CLEAN: Plan = {
    "train": _each(16, *_TRAIN),
    "valid": [*_each(6, *_VALID), *_each(4, "horizons-en", "horizons-fr")],
    "test": _each(6, *_TEST),
}
"""Clips that noise or a second speaker is added to."""

LID: Plan = {
    "train": [
        *[("allison", "en", 30), ("klettres-en", "en", 15), ("ktuberling-en", "en", 10)],
        *[("klettres-de", "de", 30), ("ktuberling-de", "de", 20)],
        *[("ktuberling-fr", "fr", 30), ("klettres-fr", "fr", 20)],
        *[("ktuberling-ru", "ru", 45), ("klettres-nl", "nl", 45)],
    ],
    "valid": [
        *[("klettres-en_GB", "en", 8), ("horizons-en", "en", 4)],
        *[("kajongg-de-female2", "de", 6), ("horizons-de", "de", 4)],
        *[("horizons-fr", "fr", 5), ("klettres-ru", "ru", 10), ("fillets-nl-big", "nl", 10)],
    ],
    "test": [
        *[("rally-ab", "en", 11), ("kajongg-en-female2", "en", 6), ("kajongg-de-male2", "de", 17)],
        *[("tuxpaint-fr-paulk", "fr", 17), ("ivrvoice-ru", "ru", 17), ("fillets-nl-small", "nl", 17)],
    ],
}

ASR: Plan = {"train": [("allison", "en", 210)], "valid": [("allison", "en", 24)], "test": [("allison", "en", 60)]}

RESYNTHESIS: Plan = {
    "test": [
        *[("allison", "en", 3), ("allison", "es", 3), ("dalzot", "it", 3), ("ivrvoice-ru", "ru", 3)],
        *_each(2, "horizons-de", "horizons-en", "horizons-fr"),
        *_each(2, "fillets-cs-big", "fillets-cs-small", "tuxpaint-be-buraya", "tuxpaint-el-serafeim"),
        *_each(2, "fillets-nl-big", "fillets-nl-small", "tuxpaint-fr-paulk", "kajongg-de-female2"),
        *_each(1, "rally-ab", "kajongg-de-male2", "kajongg-en-female2", "tuxpaint-bg-petkov", "tuxpaint-ca-pujal"),
        *_each(1, "klettres-nb", "ktuberling-ga", "ktuberling-ro", "ktuberling-sl", "ktuberling-sv"),
    ]
}

SECONDS = {"asr": (0.8, 6.0), "resynthesis": (0.8, 8.0), "ss": (1.2, 5.0)}
"""Shortest and longest clip, s; of the rest ``DEFAULT_SECONDS``."""
DEFAULT_SECONDS = (0.8, 5.0)
SNR_SE = (0.0, 10.0)
SNR_SS = (-3.0, 3.0)
MIXTURES = {"train": 96, "valid": 16, "test": 40}
TRIALS_PER_SPEAKER = 30
