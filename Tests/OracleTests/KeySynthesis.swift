import Base
import Flow
import FrameSupport
import Memory

/// From frames to keys and back.
final class KeyMaker {
    private var pool = PacketPool(small: 2, large: 1)
    private let packet: Packet
    var vlanLimit = 1

    init() {
        guard let packet = pool.take(1500) else { fatalError("the pool of this test is empty") }
        self.packet = packet
    }

    /// Runs `body` with the key of a frame and the frame as packet; nil if it is too short to have one.
    func withKey<R>(_ frame: [UInt8], port: PortIndex, _ body: (FlowKey, Packet) -> R) -> R? {
        guard frame.count <= 1500 else { return nil }
        packet.pointee.length = UInt32(frame.count)
        packet.pointee.inPort = port
        frame.withUnsafeBytes { bytes in
            if let start = bytes.baseAddress { packet.pointee.data.copyMemory(from: start, byteCount: bytes.count) }
        }
        var key = FlowKey()
        let kind = withUnsafeMutablePointer(to: &key) {
            extractKey(
                packet, into: UnsafeMutableRawPointer($0).assumingMemoryBound(to: UInt64.self), vlanLimit: vlanLimit)
        }
        return kind == .tooShort ? nil : body(key, packet)
    }

    /// A frame that has the values of a key, as far as there can be one: extracting it tells how far.
    static func frame(_ key: FlowKey) -> [UInt8] {
        var tags: [Tag] = []
        if key[.vlanTCI] & 0x1000 != 0 { tags.append(Tag(UInt16(key[.vlanTCI]), tpid: UInt16(key[.vlanTPID]))) }
        if key[.innerVlanTCI] & 0x1000 != 0 {
            tags.append(Tag(UInt16(key[.innerVlanTCI]), tpid: UInt16(key[.innerVlanTPID])))
        }
        let type = UInt16(key[.ethType])
        let payload: [UInt8] =
            switch type {
            case EtherType.ipv4: four(key)
            case EtherType.ipv6: six(key)
            case EtherType.arp, EtherType.rarp:
                arp(
                    operation: UInt16(key[.nwProto]), sha: key[.arpSHA], spa: UInt32(key[.ipv4Src]), tha: key[.arpTHA],
                    tpa: UInt32(key[.ipv4Dst]))
            case EtherType.mpls, EtherType.mplsMulticast: labels(key)
            default: [UInt8](repeating: 0, count: 46)
            }
        return ethernet(dst: key[.ethDst], src: key[.ethSrc], tags: tags, type: type, payload)
    }

    private static func labels(_ key: FlowKey) -> [UInt8] {
        var stack: [UInt8] = []
        for slot in [Slot.mpls0, .mpls1, .mpls2] {
            stack += be32(UInt32(key[slot]))
            if key[slot] & 0x100 != 0 { return stack + [UInt8](repeating: 0, count: 40) }
        }
        return stack + be32(0x1100)
    }

    private static func four(_ key: FlowKey) -> [UInt8] {
        let body = transport(key)
        let fragment: UInt16 = key[.nwFrag] & 2 != 0 ? 0x10 : key[.nwFrag] & 1 != 0 ? 0x2000 : 0
        return ipv4(
            UInt32(key[.ipv4Src]), UInt32(key[.ipv4Dst]), ipProtocol: UInt8(key[.nwProto]), tos: UInt8(key[.nwTOS]),
            ttl: UInt8(key[.nwTTL]), fragment: fragment, body)
    }

    private static func six(_ key: FlowKey) -> [UInt8] {
        var body = transport(key)
        var next = UInt8(key[.nwProto])
        if key[.nwFrag] != 0 {
            let isLater = key[.nwFrag] & 2 != 0
            body = [isLater ? 6 : next, 0] + be16(isLater ? 0x10 : 1) + be32(7) + body
            next = 44
        }
        return ipv6(
            key[wide: .ipv6Src], key[wide: .ipv6Dst], nextHeader: next, trafficClass: UInt8(key[.nwTOS]),
            label: UInt32(key[.ipv6Label]), hopLimit: UInt8(key[.nwTTL]), body)
    }

    private static func transport(_ key: FlowKey) -> [UInt8] {
        let (src, dst) = (UInt16(key[.tpSrc]), UInt16(key[.tpDst]))
        switch key[.nwProto] {
        case 6:
            return be16(src) + be16(dst) + be64(0) + be16(0x5000 | UInt16(key[.tcpFlags]) & 0xfff) + be16(1) + be32(0)
        case 17, 132: return be16(src) + be16(dst) + be64(0)
        case 1: return [UInt8(src & 0xff), UInt8(dst & 0xff)] + be16(0) + be32(0)
        case 2: return [UInt8(src & 0xff), UInt8(dst & 0xff)] + be16(0) + be32(UInt32(key[.igmpGroup]))
        case 58:
            var body = [UInt8(src & 0xff), UInt8(dst & 0xff)] + be16(0) + be32(UInt32(key[.ndReserved]))
            guard src == 135 || src == 136 else { return body }
            body += be128(key[wide: .ndTarget])
            var kinds: [UInt8] = key[.arpSHA] != 0 ? [1] : []
            if key[.arpTHA] != 0 { kinds.append(2) }
            if key[.ndOptionsType] == 2 { kinds.reverse() }
            for kind in kinds { body += [kind, 1] + be48(key[kind == 1 ? .arpSHA : .arpTHA]) }
            return body
        default: return []
        }
    }
}
