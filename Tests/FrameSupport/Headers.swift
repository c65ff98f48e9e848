// Headers as byte arrays, by the drawings of their RFCs, with right lengths and checksums. Plain and slow.

/// Ones' complement checksum over 16-bit words, as RFC 1071 defines it.
public func checksum(_ bytes: [UInt8]) -> UInt16 {
    var sum: UInt32 = 0
    var i = 0
    while i < bytes.count {
        sum += UInt32(bytes[i]) << 8 + (i + 1 < bytes.count ? UInt32(bytes[i + 1]) : 0)
        i += 2
    }
    while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
    return ~UInt16(sum)
}

public struct Tag: Sendable {
    public var tpid: UInt16
    public var tci: UInt16
    public init(_ tci: UInt16, tpid: UInt16 = 0x8100) {
        self.tpid = tpid
        self.tci = tci
    }
}

public func ethernet(
    dst: UInt64 = 0x0200_0000_0002, src: UInt64 = 0x0200_0000_0001, tags: [Tag] = [], type: UInt16, _ payload: [UInt8]
) -> [UInt8] {
    be48(dst) + be48(src) + tags.flatMap { be16($0.tpid) + be16($0.tci) } + be16(type) + payload
}

/// 802.3 with LLC and SNAP around `payload`.
public func snap(
    dst: UInt64 = 0x0200_0000_0002, src: UInt64 = 0x0200_0000_0001, tags: [Tag] = [], type: UInt16, _ payload: [UInt8]
) -> [UInt8] {
    let content = [0xaa, 0xaa, 3, 0, 0, 0] + be16(type) + payload
    return ethernet(dst: dst, src: src, tags: tags, type: UInt16(content.count), content)
}

/// Addresses of either family.
public enum Addresses: Sendable {
    case v4(UInt32, UInt32)
    case v6(UInt128, UInt128)

    public var pseudoHeader: [UInt8] {
        switch self {
        case .v4(let src, let dst): be32(src) + be32(dst)
        case .v6(let src, let dst): be128(src) + be128(dst)
        }
    }
}

private func withChecksum(_ message: [UInt8], at offset: Int, _ ipProtocol: UInt8, _ addresses: Addresses) -> [UInt8] {
    var message = message
    let sum = checksum(addresses.pseudoHeader + be32(UInt32(message.count)) + be32(UInt32(ipProtocol)) + message)
    message.replaceSubrange(offset..<offset + 2, with: be16(sum == 0 && ipProtocol == 17 ? 0xffff : sum))
    return message
}

public func tcp(
    _ addresses: Addresses, _ src: UInt16, _ dst: UInt16, flags: UInt16 = 0x10, options: [UInt8] = [],
    payload: [UInt8] = []
) -> [UInt8] {
    let control = UInt16(5 + options.count / 4) << 12 | flags
    let message =
        be16(src) + be16(dst) + be32(1000) + be32(2000) + be16(control) + be16(512) + be16(0) + be16(0) + options
        + payload
    return withChecksum(message, at: 16, 6, addresses)
}

public func udp(
    _ addresses: Addresses, _ src: UInt16, _ dst: UInt16, payload: [UInt8] = [], hasChecksum: Bool = true
) -> [UInt8] {
    let message = be16(src) + be16(dst) + be16(UInt16(8 + payload.count)) + be16(0) + payload
    return hasChecksum ? withChecksum(message, at: 6, 17, addresses) : message
}

public func icmpv6(_ addresses: Addresses, type: UInt8, code: UInt8 = 0, _ body: [UInt8]) -> [UInt8] {
    withChecksum([type, code, 0, 0] + body, at: 2, 58, addresses)
}

public func icmp(type: UInt8, code: UInt8 = 0, _ body: [UInt8]) -> [UInt8] {
    let sum = checksum([type, code, 0, 0] + body)
    return [type, code] + be16(sum) + body
}

public func ipv4(
    _ src: UInt32, _ dst: UInt32, ipProtocol: UInt8, tos: UInt8 = 0, ttl: UInt8 = 64, fragment: UInt16 = 0,
    options: [UInt8] = [], totalLength: Int? = nil, _ payload: [UInt8]
) -> [UInt8] {
    let total = UInt16(truncatingIfNeeded: totalLength ?? 20 + options.count + payload.count)
    var header: [UInt8] = [UInt8(0x45 + options.count / 4), tos]
    header += be16(total) + be16(0x1234) + be16(fragment) + [ttl, ipProtocol, 0, 0] + be32(src) + be32(dst) + options
    header.replaceSubrange(10..<12, with: be16(checksum(header)))
    return header + payload
}

public func ipv6(
    _ src: UInt128, _ dst: UInt128, nextHeader: UInt8, trafficClass: UInt8 = 0, label: UInt32 = 0, hopLimit: UInt8 = 64,
    payloadLength: Int? = nil, _ payload: [UInt8]
) -> [UInt8] {
    be32(6 << 28 | UInt32(trafficClass) << 20 | label)
        + be16(UInt16(truncatingIfNeeded: payloadLength ?? payload.count)) + [nextHeader, hopLimit] + be128(src)
        + be128(dst) + payload
}

public func arp(
    operation: UInt16, sha: UInt64 = 0x0200_0000_0001, spa: UInt32, tha: UInt64 = 0, tpa: UInt32
) -> [UInt8] {
    be16(1) + be16(0x800) + [6, 4] + be16(operation) + be48(sha) + be32(spa) + be48(tha) + be32(tpa)
}
