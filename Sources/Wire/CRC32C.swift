import CLinux

/// The checksum of SCTP: CRC32c (RFC 9260, section 6.8 and appendix A).
public enum CRC32C {
    /// CRC of `count` bytes whose checksum field is zero. It stands in the header in little-endian byte order.
    @inlinable public static func checksum(_ bytes: UnsafeRawPointer, count: Int) -> UInt32 {
        var crc: UInt64 = 0xffff_ffff
        var at = 0
        while count &- at >= 8 {
            let word = UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
            crc = weft_crc32(crc, word)
            at &+= 8
        }
        var tail = UInt32(truncatingIfNeeded: crc)
        while at < count {
            tail = weft_crc32_byte(tail, bytes.load(fromByteOffset: at, as: UInt8.self))
            at &+= 1
        }
        return ~tail
    }

    /// The same, bit by bit from the polynomial: what the fast one is tested against.
    public static func plain(_ bytes: UnsafeRawBufferPointer) -> UInt32 {
        var crc: UInt32 = 0xffff_ffff
        for byte in bytes {
            crc ^= UInt32(byte)
            for _ in 0..<8 { crc = crc & 1 == 1 ? crc >> 1 ^ 0x82f6_3b78 : crc >> 1 }
        }
        return ~crc
    }
}
