import Base
import Memory
import Wire

// Addresses, ports and ICMP identifiers of a frame, replaced in place, with the checksums that cover them.
//
// Checksums are updated by the difference (RFC 1624), so one that was wrong stays wrong by as much. A UDP checksum of
// 0 says that there is none and stays 0 (RFC 768). A checksum that the sender left to the device holds the sum over
// the pseudo header: the addresses' difference goes into that sum, ports do not count; so super-frames of
// segmentation offload are translated like any other. SCTP's checksum covers neither addresses nor what is translated here.

/// Difference between old and new 16-bit words that a checksum covers.
struct ChecksumDelta {
    var sum: UInt64 = 0

    @inline(__always) mutating func add(old: UInt64, new: UInt64) {
        sum &+= InternetChecksum.words(~old) &+ InternetChecksum.words(new)
    }

    @inline(__always) mutating func add(old: UInt32, new: UInt32) {
        sum &+= InternetChecksum.words(~old) &+ InternetChecksum.words(new)
    }

    /// RFC 1624, equation 3. Nothing that changed leaves it as it is, also in how it writes zero.
    @inline(__always) func applied(to checksum: UInt16) -> UInt16 {
        sum == 0 ? checksum : InternetChecksum.finish(UInt64(~checksum) &+ sum)
    }

    /// The same for a sum that is not complemented.
    @inline(__always) func applied(toSum value: UInt16) -> UInt16 { InternetChecksum.fold(UInt64(value) &+ sum) }
}

extension UnsafeMutableRawPointer {
    /// Of an IPv4 header: writes source and destination, and mends the header's checksum. The difference that it makes to the
    /// checksum of the transport header.
    @inline(__always) @discardableResult
    func replaceIPv4Addresses(_ new: UInt64) -> ChecksumDelta {
        let view = UnsafeRawPointer(self)
        let old = view.be64(12)
        var change = ChecksumDelta()
        if old != new {
            change.add(old: old, new: new)
            store16(change.applied(to: view.be16(10)), 10)
            store64(new, 12)
        }
        return change
    }
}

extension ConnectionTuple {
    /// Source and destination as they stand in a header.
    @inline(__always) var ipv4Addresses: UInt64 { srcLow &<< 32 | dstLow & 0xffff_ffff }
}

/// What IPv4 packets of one direction of a connection become.
public struct IPv4Translation {
    /// Source and destination as they stand in a header.
    let addresses: UInt64
    /// The same of ports.
    let ports: UInt32

    /// Packets become those of the other end of `tuple`.
    @inline(__always) init(answering tuple: UnsafePointer<ConnectionTuple>) {
        addresses = tuple.pointee.dstLow &<< 32 | tuple.pointee.srcLow & 0xffff_ffff
        let ports = UInt32(truncatingIfNeeded: tuple.pointee.rest &>> 32)
        self.ports = ports &<< 16 | ports &>> 16
    }
}

extension UnsafeMutablePointer where Pointee == PacketHeader {
    /// Makes the packet one of `tuple`: both addresses, and both ports (TCP, UDP) or the identifier (ICMP and ICMPv6
    /// queries). Of a fragment that is not the first, the addresses only.
    ///
    /// The protocol and the IP version are the packet's own; its offsets are known. Headers that the frame turns out
    /// not to have stay as they are.
    public func translate(to tuple: ConnectionTuple) {
        if tuple.isIPv6 { translateIPv6(to: tuple) } else { translateIPv4(to: tuple) }
    }

    private func translateIPv4(to tuple: ConnectionTuple) {
        let l3 = Int(pointee.offsetL3)
        guard l3 != 0xffff, l3 &+ 20 <= Int(pointee.length) else { return }
        let header = pointee.data + l3
        let change = header.replaceIPv4Addresses(tuple.ipv4Addresses)
        guard UnsafeRawPointer(header).be16(6) & 0x1fff == 0 else { return }
        translateTransport(tuple, change)
    }

    /// Of an IPv4 packet of TCP or UDP that was found whole.
    public func translateWhole(_ translation: IPv4Translation, isTCP: Bool) {
        let header = pointee.data + Int(pointee.offsetL3)
        let change = header.replaceIPv4Addresses(translation.addresses)
        let l4 = Int(pointee.offsetL4)
        let transport = TransportHeader(
            start: pointee.data + l4, available: Int(pointee.length) &- Int(pointee.padL2) &- l4,
            isPartial: pointee.offload.needsChecksum && Int(pointee.offload.checksumStart) == l4)
        transport.translatePorts(translation.ports, isTCP: isTCP, change)
    }

    private func translateIPv6(to tuple: ConnectionTuple) {
        let l3 = Int(pointee.offsetL3)
        let end = Int(pointee.length) &- Int(pointee.padL2)
        guard l3 != 0xffff, l3 &+ 40 <= end else { return }
        let header = pointee.data + l3
        let view = UnsafeRawPointer(header)
        let chain = ExtensionChain(UnsafeRawPointer(pointee.data), from: l3 &+ 40, to: end, nextHeader: view.byte(6))
        let change = replaceIPv6Addresses(header, tuple, isRouted: chain?.isRouted ?? false)
        guard let chain, chain.fragmentField & 0xfff8 == 0, chain.end == Int(pointee.offsetL4) else { return }
        translateTransport(tuple, change)
    }

    /// The difference that it makes to the checksum of the transport header.
    private func replaceIPv6Addresses(
        _ header: UnsafeMutableRawPointer, _ tuple: ConnectionTuple, isRouted: Bool
    ) -> ChecksumDelta {
        let view = UnsafeRawPointer(header)
        var change = ChecksumDelta()
        if view.be64(8) != tuple.srcHigh || view.be64(16) != tuple.srcLow {
            change.add(old: view.be64(8), new: tuple.srcHigh)
            change.add(old: view.be64(16), new: tuple.srcLow)
            header.store64(tuple.srcHigh, 8)
            header.store64(tuple.srcLow, 16)
        }
        if view.be64(24) != tuple.dstHigh || view.be64(32) != tuple.dstLow {
            if !isRouted {
                change.add(old: view.be64(24), new: tuple.dstHigh)
                change.add(old: view.be64(32), new: tuple.dstLow)
            }
            header.store64(tuple.dstHigh, 24)
            header.store64(tuple.dstLow, 32)
        }
        return change
    }

    private func translateTransport(_ tuple: ConnectionTuple, _ addresses: ChecksumDelta) {
        let l4 = Int(pointee.offsetL4)
        guard l4 != 0xffff else { return }
        let header = TransportHeader(
            start: pointee.data + l4, available: Int(pointee.length) &- Int(pointee.padL2) &- l4,
            isPartial: pointee.offload.needsChecksum && Int(pointee.offload.checksumStart) == l4)
        header.translate(to: tuple, addresses)
    }
}

/// The transport header of a frame or of a packet quoted in one, maybe cut short.
struct TransportHeader {
    let start: UnsafeMutableRawPointer
    /// Bytes from there to the end of the packet; negative if it begins behind that.
    let available: Int
    /// Its checksum is left to the device.
    let isPartial: Bool

    @inline(__always) func translate(to tuple: ConnectionTuple, _ addresses: ChecksumDelta) {
        switch tuple.ipProtocol {
        case 6, 17:
            translatePorts(
                UInt32(truncatingIfNeeded: tuple.rest &>> 32), isTCP: tuple.ipProtocol == 6, addresses)
        case 1 where !tuple.isIPv6: translateIdentifier(tuple, ChecksumDelta())
        case 58 where tuple.isIPv6: translateIdentifier(tuple, addresses)
        default: break
        }
    }

    /// - Parameter new: source port << 16 | destination port.
    @inline(__always) func translatePorts(_ new: UInt32, isTCP: Bool, _ addresses: ChecksumDelta) {
        guard available >= 8 else { return }
        let view = UnsafeRawPointer(start)
        let old = view.be32(0)
        var change = addresses
        if old != new {
            if !isPartial { change.add(old: old, new: new) }
            start.store32(new, 0)
        }
        let field = isTCP ? 16 : 6
        guard available >= field &+ 2, change.sum != 0 else { return }
        let checksum = view.be16(field)
        if isPartial {
            start.store16(change.applied(toSum: checksum), field)
        } else if isTCP {
            start.store16(change.applied(to: checksum), field)
        } else if checksum != 0 {
            start.store16(InternetChecksum.udp(change.applied(to: checksum)), field)
        }
    }

    /// The identifier, of queries only: other messages have something else in its place.
    private func translateIdentifier(_ tuple: ConnectionTuple, _ addresses: ChecksumDelta) {
        guard available >= 4 else { return }
        let view = UnsafeRawPointer(start)
        var change = addresses
        if available >= 8, ConnectionTuple.isQuery(view.byte(0), isIPv6: tuple.isIPv6) {
            let old = view.be16(4)
            if old != tuple.sourcePort {
                if !isPartial { change.add(old: UInt32(old), new: UInt32(tuple.sourcePort)) }
                start.store16(tuple.sourcePort, 4)
            }
        }
        guard change.sum != 0 else { return }
        let checksum = view.be16(2)
        start.store16(isPartial ? change.applied(toSum: checksum) : change.applied(to: checksum), 2)
    }
}

// ICMP errors (RFC 5508, section 4).
extension UnsafeMutablePointer where Pointee == PacketHeader {
    /// Translates an ICMP or ICMPv6 error that belongs to a connection: the packet that it quotes becomes one of the
    /// connection's other side again, so that who sent that recognises it, and the outer addresses follow.
    ///
    /// The outer destination is translated as the quoted packet's source is. The outer source may be that of a router
    /// on the way; it is replaced, as by Open vSwitch, if the connection's source in this direction is.
    ///
    /// - Parameters:
    ///   - embedded: what `EmbeddedTuple.find` found in this very frame.
    ///   - tuple: what `embedded.tuple` is to become: the tuple of the direction that the error travels in, as its
    ///     receiver knows it.
    ///   - replacesSource: whether the source of that direction is translated; maybe to the same address, and another
    ///     port.
    public func translateError(_ embedded: EmbeddedTuple, to tuple: ConnectionTuple, replacesSource: Bool) {
        let l3 = Int(pointee.offsetL3)
        let l4 = Int(pointee.offsetL4)
        let length = Int(pointee.length)
        guard l3 &+ (tuple.isIPv6 ? 40 : 20) <= l4, l4 &+ EmbeddedTuple.messageHeader <= embedded.l3,
            embedded.l3 &+ (tuple.isIPv6 ? 40 : 20) <= embedded.l4, embedded.l4 <= embedded.end,
            embedded.end <= length
        else { return }
        rewriteQuoted(embedded, tuple.reversed)
        let frame = UnsafeRawPointer(pointee.data)
        var outer = tuple
        outer.ipProtocol = tuple.isIPv6 ? 58 : 1
        if !replacesSource {
            outer.src = tuple.isIPv6 ? frame.be128(l3 &+ 8) : UInt128(frame.be32(l3 &+ 12))
        }
        rewriteOuter(outer, l3: l3, l4: l4, end: embedded.end)
    }

    private func rewriteQuoted(_ embedded: EmbeddedTuple, _ tuple: ConnectionTuple) {
        let header = pointee.data + embedded.l3
        let change: ChecksumDelta
        if tuple.isIPv6 {
            let frame = UnsafeRawPointer(pointee.data)
            let chain = ExtensionChain(
                frame, from: embedded.l3 &+ 40, to: embedded.end, nextHeader: UnsafeRawPointer(header).byte(6))
            change = replaceIPv6Addresses(header, tuple, isRouted: chain?.isRouted ?? false)
        } else {
            change = header.replaceIPv4Addresses(tuple.ipv4Addresses)
        }
        let transport = TransportHeader(
            start: pointee.data + embedded.l4, available: embedded.end &- embedded.l4, isPartial: false)
        transport.translate(to: tuple, change)
    }

    /// Addresses of the error itself and its checksum, computed anew over all that changed inside.
    private func rewriteOuter(_ tuple: ConnectionTuple, l3: Int, l4: Int, end: Int) {
        let header = pointee.data + l3
        let message = pointee.data + l4
        let isPartial = pointee.offload.needsChecksum && Int(pointee.offload.checksumStart) == l4
        guard tuple.isIPv6 else {
            header.replaceIPv4Addresses(tuple.ipv4Addresses)
            guard !isPartial else { return }
            message.store16(0, 2)
            message.store16(InternetChecksum.checksum(message, count: end &- l4), 2)
            return
        }
        let change = replaceIPv6Addresses(header, tuple, isRouted: false)
        if isPartial {
            message.store16(change.applied(toSum: UnsafeRawPointer(message).be16(2)), 2)
            return
        }
        message.store16(0, 2)
        let pseudoHeader = InternetChecksum.pseudoHeader(
            src: tuple.src, dst: tuple.dst, nextHeader: 58, length: end &- l4)
        message.store16(
            InternetChecksum.finish(InternetChecksum.sum(message, count: end &- l4, initial: pseudoHeader)), 2)
    }
}
