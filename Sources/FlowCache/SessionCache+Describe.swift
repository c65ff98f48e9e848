import Base
import Conntrack
import Flow

/// A way of sessions under inspection, for `dp/dump-flows -m`.
public struct SessionPathDescription: Sendable {
    /// What its sessions have in common: words 0, 1, 2 and 5 of the key, the five-tuple left out.
    public var key: FlowKey
    public var mask: FlowMask
    public var ipProtocol: UInt8
    /// The passages of connection tracking, in order.
    public var tracks: [SessionTrack]
    public var program: [UInt64]
    public var dropReason: DropReason?
    public var sessions: Int
    /// Megaflows that it goes through.
    public var stages: Int
    public var packets: UInt64
    public var bytes: UInt64
    /// Milliseconds; 0 is never.
    public var used: UInt64
    public var isCurrent: Bool
    public var worker: Int
}

extension SessionCache {
    /// The paths `range`.
    public func describe(_ range: Range<Int>, worker: Int) -> [SessionPathDescription] {
        var result: [SessionPathDescription] = []
        for number in range.clamped(to: 1..<max(1, pathEnd)) {
            let path = table.path(number: UInt32(number))
            let shape = table.shape(number: path.pointee.shape)
            guard let program = shape.pointee.program else { continue }
            let count = table.counts[number]
            var key = FlowKey()
            var mask = FlowMask()
            let words = [
                (0, shape.pointee.value0, shape.pointee.mask0), (1, shape.pointee.value1, shape.pointee.mask1),
                (2, shape.pointee.value2, shape.pointee.mask2), (5, shape.pointee.value5, shape.pointee.mask5),
            ]
            for (word, value, bits) in words {
                key.words[word] = value
                mask.bits.words[word] = bits
            }
            let ipProtocol: UInt8 = shape.pointee.isTCP ? 6 : 17
            key[.nwProto] = UInt64(ipProtocol)
            mask.setExact(.nwProto)
            result.append(
                SessionPathDescription(
                    key: key, mask: mask, ipProtocol: ipProtocol,
                    tracks: (0..<Int(shape.pointee.trackCount)).map { shape.pointee.tracks[$0] },
                    program: Array(UnsafeBufferPointer(start: program, count: Int(shape.pointee.programCount))),
                    dropReason: shape.pointee.programCount == 0 ? DropReason(rawValue: shape.pointee.dropReason) : nil,
                    sessions: Int(path.pointee.references), stages: Int(path.pointee.stageCount),
                    packets: path.pointee.creditedPackets, bytes: path.pointee.creditedBytes,
                    used: path.pointee.creditedPackets == 0 ? 0 : count.used,
                    isCurrent: count.validity == validity, worker: worker))
        }
        return result
    }
}
