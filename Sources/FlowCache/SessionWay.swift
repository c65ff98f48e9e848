import CLinux
import Conntrack
import Memory

/// What a packet looks at of its `SessionShape`: the same record, word by word, since a shape is too large to be copied for each
/// look at it. The offsets are those of `SessionShape`.
public struct SessionWay {
    @usableFromInline let base: UnsafeMutableRawPointer

    @inlinable init(_ base: UnsafeMutableRawPointer) { self.base = base }

    @inlinable @inline(__always) func word(_ number: Int) -> UInt64 {
        base.load(fromByteOffset: number &* 8, as: UInt64.self)
    }

    /// Asks for all that is read here.
    @inline(__always) func prefetch() {
        weft_prefetch(base)
        weft_prefetch(base + 64)
    }

    /// Whether a key is one of this shape's.
    @inlinable @inline(__always) func matches(_ key: UnsafePointer<UInt64>) -> Bool {
        (key[0] ^ word(1)) & word(0) | (key[1] ^ word(3)) & word(2) | (key[2] ^ word(5)) & word(4)
            | (key[5] ^ word(7)) & word(6) == 0
    }

    /// The program; of a shape that is no more, none.
    @inlinable public var program: UnsafePointer<UInt64> {
        base.load(fromByteOffset: 64, as: UnsafePointer<UInt64>?.self)
            ?? UnsafePointer(base.assumingMemoryBound(to: UInt64.self))
    }
    @inlinable public var programCount: Int { Int(base.load(fromByteOffset: 72, as: UInt32.self)) }
    /// Port, if nothing is to be done but `edit` and output; else 0.
    @inlinable public var soleOutput: UInt32 { base.load(fromByteOffset: 76, as: UInt32.self) }
    /// What is to be done to frames that go to `soleOutput`.
    @inlinable public var edit: SessionEdit { base.load(fromByteOffset: 80, as: SessionEdit.self) }
    @inlinable public var trackCount: Int { Int(base.load(fromByteOffset: 96, as: UInt8.self)) }
    /// Bit i: passage i meets its connection for the first time.
    @inlinable public var meetings: UInt8 { base.load(fromByteOffset: 97, as: UInt8.self) }
    @inlinable public var isTCP: Bool { base.load(fromByteOffset: 98, as: Bool.self) }
    @inlinable var isIPv6: Bool { base.load(fromByteOffset: 99, as: Bool.self) }
    @inlinable var needs: ConnectionLines { base.load(fromByteOffset: 100, as: ConnectionLines.self) }
    /// Raw value of a `DropReason`, 0xff if there is none.
    @inlinable public var dropReason: UInt8 { base.load(fromByteOffset: 101, as: UInt8.self) }
    @inlinable public var tracks: UnsafePointer<SessionTrack> {
        UnsafePointer((base + 102).assumingMemoryBound(to: SessionTrack.self))
    }
}

/// What a router does to a frame: one translation at the most, new Ethernet addresses, another TTL, in this order. Of one shape
/// it is always the same, the difference that the TTL makes to the checksum of the IPv4 header included.
public struct SessionEdit: Sendable {
    /// Bytes 0 to 7 and 8 to 11 of the frame, in the order of memory.
    @usableFromInline var ethernet: UInt64 = 0
    @usableFromInline var ethernetRest: UInt32 = 0
    /// To be added to the complement of the checksum (RFC 1624), in the order of memory.
    @usableFromInline var checksumChange: UInt16 = 0
    @usableFromInline var ttl: UInt8 = 0
    @usableFromInline var traits: UInt8 = 0

    @usableFromInline static var setsEthernet: UInt8 { 1 }
    @usableFromInline static var setsTTL: UInt8 { 2 }
    @usableFromInline static var translates: UInt8 { 4 }
    @usableFromInline static var isReply: UInt8 { 8 }
    @usableFromInline static var isRemembered: UInt8 { 0x80 }

    /// Number of the guard whose connection says how to translate; nil if nothing is translated.
    @inlinable public var translation: Int? { traits & Self.translates == 0 ? nil : Int(traits &>> 4 & 7) }
    /// That translation is of the reply direction.
    @inlinable public var translatesReply: Bool { traits & Self.isReply != 0 }
    /// The session itself knows what the packet is translated to (`SessionTable.translation`).
    @inlinable public var remembersTranslation: Bool { traits & Self.isRemembered != 0 }

    @usableFromInline init() {}

    mutating func translate(_ guardNumber: UInt32, isReply: Bool) {
        traits |= Self.translates | (isReply ? Self.isReply : 0) | UInt8(truncatingIfNeeded: guardNumber) << 4
    }

    mutating func rememberTranslation() { traits |= Self.isRemembered }

    mutating func setEthernet(dst: UInt64, src: UInt64) {
        traits |= Self.setsEthernet
        ethernet = (dst << 16 | src >> 32).bigEndian
        ethernetRest = UInt32(truncatingIfNeeded: src).bigEndian
    }

    mutating func setTTL(from old: UInt8, to new: UInt8) {
        guard old != new else { return }
        traits |= Self.setsTTL
        ttl = new
        let sum = UInt32(~(UInt16(old) << 8)) + UInt32(new) << 8
        checksumChange = UInt16(truncatingIfNeeded: sum & 0xffff + sum >> 16).bigEndian
    }

    /// - Parameter packet: of the shape; if the TTL is set, an admitted IPv4 packet.
    @inlinable @inline(__always) public func apply(to packet: Packet) {
        if traits & Self.setsEthernet != 0 {
            packet.pointee.data.storeBytes(of: ethernet, as: UInt64.self)
            packet.pointee.data.storeBytes(of: ethernetRest, toByteOffset: 8, as: UInt32.self)
        }
        guard traits & Self.setsTTL != 0 else { return }
        let header = packet.pointee.data + Int(packet.pointee.offsetL3)
        header.storeBytes(of: ttl, toByteOffset: 8, as: UInt8.self)
        // Sums may be taken in any order of bytes (RFC 1071, section 2).
        let old = ~header.loadUnaligned(fromByteOffset: 10, as: UInt16.self)
        let sum = UInt32(old) &+ UInt32(checksumChange)
        let folded = UInt16(truncatingIfNeeded: sum & 0xffff &+ sum &>> 16)
        header.storeBytes(of: ~folded, toByteOffset: 10, as: UInt16.self)
    }
}
