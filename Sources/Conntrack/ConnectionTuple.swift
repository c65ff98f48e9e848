/// What names one direction of a connection: addresses, protocol, ports and zone. Five words, compared and hashed
/// as such.
///
/// ICMP and ICMPv6 queries have no ports: `sourcePort` is the identifier, `destinationPort` type << 8 | code, so that
/// request and reply are each other's reverse. Protocols without ports have zeros.
public struct ConnectionTuple: Equatable, Sendable {
    /// Source address, high and low half; an IPv4 address in the low 32 bits.
    public var srcHigh: UInt64
    public var srcLow: UInt64
    public var dstHigh: UInt64
    public var dstLow: UInt64
    /// Source port, destination port, zone (16 bits each), protocol (8), 1 if IPv6 (8).
    public var rest: UInt64

    @inlinable public init() {
        srcHigh = 0
        srcLow = 0
        dstHigh = 0
        dstLow = 0
        rest = 0
    }

    @inlinable
    public init(
        src: UInt128, dst: UInt128, isIPv6: Bool, ipProtocol: UInt8, sourcePort: UInt16 = 0,
        destinationPort: UInt16 = 0, zone: UInt16 = 0
    ) {
        srcHigh = UInt64(truncatingIfNeeded: src &>> 64)
        srcLow = UInt64(truncatingIfNeeded: src)
        dstHigh = UInt64(truncatingIfNeeded: dst &>> 64)
        dstLow = UInt64(truncatingIfNeeded: dst)
        rest =
            UInt64(sourcePort) &<< 48 | UInt64(destinationPort) &<< 32 | UInt64(zone) &<< 16
            | UInt64(ipProtocol) &<< 8 | (isIPv6 ? 1 : 0)
    }

    @inlinable public var src: UInt128 {
        @inline(__always) get { UInt128(srcHigh) &<< 64 | UInt128(srcLow) }
        @inline(__always) set {
            srcHigh = UInt64(truncatingIfNeeded: newValue &>> 64)
            srcLow = UInt64(truncatingIfNeeded: newValue)
        }
    }

    @inlinable public var dst: UInt128 {
        @inline(__always) get { UInt128(dstHigh) &<< 64 | UInt128(dstLow) }
        @inline(__always) set {
            dstHigh = UInt64(truncatingIfNeeded: newValue &>> 64)
            dstLow = UInt64(truncatingIfNeeded: newValue)
        }
    }

    @inlinable public var sourcePort: UInt16 {
        @inline(__always) get { UInt16(truncatingIfNeeded: rest &>> 48) }
        @inline(__always) set { rest = rest & 0x0000_ffff_ffff_ffff | UInt64(newValue) &<< 48 }
    }

    @inlinable public var destinationPort: UInt16 {
        @inline(__always) get { UInt16(truncatingIfNeeded: rest &>> 32) }
        @inline(__always) set { rest = rest & 0xffff_0000_ffff_ffff | UInt64(newValue) &<< 32 }
    }

    @inlinable public var zone: UInt16 {
        @inline(__always) get { UInt16(truncatingIfNeeded: rest &>> 16) }
        @inline(__always) set { rest = rest & 0xffff_ffff_0000_ffff | UInt64(newValue) &<< 16 }
    }

    @inlinable public var ipProtocol: UInt8 {
        @inline(__always) get { UInt8(truncatingIfNeeded: rest &>> 8) }
        @inline(__always) set { rest = rest & ~0xff00 | UInt64(newValue) &<< 8 }
    }

    @inlinable public var isIPv6: Bool {
        @inline(__always) get { rest & 1 != 0 }
        @inline(__always) set { rest = rest & ~1 | (newValue ? 1 : 0) }
    }

    /// ICMP in IPv4 or ICMPv6 in IPv6, where identifier, type and code stand in place of the ports. (ICMP inside the
    /// other IP version is a protocol without ports.)
    @inlinable public var isICMP: Bool {
        @inline(__always) get { isIPv6 ? ipProtocol == 58 : ipProtocol == 1 }
    }

    /// TCP or UDP: the protocols whose ports are tracked and translated. (SCTP's are neither, as in OVS.)
    @inlinable public var hasPorts: Bool {
        @inline(__always) get { ipProtocol == 6 || ipProtocol == 17 }
    }

    @inlinable public static func == (a: Self, b: Self) -> Bool {
        (a.srcHigh ^ b.srcHigh) | (a.srcLow ^ b.srcLow) | (a.dstHigh ^ b.dstHigh) | (a.dstLow ^ b.dstLow)
            | (a.rest ^ b.rest) == 0
    }
}

extension ConnectionTuple {
    /// The same connection as its other end sends.
    @inlinable public var reversed: ConnectionTuple {
        var result = self
        result.srcHigh = dstHigh
        result.srcLow = dstLow
        result.dstHigh = srcHigh
        result.dstLow = srcLow
        if isICMP {
            result.destinationPort = UInt16(Self.reply(to: UInt8(destinationPort &>> 8), isIPv6: isIPv6)) &<< 8
        } else {
            result.sourcePort = destinationPort
            result.destinationPort = sourcePort
        }
        return result
    }

    /// The ICMP type that answers `type`, and the other way round (RFC 792, RFC 4443): echo, timestamp and information
    /// requests. Any other type is its own reverse; no tuple has one.
    @inlinable public static func reply(to type: UInt8, isIPv6: Bool) -> UInt8 {
        if isIPv6 {
            switch type {
            case 128: 129
            case 129: 128
            default: type
            }
        } else {
            switch type {
            case 8: 0
            case 0: 8
            case 13: 14
            case 14: 13
            case 15: 16
            case 16: 15
            default: type
            }
        }
    }

    /// Whether `type` belongs to a query that is tracked by its identifier.
    @inlinable public static func isQuery(_ type: UInt8, isIPv6: Bool) -> Bool {
        reply(to: type, isIPv6: isIPv6) != type
    }
}
