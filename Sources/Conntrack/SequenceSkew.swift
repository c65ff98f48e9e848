import Base
import Memory
import Wire

/// How far the sequence numbers of one side of a TCP connection were moved, because an announcement in it was rewritten
/// and is longer or shorter now.
///
/// Numbers up to `position` are moved by `before`, those behind it by `after`: so a retransmitted announcement is moved as
/// it was the first time. Only one side of a connection is ever moved, the one that announced first, as in Open vSwitch.
public struct SequenceSkew: Equatable, Sendable {
    /// First byte of the last announcement that was rewritten, as its sender numbers it.
    public var position: UInt32 = 0
    public var before: Int16 = 0
    public var after: Int16 = 0
    /// The side that is moved answers; else it began the connection.
    public var isReply = false
    public var isSet = false

    public init() {}

    @inline(__always) private static func isAfter(_ a: UInt32, _ b: UInt32) -> Bool { Int32(bitPattern: a &- b) > 0 }

    /// The announcement at `sequence` has become `delta` bytes longer.
    mutating func record(_ delta: Int, at sequence: UInt32, isReply: Bool) {
        guard delta != 0, !isSet || self.isReply == isReply else { return }
        // One that was recorded already comes again.
        guard !isSet || Self.isAfter(sequence, position) else { return }
        isSet = true
        self.isReply = isReply
        position = sequence
        before = after
        after = Int16(clamping: Int(after) &+ delta)
    }

    /// By how much a sequence number of the moved side is too low for its receiver.
    func offset(ofSequence number: UInt32) -> UInt32 {
        UInt32(bitPattern: Int32(Self.isAfter(number, position) ? after : before))
    }

    /// By how much an acknowledgment of the other side is too high for the moved side.
    func offset(ofAcknowledgment number: UInt32) -> UInt32 {
        let moved = UInt32(bitPattern: Int32(before))
        return UInt32(bitPattern: Int32(Self.isAfter(number &- moved, position) ? after : before))
    }
}

extension UnsafeMutablePointer where Pointee == PacketHeader {
    /// Moves the sequence number of a TCP segment that the moved side sent.
    func moveSequence(_ skew: SequenceSkew) {
        guard let segment = SegmentEdit(self) else { return }
        segment.add(skew.offset(ofSequence: segment.word(4)), at: 4)
    }

    /// Moves acknowledgments of a TCP segment that the other side sent, selective ones too (RFC 2018), back.
    func moveAcknowledgments(_ skew: SequenceSkew) {
        guard let segment = SegmentEdit(self) else { return }
        if segment.header.advanced(by: 13).load(as: UInt8.self) & 0x10 != 0 {
            segment.add(0 &- skew.offset(ofAcknowledgment: segment.word(8)), at: 8)
        }
        var at = 20
        while at &+ 1 < segment.headerSize {
            let kind = UnsafeRawPointer(segment.header).byte(at)
            if kind == 0 { return }
            if kind == 1 {
                at &+= 1
                continue
            }
            let size = Int(UnsafeRawPointer(segment.header).byte(at &+ 1))
            guard size >= 2, at &+ size <= segment.headerSize else { return }
            if kind == 5 {
                var edge = at &+ 2
                while edge &+ 4 <= at &+ size {
                    segment.add(0 &- skew.offset(ofAcknowledgment: segment.word(edge)), at: edge)
                    edge &+= 4
                }
            }
            at &+= size
        }
    }
}

/// The header of a TCP segment whose fields are to be changed.
struct SegmentEdit {
    let packet: Packet
    let header: UnsafeMutableRawPointer
    let headerSize: Int
    /// Bytes of header and payload.
    let size: Int
    let isPartial: Bool

    /// Nil if there is no whole TCP header.
    init?(_ packet: Packet) {
        let l4 = Int(packet.pointee.offsetL4)
        size = Int(packet.pointee.length) &- Int(packet.pointee.padL2) &- l4
        guard l4 != 0xffff, size >= 20 else { return nil }
        self.packet = packet
        header = packet.pointee.data + l4
        headerSize = Int(UnsafeRawPointer(header).byte(12) &>> 4) &* 4
        guard headerSize >= 20, headerSize <= size else { return nil }
        isPartial = packet.pointee.offload.needsChecksum && Int(packet.pointee.offload.checksumStart) == l4
    }

    func word(_ offset: Int) -> UInt32 { UnsafeRawPointer(header).be32(offset) }

    /// Adds to a 32-bit field, and updates the checksum. (Options need not be aligned: an odd place swaps the bytes of
    /// what the checksum sums up.)
    func add(_ amount: UInt32, at offset: Int) {
        guard amount != 0 else { return }
        let old = word(offset)
        header.store32(old &+ amount, offset)
        guard !isPartial else { return }
        let checksum = UnsafeRawPointer(header).be16(16)
        guard offset & 1 == 0 else {
            let updated = InternetChecksum.update(checksum.byteSwapped, from: old, to: old &+ amount)
            header.store16(updated.byteSwapped, 16)
            return
        }
        header.store16(InternetChecksum.update(checksum, from: old, to: old &+ amount), 16)
    }

    var payload: UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: header + headerSize, count: size &- headerSize)
    }

    /// Bytes that a frame may grow by: a frame whose buffer has less is not edited.
    static var margin: Int { 64 }

    /// Replaces `count` bytes of payload from `start` on, and sets right lengths and checksums. Nil, and nothing changed,
    /// if the frame cannot grow or is several segments; else by how much it grew.
    func replace(_ start: Int, _ count: Int, with text: UnsafeRawBufferPointer, isIPv6: Bool) -> Int? {
        let length = Int(packet.pointee.length)
        let l3 = Int(packet.pointee.offsetL3)
        guard start >= 0, count >= 0, start &+ count <= payload.count, text.count <= count &+ Self.margin,
            length &+ Self.margin <= Int(packet.pointee.room), packet.pointee.offload.segmentationType == 0,
            l3 &+ (isIPv6 ? 40 : 20) <= Int(packet.pointee.offsetL4), let source = text.baseAddress
        else { return nil }
        let delta = text.count &- count
        let network = UnsafeRawPointer(packet.pointee.data + l3)
        let oldLength = network.be16(isIPv6 ? 4 : 2)
        guard Int(oldLength) &+ delta <= 0xffff else { return nil }
        let place = header + headerSize + start
        let rest = packet.pointee.data + length - (place + count)
        (place + text.count).copyMemory(from: place + count, byteCount: rest)
        place.copyMemory(from: source, byteCount: text.count)
        packet.pointee.length = UInt32(truncatingIfNeeded: length &+ delta)
        let newLength = UInt16(truncatingIfNeeded: Int(oldLength) &+ delta)
        let writable = packet.pointee.data + l3
        if !isIPv6 {
            writable.store16(InternetChecksum.update(network.be16(10), from: oldLength, to: newLength), 10)
        }
        writable.store16(newLength, isIPv6 ? 4 : 2)
        finish(size: size &+ delta, network: network, isIPv6: isIPv6, delta: delta)
        return delta
    }

    /// The TCP checksum, anew. One that is left to the device holds the pseudo header's sum: only the length changed.
    private func finish(size: Int, network: UnsafeRawPointer, isIPv6: Bool, delta: Int) {
        if isPartial {
            let old = UnsafeRawPointer(header).be16(16)
            let change = UInt16(truncatingIfNeeded: size)
            let before = UInt16(truncatingIfNeeded: size &- delta)
            header.store16(InternetChecksum.fold(UInt64(old) &+ UInt64(~before) &+ UInt64(change)), 16)
            return
        }
        let addresses = isIPv6 ? (at: 8, count: 32) : (at: 12, count: 8)
        let sum = InternetChecksum.sum(network + addresses.at, count: addresses.count) &+ 6 &+ UInt64(size)
        header.store16(0, 16)
        header.store16(InternetChecksum.finish(InternetChecksum.sum(header, count: size, initial: sum)), 16)
    }
}
