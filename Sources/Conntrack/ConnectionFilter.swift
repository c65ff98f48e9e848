import Base
import Flow

/// Some connections, named by parts of their tuples, in the syntax of `ovs-appctl dpctl/flush-conntrack`.
public struct ConnectionFilter: Sendable {
    /// Parts of one direction's tuple; nil is any.
    public struct Parts: Equatable, Sendable {
        public var src: UInt128?
        public var dst: UInt128?
        public var sourcePort: UInt16?
        public var destinationPort: UInt16?
        public var icmpIdentifier: UInt16?
        public var icmpType: UInt8?
        public var icmpCode: UInt8?

        public init() {}
    }

    public var zone: UInt16?
    public var ipProtocol: UInt8?
    public var isIPv6: Bool?
    public var original = Parts()
    public var reply = Parts()

    public init(zone: UInt16? = nil) { self.zone = zone }

    public struct SyntaxError: Error, Equatable, CustomStringConvertible {
        public var description: String
    }

    /// Reads `[zone=N] [TUPLE [REPLY-TUPLE]]`, where a tuple is
    /// `ct_nw_src=IP,ct_nw_dst=IP,ct_nw_proto=N,ct_tp_src=PORT,ct_tp_dst=PORT`, with `ct_ipv6_src` and `ct_ipv6_dst` for
    /// IPv6 and `icmp_id`, `icmp_type`, `icmp_code` behind an ICMP protocol; each part may be left out. An empty tuple is any.
    ///
    /// - Parameter arguments: one for each word of the command.
    public init(_ arguments: [String]) throws(SyntaxError) {
        var tuples = 0
        for argument in arguments {
            if argument.hasPrefix("zone="), tuples == 0, zone == nil {
                zone = try Self.number(argument.dropFirst(5), "zone")
                continue
            }
            guard tuples < 2 else { throw SyntaxError(description: "too many tuples: \(argument.echoed)") }
            let isReply = tuples == 1
            for item in argument.split(whereSeparator: { $0 == "," || $0 == " " }) {
                let parts = item.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
                guard parts.count == 2, !parts[1].isEmpty else {
                    throw SyntaxError(description: "field \(String(item).echoed) missing value")
                }
                try read(String(parts[0]), parts[1], isReply: isReply)
            }
            tuples += 1
        }
        let hasPorts = [original, reply].contains { $0.sourcePort != nil || $0.destinationPort != nil }
        if ipProtocol == nil, hasPorts { throw SyntaxError(description: "port is set without protocol") }
    }

    private mutating func read(_ key: String, _ value: Substring, isReply: Bool) throws(SyntaxError) {
        var parts = isReply ? reply : original
        switch key {
        case "ct_nw_src": parts.src = try address(value, key, isIPv6: false, parts.src)
        case "ct_nw_dst": parts.dst = try address(value, key, isIPv6: false, parts.dst)
        case "ct_ipv6_src": parts.src = try address(value, key, isIPv6: true, parts.src)
        case "ct_ipv6_dst": parts.dst = try address(value, key, isIPv6: true, parts.dst)
        case "ct_nw_proto": ipProtocol = try Self.number(value, key)
        case "ct_tp_src": parts.sourcePort = try Self.number(value, key)
        case "ct_tp_dst": parts.destinationPort = try Self.number(value, key)
        case "icmp_id", "icmp_type", "icmp_code":
            guard ipProtocol == 1 || ipProtocol == 58 else {
                throw SyntaxError(description: "\(key) needs ct_nw_proto=1 or ct_nw_proto=58 in front of it")
            }
            switch key {
            case "icmp_id": parts.icmpIdentifier = try Self.number(value, key)
            case "icmp_type": parts.icmpType = try Self.number(value, key)
            default: parts.icmpCode = try Self.number(value, key)
            }
        default: throw SyntaxError(description: "invalid conntrack tuple field: \(key.echoed)")
        }
        if isReply { reply = parts } else { original = parts }
    }

    private mutating func address(
        _ value: Substring, _ key: String, isIPv6 wanted: Bool, _ before: UInt128?
    ) throws(SyntaxError) -> UInt128 {
        let text = String(value)
        if let isIPv6, isIPv6 != wanted {
            throw SyntaxError(description: "the L3 protocol does not match \(text.echoed)")
        }
        guard before == nil else { throw SyntaxError(description: "\(key) is set multiple times") }
        let address = wanted ? AddressText.ipv6(text) : AddressText.ipv4(text).map { UInt128($0) }
        guard let address else { throw SyntaxError(description: "failed to parse field \(key): \(text.echoed)") }
        isIPv6 = wanted
        return address
    }

    private static func number<T: FixedWidthInteger>(_ value: Substring, _ key: String) throws(SyntaxError) -> T {
        let isHex = value.hasPrefix("0x") || value.hasPrefix("0X")
        guard let number = isHex ? T(value.dropFirst(2), radix: 16) : T(value) else {
            throw SyntaxError(
                description: "failed to parse field \(key): \(String(value).echoed) is not 0 to \(T.max)")
        }
        return number
    }

    /// No part of a tuple is given.
    public var isWholeZone: Bool {
        ipProtocol == nil && isIPv6 == nil && original == Parts() && reply == Parts()
    }

    /// The tuple, if every part of the original one is given and nothing else.
    public var tuple: ConnectionTuple? {
        guard reply == Parts(), let ipProtocol, let isIPv6, let src = original.src, let dst = original.dst else {
            return nil
        }
        var tuple = ConnectionTuple(src: src, dst: dst, isIPv6: isIPv6, ipProtocol: ipProtocol, zone: zone ?? 0)
        if tuple.isICMP {
            guard let identifier = original.icmpIdentifier, let type = original.icmpType else { return nil }
            tuple.sourcePort = identifier
            tuple.destinationPort = UInt16(type) << 8 | UInt16(original.icmpCode ?? 0)
        } else {
            guard let source = original.sourcePort, let destination = original.destinationPort else { return nil }
            tuple.sourcePort = source
            tuple.destinationPort = destination
        }
        return tuple
    }

    public func matches(_ connection: ConnectionSnapshot) -> Bool {
        if let zone, zone != connection.zone { return false }
        if let ipProtocol, ipProtocol != connection.original.ipProtocol { return false }
        if let isIPv6, isIPv6 != connection.original.isIPv6 { return false }
        return Self.matches(original, connection.original) && Self.matches(reply, connection.reply)
    }

    private static func matches(_ parts: Parts, _ tuple: ConnectionTuple) -> Bool {
        func agrees<T: Equatable>(_ wanted: T?, _ value: T) -> Bool { wanted == nil || wanted == value }
        return agrees(parts.src, tuple.src) && agrees(parts.dst, tuple.dst)
            && agrees(parts.sourcePort, tuple.sourcePort) && agrees(parts.destinationPort, tuple.destinationPort)
            && agrees(parts.icmpIdentifier, tuple.sourcePort)
            && agrees(parts.icmpType, UInt8(tuple.destinationPort >> 8))
            && agrees(parts.icmpCode, UInt8(tuple.destinationPort & 0xff))
    }
}

/// A way through the table, in steps, that stops at the connections of a filter.
public struct ConnectionWalk {
    private let filter: ConnectionFilter
    private var cursor: UInt32 = 1
    public private(set) var isDone = false

    public init(_ filter: ConnectionFilter) { self.filter = filter }

    /// Looks at up to so many slots, or until `body` says that it has enough for now; a few more may come then.
    public mutating func step(
        _ tracker: ConnectionTracker, slots: Int, now: UInt64, _ body: (ConnectionSnapshot) -> Bool
    ) {
        var left = slots
        var goesOn = true
        while left > 0, goesOn, !isDone {
            let filter = filter
            isDone = !tracker.visit(from: &cursor, steps: 64, zone: filter.zone, now: now) { connection in
                if filter.matches(connection), !body(connection) { goesOn = false }
            }
            left -= 64
        }
    }
}
