/// The checksum of IPv4, TCP, UDP, ICMP, ICMPv6 and IGMP: RFC 1071, with the incremental update of RFC 1624.
///
/// Sums are ones' complement sums of big-endian 16-bit words. A folded sum is 0 only if all that was added was 0, so
/// full and incremental computation agree also in how they write zero.
public enum InternetChecksum {
    /// Sum of `count` bytes, an odd last byte padded with 0, folded to 16 bits and added to `initial`.
    ///
    /// The words are added eight bytes at a time in the byte order of memory, and the result is swapped once: the
    /// ones' complement sum does not depend on byte order (RFC 1071, section 2 (B)).
    @inlinable public static func sum(_ bytes: UnsafeRawPointer, count: Int, initial: UInt64 = 0) -> UInt64 {
        var low: UInt64 = 0
        var high: UInt64 = 0
        var at = 0
        while count &- at >= 32 {
            let a = load(bytes, at)
            let b = load(bytes, at &+ 8)
            let c = load(bytes, at &+ 16)
            let d = load(bytes, at &+ 24)
            low &+= (a & 0xffff_ffff) &+ (b & 0xffff_ffff) &+ (c & 0xffff_ffff) &+ (d & 0xffff_ffff)
            high &+= (a &>> 32) &+ (b &>> 32) &+ (c &>> 32) &+ (d &>> 32)
            at &+= 32
        }
        while count &- at >= 8 {
            let a = load(bytes, at)
            low &+= a & 0xffff_ffff
            high &+= a &>> 32
            at &+= 8
        }
        while count &- at >= 2 {
            low &+= UInt64(UInt16(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt16.self)))
            at &+= 2
        }
        if at < count { low &+= UInt64(bytes.load(fromByteOffset: at, as: UInt8.self)) }
        return initial &+ UInt64(fold(low &+ high).byteSwapped)
    }

    @inlinable @inline(__always) static func load(_ bytes: UnsafeRawPointer, _ at: Int) -> UInt64 {
        UInt64(littleEndian: bytes.loadUnaligned(fromByteOffset: at, as: UInt64.self))
    }

    /// The sum in 16 bits.
    @inlinable @inline(__always) public static func fold(_ sum: UInt64) -> UInt16 {
        var s = (sum & 0xffff_ffff) &+ (sum &>> 32)
        s = (s & 0xffff) &+ (s &>> 16)
        s = (s & 0xffff) &+ (s &>> 16)
        s = (s & 0xffff) &+ (s &>> 16)
        return UInt16(truncatingIfNeeded: s)
    }

    /// What goes into the header: the complement of the folded sum.
    @inlinable @inline(__always) public static func finish(_ sum: UInt64) -> UInt16 { ~fold(sum) }

    /// Checksum of `count` bytes whose checksum field is zero; 0 over bytes with a right checksum in place.
    @inlinable public static func checksum(_ bytes: UnsafeRawPointer, count: Int) -> UInt16 {
        finish(sum(bytes, count: count))
    }

    /// `sum`, a word at a time as RFC 1071 defines it: what the fast one is tested against.
    public static func plainSum(_ bytes: UnsafeRawBufferPointer, initial: UInt64 = 0) -> UInt64 {
        var sum: UInt64 = 0
        for (i, byte) in bytes.enumerated() { sum += UInt64(byte) << (i % 2 == 0 ? 8 : 0) }
        while sum > 0xffff { sum = sum % 0x10000 + sum / 0x10000 }
        return initial + sum
    }
}

// RFC 1624, equation 3: HC' = ~(~HC + ~m + m').
extension InternetChecksum {
    /// The checksum after a 16-bit word that it covers has changed.
    @inlinable @inline(__always)
    public static func update(_ checksum: UInt16, from old: UInt16, to new: UInt16) -> UInt16 {
        finish(UInt64(~checksum) &+ UInt64(~old) &+ UInt64(new))
    }

    @inlinable @inline(__always)
    public static func update(_ checksum: UInt16, from old: UInt32, to new: UInt32) -> UInt16 {
        finish(UInt64(~checksum) &+ words(~old) &+ words(new))
    }

    /// 48 bits, as of a MAC address.
    @inlinable @inline(__always)
    public static func update48(_ checksum: UInt16, from old: UInt64, to new: UInt64) -> UInt16 {
        finish(UInt64(~checksum) &+ words(~old & 0xffff_ffff_ffff) &+ words(new))
    }

    @inlinable @inline(__always)
    public static func update(_ checksum: UInt16, from old: UInt128, to new: UInt128) -> UInt16 {
        finish(UInt64(~checksum) &+ words(~old) &+ words(new))
    }

    /// Sum of the 16-bit words of a value.
    @inlinable @inline(__always) public static func words(_ value: UInt32) -> UInt64 {
        UInt64(value &>> 16) &+ UInt64(value & 0xffff)
    }
    @inlinable @inline(__always) public static func words(_ value: UInt64) -> UInt64 {
        words(UInt32(truncatingIfNeeded: value &>> 32)) &+ words(UInt32(truncatingIfNeeded: value))
    }
    @inlinable @inline(__always) public static func words(_ value: UInt128) -> UInt64 {
        words(UInt64(truncatingIfNeeded: value &>> 64)) &+ words(UInt64(truncatingIfNeeded: value))
    }
}

// Pseudo headers, which TCP, UDP and ICMPv6 checksums cover too.
extension InternetChecksum {
    /// RFC 9293, section 3.1. `length`: bytes of transport header and payload.
    @inlinable @inline(__always)
    public static func pseudoHeader(src: UInt32, dst: UInt32, ipProtocol: UInt8, length: Int) -> UInt64 {
        words(src) &+ words(dst) &+ UInt64(ipProtocol) &+ words(UInt32(truncatingIfNeeded: length))
    }

    /// RFC 8200, section 8.1. `length`: bytes of upper-layer header and payload.
    @inlinable @inline(__always)
    public static func pseudoHeader(src: UInt128, dst: UInt128, nextHeader: UInt8, length: Int) -> UInt64 {
        words(src) &+ words(dst) &+ UInt64(nextHeader) &+ words(UInt32(truncatingIfNeeded: length))
    }

    /// A UDP checksum of 0 says that there is none; one that comes out as 0 is sent as 0xffff (RFC 768).
    @inlinable @inline(__always) public static func udp(_ checksum: UInt16) -> UInt16 {
        checksum == 0 ? 0xffff : checksum
    }
}
