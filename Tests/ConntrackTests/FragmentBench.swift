import Base
import Conntrack
import Flow
import FrameSupport
import Memory
import Testing

/// Datagrams cut into fragments, plainly.
struct FragmentForge {
    var random: SeededRandom

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    struct Datagram {
        var tuple: ConnectionTuple
        /// Transport header and payload.
        var message: [UInt8]
        var identification: UInt32
    }

    mutating func datagram(isIPv6: Bool, bytes count: Int) -> Datagram {
        var forge = TupleForge(seed: random.next())
        let tuple = forge.tuple(isIPv6: isIPv6, 17)
        return Datagram(
            tuple: tuple, message: TupleForge.message(tuple, random.bytes(count - 8)),
            identification: isIPv6 ? random.bits32() : UInt32(random.bits16()))
    }

    static func fragment(
        _ datagram: Datagram, _ range: Range<Int>, more: Bool? = nil, offset: Int? = nil, payload: [UInt8]? = nil,
        tags: [FrameSupport.Tag] = []
    ) -> [UInt8] {
        let content = payload ?? Array(datagram.message[range])
        let hasMore = more ?? (range.upperBound < datagram.message.count)
        let units = UInt16((offset ?? range.lowerBound) / 8)
        switch TupleForge.addresses(datagram.tuple) {
        case .v4(let src, let dst):
            var packet = ipv4(src, dst, ipProtocol: 17, fragment: units | (hasMore ? 0x2000 : 0), content)
            packet.replaceSubrange(4..<6, with: be16(UInt16(datagram.identification)))
            packet.replaceSubrange(10..<12, with: [0, 0])
            packet.replaceSubrange(10..<12, with: be16(checksum(Array(packet[0..<20]))))
            return ethernet(tags: tags, type: 0x0800, packet)
        case .v6(let src, let dst):
            let header = [17, 0] + be16(units << 3 | (hasMore ? 1 : 0)) + be32(datagram.identification)
            return ethernet(tags: tags, type: 0x86dd, ipv6(src, dst, nextHeader: 44, header + content))
        }
    }

    /// Cuts at multiples of 8 between `least` and `most` bytes.
    mutating func ranges(_ datagram: Datagram, least: Int = 1248, most: Int = 1448) -> [Range<Int>] {
        var ranges: [Range<Int>] = []
        var at = 0
        while at < datagram.message.count {
            let size = (least + random.below(most - least + 1)) & ~7
            let end = min(at + size, datagram.message.count)
            ranges.append(at..<end)
            at = end
        }
        return ranges
    }
}

/// A reassembler with a worker's pool, and the sums that have to balance.
final class FragmentBench {
    let reassembler: FragmentReassembler
    let datagram = FragmentedDatagram()
    var pool: PacketPool
    var submitted = 0
    var dropped: [DropReason: Int] = [:]
    var invalid = 0
    var sent: [[UInt8]] = []
    var wholes: [[UInt8]] = []
    /// Called with the whole, as connection tracking would be.
    var track: (Packet) -> Void = { _ in }
    /// Called with each fragment that goes on.
    var inspect: (Packet) -> Void = { _ in }

    /// Other benches hold frames in the same reassembler.
    let isShared: Bool

    init(limits: FragmentLimits = FragmentLimits(), capacity: Int = 5000, pool small: Int = 512) {
        reassembler = FragmentReassembler(limits: limits, capacity: capacity, seed: 7)
        pool = PacketPool(small: small, large: 8)
        isShared = false
    }

    init(sharing reassembler: FragmentReassembler) {
        self.reassembler = reassembler
        pool = PacketPool(small: 512, large: 8)
        isShared = true
    }

    @discardableResult
    func submit(
        _ frame: [UInt8], zone: UInt16 = 1, port: UInt32 = 1, frozen: UInt32 = 0, now: UInt64 = 0
    ) -> FragmentOutcome {
        let packet = packet(frame, from: &pool)
        packet.pointee.inPort = PortIndex(port)
        packet.pointee.frozen = frozen
        packet.pointee.recirculations = frozen == 0 ? 0 : 1
        _ = extracted(packet)
        submitted += 1
        let outcome = reassembler.submit(
            packet, zone: zone, now: now, pool: &pool, datagram: datagram)
        switch outcome {
        case .notFragment: send(packet)
        case .invalid:
            invalid += 1
            send(packet)
        case .held: pool.free(packet)
        case .dropped(let reason, let others):
            dropped[reason, default: 0] += 1 + others
            pool.free(packet)
        case .complete:
            track(datagram.whole)
            wholes.append(bytes(datagram.whole))
            datagram.distribute()
            for i in 0..<datagram.count {
                inspect(datagram.fragments[i])
                send(datagram.fragments[i])
            }
        }
        #expect(isShared || isBalanced)
        return outcome
    }

    func send(_ packet: Packet) {
        sent.append(bytes(packet))
        pool.free(packet)
    }

    func expire(now: UInt64) {
        let count = reassembler.expire(now: now)
        if count > 0 { dropped[.fragmentExpired, default: 0] += count }
        #expect(isShared || isBalanced)
    }

    /// Every frame is somewhere, and no buffer is lost.
    var isBalanced: Bool {
        submitted == sent.count + dropped.values.reduce(0, +) + reassembler.held && pool.inUse == 0
    }
}
