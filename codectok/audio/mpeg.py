"""MP3 (and MP1, MP2) streams, frame by frame: how many there are, and where others or none lie between them.

Frame header and side information: ISO/IEC 11172-3, 2.4.1.3 and 2.4.2.3, and 13818-3. The first frame may be a header of
its own (Xing or Info, as LAME writes it) that states how many follow; nothing makes that true.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import BinaryIO

from codectok.audio.layout import FileLayout, FileStream, Piece
from codectok.audio.tags import tag_size

_CHUNK = 2**20
_MARK = re.compile(rb"\xff[\xe0-\xff][\x10-\xef]|TAG|APETAGEX|ID3")
"""How a frame or a tag may begin."""
_MARK_BYTES = 8
_RATES = (44100, 48000, 32000)
_BITRATES = {  # kbit/s by (MPEG 1, layer)
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
MISCOUNT = 2
"""Frames by which encoders that also state a delay and a padding (LAME) miscount."""


def _frame_bytes(second: int, third: int) -> int:
    """Length of a frame by the second and third byte of its header; 0 if that is none."""
    version, layer = second >> 3 & 3, 4 - (second >> 1 & 3)
    rate, bits = third >> 2 & 3, third >> 4
    if second < 0xE0 or version == 1 or layer == 4 or rate == 3 or bits in (0, 15):
        return 0
    hertz = _RATES[rate] >> {3: 0, 2: 1, 0: 2}[version]
    kbits, padding = _BITRATES[version == 3, layer][bits - 1], third >> 1 & 1
    if layer == 1:
        return (12000 * kbits // hertz + padding) * 4
    return (72000 if layer == 3 and version != 3 else 144000) * kbits // hertz + padding


LENGTHS = [_frame_bytes(i >> 8, i & 255) for i in range(65536)]
"""By the second and third byte of a header."""


def _kind(data: bytes, at: int = 0) -> int:
    """What the frames of a stream have in common, of the header at ``at``: version, layer, rate, mono or not."""
    return (data[at + 1] & 0xFE) << 16 | (data[at + 2] & 0x0C) << 8 | (data[at + 3] >= 0xC0)


@dataclass
class _Stream:
    """Frames of one kind, and the header before them where there is one.

    ``at`` of the header frame; ``stated`` frames it claims, -1 without one; ``trimmed`` whether it states delays too.
    """

    kind: int
    header: bytes
    at: int = -1
    stated: int = -1
    flags: int = 0
    trimmed: bool = False
    frames: int = 0
    ranges: list[list[int]] = field(default_factory=list)

    def stream(self, file_end: int) -> FileStream:
        """What to decode, to the end of its frames; as the file is, where that needs nothing else."""
        body: tuple[Piece, ...] = tuple((start, stop) for start, stop in self.ranges)
        (start, stop), whole = self.ranges[0], len(body) == 1 and self.ranges[0][1] == file_end
        if self.stated < 0:
            # libsndfile takes all frames to be as long as the first, and stops where they would then end: in a file
            # that is long enough that is after the last. What makes it long enough is never decoded.
            size = sum(stop - start for start, stop in self.ranges)
            times = -(-(self.frames + 1) * LENGTHS[self.header[1] << 8 | self.header[2]] // size)
            pieces = () if whole and times <= 1 else body * max(1, times)
            return FileStream(pieces, self.frames * _samples(self.header))
        if not self.must_count():
            return FileStream(() if whole else body)
        count = self.at + _info_at(self.header) + 8
        return FileStream(((start, count), self.frames.to_bytes(4, "big"), (count + 4, stop), *body[1:]))

    def must_count(self) -> bool:
        """Whether more frames follow than the header claims."""
        return self.frames > self.stated + (MISCOUNT if self.trimmed else 0)


def _info_at(header: bytes) -> int:
    """Where a Xing or Info header stands in a frame: after the side information."""
    mono = header[3] >> 6 == 3
    if header[1] >> 3 & 1:
        return 4 + (17 if mono else 32)
    return 4 + (9 if mono else 17)


def _samples(header: bytes) -> int:
    """Samples of a frame."""
    layer = 4 - (header[1] >> 1 & 3)
    return 384 if layer == 1 else 576 if layer == 3 and header[1] >> 3 & 3 != 3 else 1152


class _Scan:
    def __init__(self, file: BinaryIO, size: int) -> None:
        self.file, self.size = file, size
        self.streams: list[_Stream] = []
        self.junk = self.cut = 0
        self.gap = self.between = False
        self.data, self.base = b"", 0

    def end(self) -> int:
        """Where frames must end for the file to be read as it is: but for the tag that decoders know."""
        last = self.streams[-1].ranges[-1][1]
        first = 0 if len(self.streams) == 1 else -1
        return last if not first and (last + self.cut == self.size or self.peek(last, 3) == b"TAG") else -1

    def peek(self, at: int, count: int = 4) -> bytes:
        """Up to ``count`` bytes from ``at`` on."""
        if not self.base <= at <= at + count <= self.base + len(self.data):
            self.file.seek(at)
            self.data, self.base = self.file.read(max(count, _CHUNK)), at
        return self.data[at - self.base : at - self.base + count]

    def run(self) -> None:
        at = 0
        while at + 4 <= self.size:
            stop = self._frames(at)
            if stop == at and not self._tag(at):
                stop = self._resync(at)
            elif stop == at:
                stop += self._tag(at)
            at = stop

    def _frames(self, at: int) -> int:
        """Take frame after frame from ``at`` on; returns where there is none."""
        stream, info_at = None, 0
        while at + 4 <= self.size:
            i = at - self.base
            if not 0 <= i <= len(self.data) - 200:
                self.peek(at, 200)
                i = 0
            data = self.data
            length = LENGTHS[data[i + 1] << 8 | data[i + 2]] if data[i] == 0xFF else 0
            if not length:
                break
            if at + length > self.size:
                self.cut = self.size - at
                return self.size
            kind = _kind(data, i)
            if stream is None or kind != stream.kind:
                info_at = _info_at(data[i : i + 4])
            info = data[i + info_at : i + info_at + 4] in (b"Xing", b"Info")
            if stream is None or kind != stream.kind or info:
                if not (found := self._stream(at, kind, data[i : i + 4], info)):
                    break
                stream = found
            if not info:
                stream.frames += 1
            at += length
            stream.ranges[-1][1] = at
        return at

    def _stream(self, at: int, kind: int, header: bytes, info: bool) -> _Stream | None:
        """The stream that a frame goes on with or begins; None if it cannot be a frame."""
        last = self.streams[-1] if self.streams else None
        if last is not None and kind == last.kind and not info and not self.between:
            if last.ranges[-1][1] != at:
                last.ranges.append([at, at])
            return last
        if last is not None and kind != last.kind and not self._followed(at, kind):
            return None
        self.between = False
        stream = _Stream(kind, header, ranges=[[at, at]])
        if info:
            text = self.peek(at + _info_at(header), 160)
            stream.at, stream.flags = at, int.from_bytes(text[4:8], "big")
            stream.stated = int.from_bytes(text[8:12], "big") if stream.flags & 1 else -1
            after = 8 + 4 * (stream.flags & 1) + 4 * (stream.flags >> 1 & 1) + 100 * (stream.flags >> 2 & 1)
            stream.trimmed = text[after + 4 * (stream.flags >> 3 & 1) :][:4] in (b"LAME", b"Lavc", b"Lavf")
        self.streams.append(stream)
        return stream

    def _followed(self, at: int, kind: int) -> bool:
        """Whether another frame of that kind, or the end, comes after the one at ``at``."""
        head = self.peek(at)
        after = at + LENGTHS[head[1] << 8 | head[2]]
        if after >= self.size:
            return after == self.size
        head = self.peek(after)
        if len(head) < 4 or head[0] != 0xFF or not LENGTHS[head[1] << 8 | head[2]]:
            return False
        return kind == _kind(head)

    def _tag(self, at: int) -> int:
        size = tag_size(self.peek(at, 64), lambda start, count: self.peek(at + start, count))
        self.between = self.between or size > 0
        return min(size, self.size - at)

    def _resync(self, at: int) -> int:
        """Skip what is no frame; returns where frames go on."""
        start, zeros = at, True
        while at < self.size:
            self.peek(at, min(2 * _MARK_BYTES, self.size - at))
            data, begin = self.data, at - self.base
            mark = _MARK.search(data, begin + 1)
            # The end of what was read may hold the first bytes of a mark.
            stop = mark.start() if mark else len(data) - _MARK_BYTES * (self.base + len(data) < self.size)
            zeros = zeros and not data[begin:stop].strip(b"\0")
            at = self.base + stop
            if mark and (data[stop] != 0xFF or self._starts(at)):
                break
        if not zeros:
            self.junk += at - start
            self.gap = self.gap or (at < self.size and bool(self.streams))
        return at

    def _starts(self, at: int) -> bool:
        head = self.peek(at)
        if len(head) < 4 or not LENGTHS[head[1] << 8 | head[2]]:
            return False
        return self._followed(at, _kind(head))


def mpeg_layout(file: BinaryIO, size: int) -> FileLayout:
    """Find all frames of an MP3 file of ``size`` bytes."""
    scan = _Scan(file, size)
    scan.run()
    streams = [s for s in scan.streams if s.frames]
    if not streams:
        return FileLayout()
    warnings = []
    if scan.junk:
        warnings.append(f"has {scan.junk} bytes that are no audio, which are skipped")
    if scan.cut:
        warnings.append("ends within a frame, which is left out")
    for stream in streams:
        if 0 <= stream.stated < stream.frames and stream.must_count():
            warnings.append(f"has a header that claims {stream.stated} frames, and {stream.frames} are read")
    end = scan.end()
    return FileLayout(tuple(stream.stream(end) for stream in streams), tuple(warnings), scan.gap, counted=True)
