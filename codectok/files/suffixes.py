"""What files of audio are called."""

AUDIO_SUFFIXES = (
    ".wav", ".flac", ".ogg", ".opus", ".mp3",
    ".aif", ".aifc", ".aiff", ".au", ".caf", ".mp2", ".nist", ".oga", ".rf64", ".snd", ".sph", ".w64",
)  # fmt: skip
"""What a folder is searched for, in any case."""
UNREAD_SUFFIXES = (
    ".m4a", ".m4b", ".aac", ".ac3", ".amr", ".ape", ".awb", ".mka", ".shn", ".spx", ".tta", ".webm", ".wma", ".wv",
)  # fmt: skip
"""Of recordings that libsndfile does not read, and ffmpeg does."""
SHARD_SUFFIXES = (".tar", ".parquet", ".arrow")
"""Files of many recordings, which a corpus has alone."""
