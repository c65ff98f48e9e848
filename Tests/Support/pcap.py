"""Reading a capture file while another process appends to it, and writing one."""
import struct


class PcapTail:
    """The frames appended to a pcap file since the last look (native byte order, microseconds)."""

    def __init__(self, path):
        self.path = path
        self.file = None
        self.rest = b''

    def new(self):
        if self.file is None:
            try:
                self.file = open(self.path, 'rb', buffering=0)
            except FileNotFoundError:
                return []
            self.header = 24
        data = self.rest + self.file.read()
        if self.header:
            if len(data) < 24:
                self.rest = data
                return []
            data, self.header = data[24:], 0
        frames, at = [], 0
        while at + 16 <= len(data):
            length = struct.unpack_from('<I', data, at + 8)[0]
            if at + 16 + length > len(data):
                break
            frames.append(data[at + 16:at + 16 + length])
            at += 16 + length
        self.rest = data[at:]
        return frames

    def close(self):
        if self.file:
            self.file.close()


def write_pcap(path, frames):
    with open(path, 'wb') as f:
        f.write(struct.pack('<IHHiIII', 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for n, frame in enumerate(frames):
            f.write(struct.pack('<IIII', n // 1_000_000, n % 1_000_000, len(frame), len(frame)) + frame)
