import Flow

// As `ovs-appctl dpctl/dump-conntrack` prints a connection.
extension ConnectionSnapshot {
    /// What `-m` and `-s` add.
    public struct Detail: OptionSet, Sendable {
        public let rawValue: Int
        public init(rawValue: Int) { self.rawValue = rawValue }
        /// `-m`: both TCP states with their windows' scales, the identifier.
        public static var more: Detail { Detail(rawValue: 1) }
        /// `-s`: packets, bytes and seconds until it expires.
        public static var statistics: Detail { Detail(rawValue: 2) }
    }

    /// `tcp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=1,dport=2),reply=(...),zone=3,mark=4,protoinfo=(state=ESTABLISHED)`
    public func text(_ detail: Detail = []) -> String {
        let counts = detail.contains(.statistics)
        var line = Self.name(original.ipProtocol)
        line += ",orig=(\(original.text)" + (counts ? ",packets=\(packets.original),bytes=\(bytes.original)" : "") + ")"
        line += ",reply=(\(reply.text)" + (counts ? ",packets=\(packets.reply),bytes=\(bytes.reply)" : "") + ")"
        if detail.contains(.more) { line += ",id=\(ConnectionHandle(rawValue: handle).index)" }
        if zone != 0 { line += ",zone=\(zone)" }
        if counts { line += ",timeout=\(timeLeft / 1000)" }
        if mark != 0 { line += ",mark=\(mark)" }
        if label != 0 { line += ",labels=" + Digits.hex(label) }
        return line + protocolText(detail.contains(.more))
    }

    /// `tcp`; the number of a protocol without a name here.
    public var protocolName: String { Self.name(original.ipProtocol) }

    private func protocolText(_ isLong: Bool) -> String {
        guard let states else { return "" }
        guard isLong else { return ",protoinfo=(state=\(TCPState.shown(states.0, states.1).name))" }
        var text = ",protoinfo=(state_orig=\(states.0.name),state_reply=\(states.1.name)"
        if scales.0 != 0 || scales.1 != 0 { text += ",wscale_orig=\(scales.0),wscale_reply=\(scales.1)" }
        text += Self.flags(",flags_orig", areScaled.0, areLiberal.0)
        text += Self.flags(",flags_reply", areScaled.1, areLiberal.1)
        return text + ")"
    }

    private static func flags(_ title: String, _ isScaled: Bool, _ isLiberal: Bool) -> String {
        let names = (isScaled ? ["WINDOW_SCALE"] : []) + (isLiberal ? ["BE_LIBERAL"] : [])
        return title + "=" + (names.isEmpty ? "0" : names.joined(separator: "|"))
    }

    static func name(_ ipProtocol: UInt8) -> String {
        switch ipProtocol {
        case 1: "icmp"
        case 2: "igmp"
        case 6: "tcp"
        case 17: "udp"
        case 33: "dccp"
        case 58: "icmpv6"
        case 132: "sctp"
        case 136: "udplite"
        default: "\(ipProtocol)"
        }
    }
}

extension ConnectionTuple {
    /// `src=10.0.0.1,dst=10.0.0.2,sport=1,dport=2`, or `...,id=1,type=8,code=0`.
    public var text: String {
        let addresses = "src=\(Self.text(src, isIPv6: isIPv6)),dst=\(Self.text(dst, isIPv6: isIPv6))"
        if isICMP {
            return addresses + ",id=\(sourcePort),type=\(destinationPort >> 8),code=\(destinationPort & 0xff)"
        }
        return addresses + (ipProtocol == 1 || ipProtocol == 58 ? ",id=0,type=0,code=0" : ports)
    }

    public var srcText: String { Self.text(src, isIPv6: isIPv6) }
    public var dstText: String { Self.text(dst, isIPv6: isIPv6) }

    private var ports: String { ",sport=\(sourcePort),dport=\(destinationPort)" }

    private static func text(_ address: UInt128, isIPv6: Bool) -> String {
        isIPv6 ? Digits.ipv6(address) : Digits.ipv4(UInt32(truncatingIfNeeded: address))
    }
}
