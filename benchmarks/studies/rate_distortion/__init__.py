"""Quality against bitrate: tokenizers and the classical speech coders Opus, AMR-WB, Codec2 and Speex on the same clips.

``python -m benchmarks.studies.rate_distortion speech --data SPEECH --splits splits.tsv --use val -o plot.png``

Every decoded clip is compared with its original at 16 kHz as a 16-bit file, its delay removed and its level left alone,
by wide-band PESQ, STOI, and what those are deaf to: level, octaves, loud frames, spectral distance, clipping. Means
have 95 % bootstrap intervals over speakers (over clips where the splits name none), level errors the median and 80 % of
the clips. Bitrates are those of the coded frames, without headers and containers: nominal at a fixed rate (tokenizers,
Codec2, Speex), measured at a variable one (Opus). A coder whose programs are not installed is skipped (on Debian: ``apt
install opus-tools codec2 speex libvo-amrwbenc0 libopencore-amrwb0``). Clips that were kept as Opus files flatter Opus:
prefer lossless ones.
"""
