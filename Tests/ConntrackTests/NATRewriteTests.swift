import Base
import Conntrack
import Flow
import FrameSupport
import Memory
import Testing

/// Frames of one tuple, built from scratch: what a translated frame has to be equal to.
struct TupleForge {
    var random: SeededRandom

    init(seed: UInt64) { random = SeededRandom(seed: seed) }

    mutating func tuple(isIPv6: Bool, _ ipProtocol: UInt8) -> ConnectionTuple {
        let type: UInt16 = isIPv6 ? random.pick([0x8000, 0x8100]) : random.pick([0x0800, 0, 0x0d00, 0x1000])
        let isICMP = ipProtocol == (isIPv6 ? 58 : 1)
        return ConnectionTuple(
            src: isIPv6 ? random.bits128() : UInt128(random.bits32()),
            dst: isIPv6 ? random.bits128() : UInt128(random.bits32()), isIPv6: isIPv6, ipProtocol: ipProtocol,
            sourcePort: max(1, random.bits16()), destinationPort: isICMP ? type : max(1, random.bits16()))
    }

    static func addresses(_ tuple: ConnectionTuple) -> Addresses {
        tuple.isIPv6
            ? .v6(tuple.src, tuple.dst)
            : .v4(UInt32(truncatingIfNeeded: tuple.src), UInt32(truncatingIfNeeded: tuple.dst))
    }

    static func message(_ tuple: ConnectionTuple, _ payload: [UInt8], hasChecksum: Bool = true) -> [UInt8] {
        let addresses = addresses(tuple)
        switch tuple.ipProtocol {
        case 6: return tcp(addresses, tuple.sourcePort, tuple.destinationPort, payload: payload)
        case 17:
            return udp(addresses, tuple.sourcePort, tuple.destinationPort, payload: payload, hasChecksum: hasChecksum)
        case 1:
            return icmp(type: UInt8(tuple.destinationPort >> 8), be16(tuple.sourcePort) + be16(1) + payload)
        case 58:
            return icmpv6(
                addresses, type: UInt8(tuple.destinationPort >> 8), be16(tuple.sourcePort) + be16(1) + payload)
        default: return be16(9) + be16(10) + be32(1) + be32(2) + payload
        }
    }

    /// Behind an Ethernet header and maybe a tag, with or without IPv4 options or extension headers.
    static func frame(
        _ tuple: ConnectionTuple, _ message: [UInt8], plain: Bool, tagged: Bool = false, pad: Int = 0
    ) -> [UInt8] {
        ethernet(
            tags: tagged ? [Tag(5)] : [], type: tuple.isIPv6 ? 0x86dd : 0x0800,
            network(tuple, message, plain: plain) + [UInt8](repeating: 0xee, count: pad))
    }

    static func network(_ tuple: ConnectionTuple, _ message: [UInt8], plain: Bool, fragment: UInt16 = 0x4000) -> [UInt8]
    {
        switch addresses(tuple) {
        case .v4(let src, let dst):
            return ipv4(
                src, dst, ipProtocol: tuple.ipProtocol, fragment: fragment, options: plain ? [] : [1, 1, 1, 0], message)
        case .v6(let src, let dst):
            let chain: [UInt8] = plain ? [] : [43, 0, 0, 0, 0, 0, 0, 0, tuple.ipProtocol, 0, 0, 0, 0, 0, 0, 0]
            return ipv6(src, dst, nextHeader: plain ? tuple.ipProtocol : 60, chain + message)
        }
    }
}

func extracted(_ packet: Packet) -> FlowKey {
    var key = FlowKey()
    withUnsafeMutableBytes(of: &key) { bytes in
        _ = extractKey(packet, into: bytes.baseAddress!.assumingMemoryBound(to: UInt64.self), vlanLimit: 2)
    }
    return key
}

@Suite struct NATRewriteTests {
    /// A translated frame is the frame that would have been built for the other tuple.
    @Test func translatedIsAsBuilt() {
        var forge = TupleForge(seed: 21)
        withPool { pool in
            for round in 0..<4000 {
                let isIPv6 = forge.random.oneIn(2)
                let ipProtocol: UInt8 = forge.random.pick(isIPv6 ? [6, 17, 58, 132] : [6, 17, 1, 132])
                let from = forge.tuple(isIPv6: isIPv6, ipProtocol)
                var to = forge.tuple(isIPv6: isIPv6, ipProtocol)
                if from.isICMP { to.destinationPort = from.destinationPort }
                if forge.random.oneIn(3) { to.src = from.src }
                if forge.random.oneIn(3) { to.dst = from.dst }
                if forge.random.oneIn(3) { to.sourcePort = from.sourcePort }
                let payload = forge.random.bytes(forge.random.below(60))
                let hasChecksum = !forge.random.oneIn(5)
                let plain = forge.random.oneIn(2)
                let tagged = forge.random.oneIn(4)
                let pad = forge.random.oneIn(3) ? forge.random.below(20) : 0
                func frame(_ tuple: ConnectionTuple) -> [UInt8] {
                    TupleForge.frame(
                        tuple, TupleForge.message(tuple, payload, hasChecksum: hasChecksum), plain: plain,
                        tagged: tagged, pad: pad)
                }
                let packet = packet(frame(from), from: &pool)
                _ = extracted(packet)
                packet.translate(to: to)
                #expect(bytes(packet) == frame(to), "round \(round): \(from) to \(to)")
                #expect(surroundingsAreUntouched(packet))
                pool.free(packet)
            }
        }
    }

    /// A checksum left to the device holds the pseudo header's sum, before and after.
    @Test func partialChecksums() {
        var forge = TupleForge(seed: 22)
        withPool { pool in
            for _ in 0..<1000 {
                let isIPv6 = forge.random.oneIn(2)
                let ipProtocol: UInt8 = forge.random.pick([6, 17])
                let from = forge.tuple(isIPv6: isIPv6, ipProtocol)
                let to = forge.tuple(isIPv6: isIPv6, ipProtocol)
                let payload = forge.random.bytes(forge.random.below(1200))
                func frame(_ tuple: ConnectionTuple) -> [UInt8] {
                    var message = TupleForge.message(tuple, payload)
                    let sum = ~checksum(
                        TupleForge.addresses(tuple).pseudoHeader + be32(UInt32(message.count))
                            + be32(UInt32(ipProtocol)))
                    let field = ipProtocol == 6 ? 16 : 6
                    message.replaceSubrange(field..<field + 2, with: be16(sum))
                    return TupleForge.frame(tuple, message, plain: true)
                }
                let packet = packet(frame(from), from: &pool)
                _ = extracted(packet)
                packet.pointee.offload.needsChecksum = true
                packet.pointee.offload.checksumStart = packet.pointee.offsetL4
                packet.pointee.offload.checksumOffset = ipProtocol == 6 ? 16 : 6
                packet.pointee.offload.segmentationType = 1
                packet.translate(to: to)
                #expect(bytes(packet) == frame(to))
                pool.free(packet)
            }
        }
    }

    @Test func aRoutedDestinationIsNotInThePseudoHeader() {
        let tuple = ConnectionTuple(
            src: 1, dst: 2, isIPv6: true, ipProtocol: 17, sourcePort: 3, destinationPort: 4)
        var to = tuple
        to.dst = 0xffff << 64 | 77
        let final = udp(.v6(1, 99), 3, 4, payload: [1, 2, 3])
        let routing: [UInt8] = [17, 2, 0, 1] + be32(0) + be128(99)
        func frame(_ dst: UInt128) -> [UInt8] {
            ethernet(type: 0x86dd, ipv6(1, dst, nextHeader: 43, routing + final))
        }
        withPool { pool in
            let packet = packet(frame(2), from: &pool)
            _ = extracted(packet)
            packet.translate(to: to)
            #expect(bytes(packet) == frame(to.dst))
        }
    }

    /// Whatever a frame looks like, nothing outside of it is touched, and nothing traps.
    @Test func anyFrameAtAnyLength() {
        var forge = FrameForge(seed: 23)
        var tuples = TupleForge(seed: 24)
        withPool { pool in
            for _ in 0..<3000 {
                var frame = forge.mutatedFrame()
                frame.removeLast(forge.random.below(frame.count + 1))
                let packet = packet(frame, from: &pool)
                let key = extracted(packet)
                let isIPv6 = forge.random.oneIn(8) ? forge.random.oneIn(2) : key[.ethType] == 0x86dd
                let ipProtocol: UInt8 =
                    forge.random.oneIn(4)
                    ? forge.random.pick([1, 6, 17, 58]) : UInt8(truncatingIfNeeded: key[.nwProto])
                packet.translate(to: tuples.tuple(isIPv6: isIPv6, ipProtocol))
                #expect(packet.pointee.length == UInt32(frame.count))
                #expect(surroundingsAreUntouched(packet))
                pool.free(packet)
            }
        }
    }
}

@Suite struct NATErrorTests {
    /// An error from `router` about a packet of `quoted`, cut to `limit` bytes of quoted transport header and payload.
    static func error(
        _ quoted: ConnectionTuple, router: UInt128, payload: [UInt8], limit: Int, plain: Bool
    ) -> [UInt8] {
        let message = TupleForge.message(quoted, payload)
        let network = TupleForge.network(quoted, message, plain: plain)
        let cut = Array(network.prefix(network.count - message.count + min(limit, message.count)))
        let outer = ConnectionTuple(
            src: router, dst: quoted.src, isIPv6: quoted.isIPv6, ipProtocol: quoted.isIPv6 ? 58 : 1)
        let body = be32(0) + cut
        let error =
            quoted.isIPv6
            ? icmpv6(TupleForge.addresses(outer), type: 1, code: 4, body) : icmp(type: 3, code: 3, body)
        return TupleForge.frame(outer, error, plain: true)
    }

    static func found(_ packet: Packet, isIPv6: Bool) -> EmbeddedTuple? {
        if case .found(let tuple) = EmbeddedTuple.find(in: packet, isIPv6: isIPv6, zone: 0) { return tuple }
        return nil
    }

    /// A translated error is the error that the other side would have been sent, quoting its own packet.
    @Test func translatedIsAsBuilt() throws {
        var forge = TupleForge(seed: 31)
        try withPool { pool in
            for _ in 0..<4000 {
                let isIPv6 = forge.random.oneIn(2)
                let ipProtocol: UInt8 = forge.random.pick(isIPv6 ? [6, 17, 58, 132] : [6, 17, 1, 132])
                var inner = forge.tuple(isIPv6: isIPv6, ipProtocol)
                var translated = forge.tuple(isIPv6: isIPv6, ipProtocol)
                if !inner.hasPorts, !inner.isICMP {
                    inner.rest &= 0xffff_ffff
                    translated.rest &= 0xffff_ffff
                }
                if inner.isICMP { translated.destinationPort = inner.destinationPort }
                // Half of the time the other end, where the router is, keeps its address; and sometimes it does though it
                // is translated, to another port.
                let keeps = forge.random.oneIn(2)
                if keeps || forge.random.oneIn(4) { translated.dst = inner.dst }
                let router = isIPv6 ? forge.random.bits128() : UInt128(forge.random.bits32())
                let payload = forge.random.bytes(forge.random.below(40))
                let limit = isIPv6 ? 20 + forge.random.below(40) : 8 + forge.random.below(40)
                let plain = forge.random.oneIn(2)
                let packet = packet(
                    Self.error(inner, router: router, payload: payload, limit: limit, plain: plain), from: &pool)
                _ = extracted(packet)
                let embedded = try #require(Self.found(packet, isIPv6: isIPv6))
                #expect(embedded.tuple == inner.reversed)
                packet.translateError(embedded, to: translated.reversed, replacesSource: !keeps)
                let expected = Self.error(
                    translated, router: keeps ? router : translated.dst, payload: payload, limit: limit, plain: plain)
                if Self.checksumIsQuoted(ipProtocol, limit) { #expect(bytes(packet) == expected) }
                #expect(Self.isValid(packet, isIPv6: isIPv6))
                #expect(surroundingsAreUntouched(packet))
                pool.free(packet)
            }
        }
    }

    /// Otherwise the expected quotation has another checksum in the bytes that are cut off, or ends inside of it.
    static func checksumIsQuoted(_ ipProtocol: UInt8, _ limit: Int) -> Bool { ipProtocol != 6 || limit != 17 }

    /// Whether the outer checksums are right.
    static func isValid(_ packet: Packet, isIPv6: Bool) -> Bool {
        let frame = bytes(packet)
        let l3 = Int(packet.pointee.offsetL3)
        let message = Array(frame[Int(packet.pointee.offsetL4)..<frame.count - Int(packet.pointee.padL2)])
        if isIPv6 {
            let pseudo = Array(frame[l3 + 8..<l3 + 40]) + be32(UInt32(message.count)) + be32(58)
            return checksum(pseudo + message) == 0
        }
        return checksum(Array(frame[l3..<l3 + 20])) == 0 && checksum(message) == 0
    }

    /// The least that has to be quoted: 8 bytes of layer 4, of TCP in IPv6 its whole fixed header.
    @Test(arguments: [(false, 6, 8), (false, 17, 8), (false, 1, 8), (true, 6, 20), (true, 17, 8), (true, 58, 8)])
    func quotedLength(isIPv6: Bool, ipProtocol: Int, least: Int) {
        var forge = TupleForge(seed: 32)
        let tuple = forge.tuple(isIPv6: isIPv6, UInt8(ipProtocol))
        withPool { pool in
            for limit in 0...40 {
                let packet = packet(
                    Self.error(tuple, router: 1, payload: [UInt8](repeating: 1, count: 40), limit: limit, plain: true),
                    from: &pool)
                _ = extracted(packet)
                #expect((Self.found(packet, isIPv6: isIPv6) != nil) == (limit >= least), "\(limit) bytes")
                pool.free(packet)
            }
        }
    }

    @Test func conditions() {
        let tuple = ConnectionTuple(
            src: 0x0a00_0001, dst: 0x0a00_0002, isIPv6: false, ipProtocol: 17, sourcePort: 5, destinationPort: 6)
        let good = Self.error(tuple, router: 9, payload: [], limit: 8, plain: true)
        func result(_ change: (inout [UInt8]) -> Void) -> String {
            var frame = good
            change(&frame)
            return withPool { pool in
                let packet = packet(frame, from: &pool)
                _ = extracted(packet)
                switch EmbeddedTuple.find(in: packet, isIPv6: false, zone: 3) {
                case .notError: return "query"
                case .invalid: return "invalid"
                case .found(let found): return "zone \(found.tuple.zone)"
                }
            }
        }
        let inner = 14 + 20 + 8
        #expect(result { _ in } == "zone 3")
        #expect(result { $0[34] = 8 } == "query")
        #expect(result { $0[34] = 9 } == "query")
        for type in [3, 4, 5, 11, 12] as [UInt8] { #expect(result { $0[34] = type } == "zone 3") }
        // Not sent by whom the error goes to; a fragment; a header length that lies; a port of 0; a quoted error.
        #expect(result { $0[inner + 15] ^= 1 } == "invalid")
        #expect(result { $0[inner + 6] = 0x20 } == "invalid")
        #expect(result { $0[inner + 7] = 1 } == "invalid")
        #expect(result { $0[inner] = 0x44 } == "invalid")
        #expect(result { $0[inner] = 0x4f } == "invalid")
        #expect(result { $0.replaceSubrange(inner + 20..<inner + 22, with: [0, 0]) } == "invalid")
        #expect(
            result {
                $0[inner + 9] = 1
                $0[inner + 20] = 3
            } == "invalid")
        // Total length and checksum of the quotation are not looked at.
        #expect(result { $0[inner + 2] = 0xff } == "zone 3")
        #expect(result { $0[inner + 10] ^= 0xff } == "zone 3")
    }

    /// Every truncation, and random damage: found or not, nothing traps and nothing outside is touched.
    @Test func anyQuotationAtAnyLength() {
        var forge = TupleForge(seed: 33)
        withPool { pool in
            for _ in 0..<60 {
                let isIPv6 = forge.random.oneIn(2)
                let tuple = forge.tuple(isIPv6: isIPv6, forge.random.pick(isIPv6 ? [6, 17, 58, 132] : [6, 17, 1]))
                let whole = Self.error(
                    tuple, router: 5, payload: forge.random.bytes(30), limit: 60, plain: forge.random.oneIn(2))
                for length in 14...whole.count {
                    var frame = Array(whole.prefix(length))
                    for _ in 0..<forge.random.below(3) {
                        frame[forge.random.below(frame.count)] = UInt8(truncatingIfNeeded: forge.random.next())
                    }
                    // The network header says what is there, so that extraction goes on to the message.
                    if isIPv6, length >= 54 {
                        frame.replaceSubrange(18..<20, with: be16(UInt16(length - 54)))
                    } else if length >= 34 {
                        frame.replaceSubrange(16..<18, with: be16(UInt16(length - 14)))
                    }
                    let packet = packet(frame, from: &pool)
                    _ = extracted(packet)
                    if let found = Self.found(packet, isIPv6: isIPv6) {
                        packet.translateError(
                            found, to: forge.tuple(isIPv6: isIPv6, found.tuple.ipProtocol),
                            replacesSource: forge.random.oneIn(2))
                        #expect(packet.pointee.length == UInt32(frame.count))
                    }
                    #expect(surroundingsAreUntouched(packet))
                    pool.free(packet)
                }
            }
        }
    }
}
