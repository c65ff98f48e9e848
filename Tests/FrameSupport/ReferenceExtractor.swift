import Flow

/// Key extraction once more: a list of fields by `Slot`, bytes from an array that refuses to be read beyond its end.
/// Written from the RFCs and from what OVS documents of its flow key; slow, without a fast path.
public struct ReferenceExtractor {
    public private(set) var key = FlowKey()
    public private(set) var offsetMPLS: Int?
    public private(set) var offsetL3: Int?
    public private(set) var offsetL4: Int?
    public private(set) var padL2 = 0

    private struct Truncated: Error {}

    /// The rest of the frame, with its offset.
    private struct Rest {
        var bytes: ArraySlice<UInt8>
        var offset: Int { bytes.startIndex }

        func number(_ at: Int, _ count: Int) throws -> UInt64 {
            guard bytes.count >= at + count else { throw Truncated() }
            return bytes[offset + at..<offset + at + count].reduce(0) { $0 << 8 | UInt64($1) }
        }
        func wide(_ at: Int) throws -> UInt128 { UInt128(try number(at, 8)) << 64 | UInt128(try number(at + 8, 8)) }
        func dropping(_ count: Int) throws -> Rest {
            guard bytes.count >= count else { throw Truncated() }
            return Rest(bytes: bytes.dropFirst(count))
        }
        func limited(_ count: Int) -> Rest { Rest(bytes: bytes.prefix(count)) }
    }

    public init(_ frame: [UInt8], port: UInt32, vlanLimit: Int) {
        key[.inPort] = UInt64(port)
        guard frame.count >= 14 else { return }
        do { try link(Rest(bytes: frame[...]), vlanLimit) } catch {}
    }

    private mutating func link(_ frame: Rest, _ vlanLimit: Int) throws {
        key[.ethDst] = try frame.number(0, 6)
        key[.ethSrc] = try frame.number(6, 6)
        var rest = try frame.dropping(12)
        for tag in 0..<(vlanLimit == 0 ? 2 : vlanLimit) {
            let tpid = try rest.number(0, 2)
            guard tpid == 0x8100 || tpid == 0x88a8, rest.bytes.count >= 6 else { break }
            key[tag == 0 ? .vlanTPID : .innerVlanTPID] = tpid
            key[tag == 0 ? .vlanTCI : .innerVlanTCI] = try rest.number(2, 2) | 0x1000
            rest = try rest.dropping(4)
        }
        var type = try rest.number(0, 2)
        rest = try rest.dropping(2)
        if type < 0x600 {
            let isSNAP = rest.bytes.starts(with: [0xaa, 0xaa, 3, 0, 0, 0]) && rest.bytes.count >= 8
            type = 0x5ff
            if isSNAP {
                if try rest.number(6, 2) >= 0x600 { type = try rest.number(6, 2) }
                rest = try rest.dropping(8)
            }
        }
        key[.ethType] = type
        if type == 0x8847 || type == 0x8848 {
            offsetMPLS = rest.offset
            var entries: [UInt64] = []
            while let entry = try? rest.number(0, 4) {
                entries.append(entry)
                rest = try rest.dropping(4)
                if entry >> 8 & 1 == 1 { break }
            }
            for (slot, entry) in zip([Slot.mpls0, .mpls1, .mpls2], entries) { key[slot] = entry }
        }
        offsetL3 = rest.offset
        switch type {
        case 0x0800: try ipv4(rest)
        case 0x86dd: try ipv6(rest)
        case 0x0806, 0x8035: try arp(rest)
        default: break
        }
    }

    private mutating func arp(_ rest: Rest) throws {
        guard rest.bytes.count >= 28, rest.bytes.starts(with: [0, 1, 8, 0, 6, 4]) else { return }
        let operation = try rest.number(6, 2)
        if operation < 256 { key[.nwProto] = operation }
        key[.arpSHA] = try rest.number(8, 6)
        key[.ipv4Src] = try rest.number(14, 4)
        key[.arpTHA] = try rest.number(18, 6)
        key[.ipv4Dst] = try rest.number(24, 4)
    }

    private mutating func ipv4(_ rest: Rest) throws {
        _ = try rest.number(0, 8)
        let header = Int(try rest.number(0, 1) & 15) * 4
        let total = Int(try rest.number(2, 2))
        guard rest.bytes.count >= 20, header >= 20, header <= total, total <= rest.bytes.count,
            rest.bytes.count - total < 65536
        else { return }
        padL2 = rest.bytes.count - total
        let fragment = try rest.number(6, 2)
        key[.nwTOS] = try rest.number(1, 1)
        key[.nwTTL] = try rest.number(8, 1)
        key[.ipv4Src] = try rest.number(12, 4)
        key[.ipv4Dst] = try rest.number(16, 4)
        let isLater = fragment & 0x1fff != 0
        let isFragment = isLater || fragment & 0x2000 != 0
        key[.nwFrag] = isLater ? 3 : isFragment ? 1 : 0
        try transport(rest.limited(total).dropping(header), UInt8(try rest.number(9, 1)), isLater)
    }

    private mutating func ipv6(_ rest: Rest) throws {
        _ = try rest.number(0, 40)
        let payload = Int(try rest.number(4, 2))
        guard rest.bytes.count >= 40 + payload, rest.bytes.count - 40 - payload < 65536 else { return }
        padL2 = rest.bytes.count - 40 - payload
        key[wide: .ipv6Src] = try rest.wide(8)
        key[wide: .ipv6Dst] = try rest.wide(24)
        var next = UInt8(try rest.number(6, 1))
        var fragment: UInt64 = 0
        var chain = try rest.dropping(40).limited(payload)
        while [0, 43, 44, 51, 60].contains(next), fragment != 3 {
            let kind = next
            _ = try chain.number(0, 8)
            next = UInt8(try chain.number(0, 1))
            var size = 8 + 8 * Int(try chain.number(1, 1))
            if kind == 51 { size = 8 + 4 * Int(try chain.number(1, 1)) }
            if kind == 44 {
                size = 8
                let offset = try chain.number(2, 2)
                if offset != 0 { fragment = 1 }
                if offset >> 3 != 0 { (fragment, next) = (3, 44) }
            }
            chain = try chain.dropping(size)
        }
        let first = try rest.number(0, 4)
        key[.nwTOS] = first >> 20 & 0xff
        key[.ipv6Label] = first & 0xfffff
        key[.nwTTL] = try rest.number(7, 1)
        key[.nwFrag] = fragment
        try transport(chain, next, fragment == 3)
    }

    private mutating func transport(_ rest: Rest, _ ipProtocol: UInt8, _ isLaterFragment: Bool) throws {
        offsetL4 = rest.offset
        key[.nwProto] = UInt64(ipProtocol)
        if isLaterFragment { return }
        switch ipProtocol {
        case 6:
            let control = try rest.number(12, 2)
            let size = Int(control >> 12) * 4
            guard rest.bytes.count >= 20, size >= 20, rest.bytes.count >= size else { return }
            key[.tcpFlags] = control & 0xfff
            key[.tpSrc] = try rest.number(0, 2)
            key[.tpDst] = try rest.number(2, 2)
        case 17, 132:
            guard rest.bytes.count >= (ipProtocol == 17 ? 8 : 12) else { return }
            key[.tpSrc] = try rest.number(0, 2)
            key[.tpDst] = try rest.number(2, 2)
        case 1, 2, 58:
            guard rest.bytes.count >= 8 else { return }
            let (type, code) = (try rest.number(0, 1), try rest.number(1, 1))
            key[.tpSrc] = type
            key[.tpDst] = code
            if ipProtocol == 2 { key[.igmpGroup] = try rest.number(4, 4) }
            if ipProtocol == 58, code == 0, type == 135 || type == 136 { try neighbour(rest) }
        default: break
        }
    }

    private mutating func neighbour(_ message: Rest) throws {
        key[.ndReserved] = try message.number(4, 4)
        let target = try message.wide(8)
        key[wide: .ndTarget] = target
        var options = try message.dropping(24)
        var seen: [UInt64: UInt64] = [:]
        while options.bytes.count >= 8 {
            let (kind, size) = (try options.number(0, 1), Int(try options.number(1, 1)) * 8)
            if size == 0 || size > options.bytes.count { break }
            if size == 8, kind == 1 || kind == 2 {
                if seen[kind, default: 0] != 0 {
                    // The same option twice: nothing of it can be trusted.
                    key[wide: .ndTarget] = 0
                    seen = [:]
                    break
                }
                seen[kind] = try options.number(2, 6)
                if key[.ndOptionsType] == 0 { key[.ndOptionsType] = kind }
            }
            options = try options.dropping(size)
        }
        key[.arpSHA] = seen[1] ?? 0
        key[.arpTHA] = seen[2] ?? 0
    }
}
