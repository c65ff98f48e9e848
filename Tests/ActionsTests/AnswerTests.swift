import Actions
import Base
import CLinux
import Flow
import FrameSupport
import Memory
import Testing

import struct FrameSupport.Tag

/// What the ops `reject` and `answer` make of frames. Every answer is checked by plain readers of its own: `Answered`.
@Suite struct AnswerTests {
    private let mac: UInt64 = 0x0200_0000_00aa
    private let client4: UInt32 = 0x0a00_0001
    private let vip4: UInt32 = 0x0a00_00fe
    private let client6: UInt128 = 0xfd00 << 112 | 1
    private let vip6: UInt128 = 0xfd00 << 112 | 0xfe
    private var v4: Addresses { .v4(client4, vip4) }
    private var v6: Addresses { .v6(client6, vip6) }
    private let tags: [[Tag]] = [[], [Tag(0x6005)], [Tag(7, tpid: 0x88a8), Tag(9)]]

    private func frame4(_ ipProtocol: UInt8, _ message: [UInt8], tags: [Tag] = [], fragment: UInt16 = 0) -> [UInt8] {
        ethernet(tags: tags, type: 0x800, ipv4(client4, vip4, ipProtocol: ipProtocol, fragment: fragment, message))
    }
    private func frame6(_ next: UInt8, _ message: [UInt8], tags: [Tag] = [], hopLimit: UInt8 = 64) -> [UInt8] {
        ethernet(tags: tags, type: 0x86dd, ipv6(client6, vip6, nextHeader: next, hopLimit: hopLimit, message))
    }

    // Refusals

    /// RFC 9293, section 3.10.7.1.
    @Test(
        arguments: [
            // flags, payload, sequence, acknowledgment, flags of the answer
            (0x02, 0, 0, 1001, 0x14),  // SYN
            (0x10, 30, 2000, 0, 0x04),  // ACK with data
            (0x12, 0, 2000, 0, 0x04),  // SYN ACK
            (0x01, 7, 0, 1008, 0x14),  // FIN without ACK
            (0x03, 0, 0, 1002, 0x14),  // SYN FIN
            (0x00, 0, 0, 1000, 0x14),
        ] as [(UInt16, Int, UInt32, UInt32, UInt8)])
    func resets(flags: UInt16, payload: Int, sequence: UInt32, acknowledgment: UInt32, answer: UInt8) throws {
        for tags in tags {
            for isIPv6 in [false, true] {
                let segment = tcp(
                    isIPv6 ? v6 : v4, 4000, 443, flags: flags, options: [1, 1, 1, 0],
                    payload: [UInt8](repeating: 9, count: payload))
                // With padding: it is no payload.
                let frame = (isIPv6 ? frame6(6, segment, tags: tags) : frame4(6, segment, tags: tags)) + [0, 0, 0]
                let reply = try parts(answered(frame))
                #expect(reply.isSwapped(of: frame))
                #expect(reply.message.count == 20)
                #expect(reply.ipProtocol == 6)
                #expect(reply.word16(0) == 443 && reply.word16(2) == 4000)
                #expect(reply.word32(4) == sequence && reply.word32(8) == acknowledgment)
                #expect(reply.message[12] == 0x50 && reply.message[13] == answer)
                #expect(reply.word16(14) == 0)
            }
        }
    }

    @Test func portUnreachableQuotesThePacket() throws {
        for tags in tags {
            for size in [0, 1, 511, 520, 521, 1400] {
                let payload = [UInt8](repeating: 5, count: size)
                let message = udp(v4, 4000, 53, payload: payload)
                let frame = frame4(17, message, tags: tags) + [0, 0]
                let reply = try parts(answered(frame))
                #expect(reply.isSwapped(of: frame))
                #expect(reply.ipProtocol == 1)
                #expect(Array(reply.message[..<2]) == [3, 3] && reply.word32(4) == 0)
                let packet = frame[(14 + 4 * tags.count)...].dropLast(2)
                #expect(Array(reply.message[8...]) == Array(packet.prefix(576 - 28)))

                let message6 = udp(v6, 4000, 53, payload: payload)
                let frame6 = frame6(17, message6, tags: tags)
                let reply6 = try parts(answered(frame6))
                #expect(reply6.isSwapped(of: frame6))
                #expect(reply6.ipProtocol == 58)
                #expect(Array(reply6.message[..<2]) == [1, 4] && reply6.word32(4) == 0)
                #expect(Array(reply6.message[8...]) == Array(frame6[(14 + 4 * tags.count)...].prefix(1280 - 48)))
            }
        }
    }

    @Test func sctpIsUnreachableToo() throws {
        var message = be16(5) + be16(6) + be32(7) + [0, 0, 0, 0] + [1, 0, 0, 4]
        let crc = plainCRC(message)
        message.replaceSubrange(8..<12, with: (0..<4).map { UInt8(truncatingIfNeeded: crc >> (8 * $0)) })
        let reply = try parts(answered(frame4(132, message)))
        #expect(Array(reply.message[..<2]) == [3, 3])
        message[15] ^= 1
        #expect(answered(frame4(132, message)).drops == [.unanswerable])
    }

    /// RFC 1122, section 3.2.2; RFC 4443, section 2.4 (e).
    @Test func whatIsNeverRefused() {
        let datagram = udp(v4, 1, 2, payload: [1, 2, 3])
        var refused: [[UInt8]] = [
            frame4(6, tcp(v4, 1, 2, flags: 0x04)), frame4(6, tcp(v4, 1, 2, flags: 0x14)),
            frame6(6, tcp(v6, 1, 2, flags: 0x04)),
            frame4(1, icmp(type: 3, code: 3, be32(0) + [UInt8](repeating: 0, count: 28))),
            frame6(58, icmpv6(v6, type: 1, code: 4, be32(0) + [UInt8](repeating: 0, count: 48))),
            frame4(17, datagram, fragment: 0x2000), frame4(17, datagram, fragment: 0x0010),
            frame6(44, [17, 0] + be16(1) + be32(7) + udp(v6, 1, 2)),
            frame6(44, [17, 0] + be16(8) + be32(7) + udp(v6, 1, 2)),
            frame6(17, udp(v6, 1, 2, hasChecksum: false)),
            frame4(47, [0, 0, 0, 0]),
            // To or from many on the link; 802.3; labelled.
            ethernet(dst: 0xffff_ffff_ffff, type: 0x800, ipv4(client4, vip4, ipProtocol: 17, datagram)),
            ethernet(src: 0x0300_0000_0001, type: 0x800, ipv4(client4, vip4, ipProtocol: 17, datagram)),
            snap(type: 0x800, ipv4(client4, vip4, ipProtocol: 17, datagram)),
            ethernet(type: 0x8847, be32(0x1140) + ipv4(client4, vip4, ipProtocol: 17, datagram)),
            // Routing header with segments left, authentication header.
            frame6(43, [17, 0, 0, 1, 0, 0, 0, 0] + udp(v6, 1, 2)),
            frame6(51, [17, 4] + [UInt8](repeating: 0, count: 22) + udp(v6, 1, 2)),
        ]
        for source: UInt32 in [0, 0x0000_0001, 0x7f00_0001, 0xe000_0001, 0xf000_0001, ~0] {
            refused.append(
                ethernet(type: 0x800, ipv4(source, vip4, ipProtocol: 17, udp(.v4(source, vip4), 1, 2))))
        }
        for vip: UInt32 in [0xe000_0001, ~0] {
            refused.append(
                ethernet(type: 0x800, ipv4(client4, vip, ipProtocol: 17, udp(.v4(client4, vip), 1, 2))))
        }
        for source: UInt128 in [0, 1, 0xff02 << 112 | 1] {
            refused.append(
                ethernet(type: 0x86dd, ipv6(source, vip6, nextHeader: 17, udp(.v6(source, vip6), 1, 2))))
        }
        // Wrong checksums: of the IP header, of UDP, of TCP.
        let good = [frame4(17, datagram), frame4(17, datagram), frame4(6, tcp(v4, 1, 2)), frame6(6, tcp(v6, 1, 2))]
        for (frame, at) in zip(good, [14 + 8, 14 + 20, 14 + 20, 14 + 40]) {
            #expect(answered(frame).frame != nil)
            var damaged = frame
            damaged[at] ^= 0x40
            refused.append(damaged)
        }
        for frame in refused { #expect(answered(frame).drops == [.unanswerable], "\(frame)") }
    }

    @Test func harmlessExtensionHeadersAreSteppedOver() throws {
        let chains: [(UInt8, [UInt8])] = [
            (0, [17, 0] + [UInt8](repeating: 0, count: 6)),
            (60, [17, 1] + [UInt8](repeating: 0, count: 14)),
            (43, [17, 2, 0, 0] + [UInt8](repeating: 0, count: 20)),
            (44, [17, 0] + be16(0) + be32(9)),
            (0, [60, 0, 0, 0, 0, 0, 0, 0] + [17, 0, 0, 0, 0, 0, 0, 0]),
        ]
        for (next, chain) in chains {
            let frame = frame6(next, chain + udp(v6, 1, 2, payload: [7]))
            let reply = try parts(answered(frame))
            #expect(Array(reply.message[8...]) == Array(frame[14...]))
        }
        let frame = frame6(0, [6, 0, 0, 0, 0, 0, 0, 0] + tcp(v6, 1, 2, flags: 2))
        let reply = try parts(answered(frame))
        #expect(reply.word32(8) == 1001)
    }

    @Test func unfinishedFramesAreRefusedWhole() throws {
        // A segment of 3,000 bytes, its checksum left to the device and still to be cut up.
        let segment = tcp(v4, 1, 2, flags: 0x08, payload: [UInt8](repeating: 1, count: 3000))
        let result = answered(frame4(6, segment)) {
            $0.pointee.data.store16(0x1234, 14 + 20 + 16)
            $0.pointee.offload.needsChecksum = true
            $0.pointee.offload.checksumStart = 34
            $0.pointee.offload.checksumOffset = 16
            $0.pointee.offload.segmentationType = 1
            $0.pointee.offload.segmentSize = 1448
        }
        let reply = try parts(result)
        #expect(reply.word32(8) == 1000 + 3000)
        #expect(result.offloads == 0)
    }

    @Test func refusalsAreLimited() {
        let frame = frame4(17, udp(v4, 1, 2))
        withServices { services in
            services.pointee.refusals = TokenBucket(rate: 3)
            services.pointee.now = 5000
            func sent() -> Int { (0..<6).filter { _ in answered(frame, services: services).frame != nil }.count }
            #expect(sent() == 3)
            #expect(answered(frame, services: services).drops == [.rejectRateLimited])
            services.pointee.now += 334
            #expect(sent() == 1)
            // What would not be answered anyway takes nothing from the others.
            services.pointee.now += 1000
            for _ in 0..<5 { _ = answered(frame4(17, udp(v4, 1, 2), fragment: 0x2000), services: services) }
            #expect(sent() == 3)
            services.pointee.now = 0
            #expect(sent() == 0)
            services.pointee.isRehearsal = true
            #expect(answered(frame, services: services).outcome.sent == 1)
        }
    }

    @Test func withoutHeadroomOrServicesTheFrameIsDropped() {
        let frame = frame4(17, udp(v4, 1, 2))
        let result = answered(frame) {
            let start = $0.bufferStart + 20
            start.copyMemory(from: $0.pointee.data, byteCount: frame.count)
            $0.pointee.room += UInt32($0.pointee.data - start)
            $0.pointee.data = start
        }
        #expect(result.drops == [.unanswerable])
        withPool { pool in
            var builder = ProgramBuilder()
            builder.reject()
            #expect(run(builder, on: frame, pool: &pool, addsOutput: false).drops == [.translationFailed])
        }
    }

    // Replies

    @Test func arpReply() {
        for tags in tags {
            for source in [client4, 0] {
                let request = ethernet(
                    dst: 0xffff_ffff_ffff, tags: tags, type: 0x806,
                    arp(operation: 1, sha: 0x0200_0000_0001, spa: source, tpa: vip4))
                let reply = ethernet(
                    dst: 0x0200_0000_0001, src: mac, tags: tags, type: 0x806,
                    arp(operation: 2, sha: mac, spa: vip4, tha: 0x0200_0000_0001, tpa: source))
                #expect(reply == replied(request + [0, 0, 0]).frame)
            }
        }
        for packet in [
            arp(operation: 2, spa: client4, tpa: vip4), arp(operation: 1, spa: vip4, tpa: vip4),
            arp(operation: 1, sha: 0xffff_ffff_ffff, spa: client4, tpa: vip4),
            arp(operation: 1, spa: ~0, tpa: vip4),
        ] { #expect(replied(ethernet(type: 0x806, packet)).drops == [.unanswerable]) }
        var other = ethernet(type: 0x806, arp(operation: 1, spa: client4, tpa: vip4))
        other[14 + 1] = 6
        #expect(replied(other).drops == [.unanswerable])
    }

    private func solicitation(
        from source: UInt128, to destination: UInt128? = nil, target: UInt128? = nil, options: [UInt8],
        hopLimit: UInt8 = 255, code: UInt8 = 0, tags: [Tag] = [], chain: (UInt8, [UInt8]) = (58, [])
    ) -> [UInt8] {
        let destination = destination ?? (0xff02 << 112 | 0x1_ff00_00fe)
        let body = icmpv6(
            .v6(source, destination), type: 135, code: code, be32(0) + be128(target ?? vip6) + options)
        return ethernet(
            dst: 0x3333_ff00_00fe, tags: tags, type: 0x86dd,
            ipv6(source, destination, nextHeader: chain.0, hopLimit: hopLimit, chain.1 + body))
    }

    private func advertisement(to: UInt128, mac destination: UInt64, flags: UInt32, tags: [Tag] = []) -> [UInt8] {
        let body = icmpv6(.v6(vip6, to), type: 136, be32(flags) + be128(vip6) + [2, 1] + be48(mac))
        return ethernet(
            dst: destination, src: mac, tags: tags, type: 0x86dd,
            ipv6(vip6, to, nextHeader: 58, hopLimit: 255, body))
    }

    /// RFC 4861, section 7.2.4.
    @Test func neighbourAdvertisement() {
        for tags in tags {
            let solicited = advertisement(to: client6, mac: 0x0200_0000_0005, flags: 0x6000_0000, tags: tags)
            let option: [UInt8] = [1, 1] + be48(0x0200_0000_0005)
            #expect(solicited == replied(solicitation(from: client6, options: option, tags: tags)).frame)
            let later = [14, 1, 0, 0, 0, 0, 0, 0] + option
            #expect(solicited == replied(solicitation(from: client6, options: later, tags: tags)).frame)
            // Without an option to the station that it came from; the answer is longer than the question.
            let bare = advertisement(to: client6, mac: 0x0200_0000_0001, flags: 0x6000_0000, tags: tags)
            #expect(bare == replied(solicitation(from: client6, options: [], tags: tags)).frame)
            #expect(bare == replied(solicitation(from: client6, to: vip6, options: [], tags: tags)).frame)
            // Duplicate address detection: to all nodes, unsolicited.
            let all = advertisement(to: 0xff02 << 112 | 1, mac: 0x3333_0000_0001, flags: 0x2000_0000, tags: tags)
            #expect(all == replied(solicitation(from: 0, options: [], tags: tags)).frame)
        }
    }

    /// RFC 4861, section 7.1.1; RFC 6980.
    @Test func invalidSolicitations() {
        let option: [UInt8] = [1, 1] + be48(0x0200_0000_0005)
        var damaged = solicitation(from: client6, options: option)
        damaged[14 + 40 + 8] ^= 1
        for frame in [
            damaged,
            solicitation(from: client6, options: option, hopLimit: 254),
            solicitation(from: client6, options: option, code: 1),
            solicitation(from: client6, target: 0xff02 << 112 | 1, options: option),
            solicitation(from: client6, options: [1, 0, 0, 0, 0, 0, 0, 0]),
            solicitation(from: client6, options: [1, 2, 0, 0, 0, 0, 0, 0]),
            solicitation(from: client6, options: [1, 1] + be48(0xffff_ffff_ffff)),
            solicitation(from: 0xff02 << 112 | 5, options: option),
            solicitation(from: 0, options: option), solicitation(from: 0, to: vip6, options: []),
            solicitation(from: client6, options: option, chain: (44, [58, 0] + be16(0) + be32(1))),
        ] { #expect(replied(frame).drops == [.unanswerable], "\(frame)") }
    }

    @Test func echoReply() throws {
        for tags in tags {
            let body = be32(0x1234_0001) + [1, 2, 3, 4, 5]
            let request = frame4(1, icmp(type: 8, body), tags: tags) + [0]
            let reply = try parts(replied(request))
            #expect(reply.isSwapped(of: request))
            #expect(reply.message == icmp(type: 0, body))

            for chain in [(58, []), (0, [58, 0, 0, 0, 0, 0, 0, 0])] as [(UInt8, [UInt8])] {
                let request6 = frame6(chain.0, chain.1 + icmpv6(v6, type: 128, body), tags: tags)
                let reply6 = try parts(replied(request6))
                #expect(reply6.isSwapped(of: request6))
                #expect(reply6.message == icmpv6(.v6(vip6, client6), type: 129, body))
            }
        }
        // Damage stays visible.
        var damaged = frame4(1, icmp(type: 8, be32(1) + [1, 2]))
        damaged[14 + 20 + 9] ^= 4
        let reply = try #require(replied(damaged).frame)
        #expect(checksum(Array(reply[34...])) != 0)
        #expect(reply[14 + 20 + 9] == damaged[14 + 20 + 9])
    }

    @Test func whatIsNoQuestion() {
        let options = ipv4(client4, vip4, ipProtocol: 1, options: [7, 3, 4, 0], icmp(type: 8, be32(1)))
        for frame in [
            frame4(1, icmp(type: 0, be32(1))), frame4(1, icmp(type: 8, code: 1, be32(1))),
            frame4(1, icmp(type: 8, be32(1)), fragment: 0x2000), ethernet(type: 0x800, options),
            frame4(17, udp(v4, 1, 2)), frame6(58, icmpv6(v6, type: 129, be32(1))), frame6(17, udp(v6, 1, 2)),
            ethernet(type: 0x88cc, [UInt8](repeating: 0, count: 50)),
            ethernet(dst: 0xffff_ffff_ffff, type: 0x800, ipv4(client4, vip4, ipProtocol: 1, icmp(type: 8, be32(1)))),
        ] { #expect(replied(frame).drops == [.unanswerable], "\(frame)") }
    }

    // Anything

    @Test func everyTruncationLength() {
        let frames = [
            frame4(6, tcp(v4, 1, 2, options: [1, 1, 1, 0], payload: [1, 2, 3])), frame6(6, tcp(v6, 1, 2)),
            frame4(17, udp(v4, 1, 2, payload: [1, 2])), frame6(0, [17, 0, 0, 0, 0, 0, 0, 0] + udp(v6, 1, 2)),
            ethernet(dst: 0xffff_ffff_ffff, type: 0x806, arp(operation: 1, spa: client4, tpa: vip4)),
            solicitation(from: client6, options: [1, 1] + be48(5)), frame4(1, icmp(type: 8, be32(1) + [1, 2])),
            frame6(60, [58, 0, 0, 0, 0, 0, 0, 0] + icmpv6(v6, type: 128, be32(1) + [1, 2])),
        ]
        for frame in frames {
            for length in 14..<frame.count {
                let cut = Array(frame[..<length])
                #expect(answered(cut).drops == [.unanswerable])
                #expect(replied(cut).drops == [.unanswerable])
            }
            #expect(answered(frame).frame != nil || replied(frame).frame != nil)
        }
    }

    /// Nothing is written outside of the frame, and whatever leaves is whole, right, and goes to one host.
    @Test func randomFrames() {
        var forge = FrameForge(seed: 21)
        var answers = 0
        for _ in 0..<12_000 {
            let frame = forge.mutatedFrame()
            guard frame.count >= 14 else { continue }
            for reply in [answered(frame).frame, replied(frame).frame] {
                guard let reply else { continue }
                answers += 1
                #expect(reply[0] & 1 == 0 || reply[0] == 0x33)
                let type = Answered.type(reply)
                guard type != 0x806 else { continue }
                guard let parts = Answered(reply, checksMessage: false) else {
                    Issue.record("\(frame) became \(reply)")
                    continue
                }
                // An echo reply may carry on the damage of its request.
                let isEcho = parts.ipProtocol == 1 && parts.message[0] == 0 || parts.message[0] == 129
                #expect(isEcho || Answered(reply) != nil, "\(frame) became \(reply)")
                // No answer is answered.
                #expect(answered(reply).frame == nil)
            }
        }
        #expect(answers > 100)
    }

    // Support

    private struct Reply {
        var outcome = Executor.Outcome(sent: 0, lost: 0)
        var frame: [UInt8]?
        var drops: [DropReason] = []
        var offloads = 0
    }

    private func withServices<R>(_ body: (UnsafeMutablePointer<ExecutionServices>) throws -> R) rethrows -> R {
        let services = UnsafeMutablePointer<ExecutionServices>.allocate(capacity: 1)
        services.initialize(to: ExecutionServices())
        defer {
            services.deinitialize(count: 1)
            services.deallocate()
        }
        return try body(services)
    }

    private func answered(_ frame: [UInt8], prepare: (Packet) -> Void = { _ in }) -> Reply {
        withServices { answered(frame, services: $0, prepare: prepare) }
    }

    private func answered(
        _ frame: [UInt8], services: UnsafeMutablePointer<ExecutionServices>, prepare: (Packet) -> Void = { _ in }
    ) -> Reply {
        var builder = ProgramBuilder()
        builder.reject()
        return carryOut(builder, frame, services, prepare)
    }

    private func replied(_ frame: [UInt8]) -> Reply {
        var builder = ProgramBuilder()
        builder.answer(mac: mac)
        return withServices { carryOut(builder, frame, $0) { _ in } }
    }

    /// Behind question and answer, and in front of what a refusal puts before its question, nothing was written.
    private func surroundingsAreUntouched(_ packet: Packet, question: Int) -> Bool {
        let ends = PacketPool.headroom + question
        let room = packet.headroom + Int(packet.pointee.room)
        let end = max(ends, packet.headroom + Int(packet.pointee.length))
        let all = UnsafeRawBufferPointer(start: packet.bufferStart, count: room)
        return all[..<(PacketPool.headroom - 48)].allSatisfy { $0 == 0xa5 } && all[end...].allSatisfy { $0 == 0xa5 }
    }

    /// The answer there must be, taken apart.
    private func parts(_ reply: Reply) throws -> Answered {
        let frame = try #require(reply.frame)
        return try #require(Answered(frame))
    }

    /// Runs the program, and one output behind it that must not be reached.
    private func carryOut(
        _ builder: ProgramBuilder, _ frame: [UInt8], _ services: UnsafeMutablePointer<ExecutionServices>,
        _ prepare: (Packet) -> Void
    ) -> Reply {
        var reply = Reply()
        withPool { pool in
            let result = run(
                builder, on: frame, pool: &pool, port: 5, services: services, prepare: prepare,
                inspect: {
                    #expect(surroundingsAreUntouched($0, question: frame.count))
                    #expect($0.pointee.padL2 == 0)
                    if $0.pointee.offload.needsChecksum || $0.pointee.offload.segmentationType != 0 {
                        reply.offloads += 1
                    }
                })
            #expect(pool.inUse == 0)
            #expect(result.sent.allSatisfy { $0.port == 5 })
            #expect(result.frames.count + result.drops.count == 1 || services.pointee.isRehearsal)
            reply.outcome = result.outcome
            reply.frame = result.frames.first
            reply.drops = result.drops
        }
        return reply
    }
}

/// An answer, taken apart by plain readers. Nil if a length or a checksum in it is wrong.
private struct Answered {
    let frame: [UInt8]
    let l3: Int
    let ipProtocol: UInt8
    let message: [UInt8]
    let isIPv6: Bool

    /// The EtherType behind all tags.
    static func type(_ frame: [UInt8]) -> UInt16 { value(frame, l3(frame) - 2) }
    private static func value(_ bytes: [UInt8], _ at: Int) -> UInt16 { UInt16(bytes[at]) << 8 | UInt16(bytes[at + 1]) }
    private static func l3(_ frame: [UInt8]) -> Int {
        var at = 12
        while [0x8100, 0x88a8].contains(value(frame, at)) { at += 4 }
        return at + 2
    }

    init?(_ frame: [UInt8], checksMessage: Bool = true) {
        self.frame = frame
        l3 = Self.l3(frame)
        isIPv6 = Self.type(frame) == 0x86dd
        let packet = Array(frame[l3...])
        var pseudo: [UInt8]
        if isIPv6 {
            guard packet.count >= 48, packet[0] == 0x60, Int(Self.value(packet, 4)) == packet.count - 40 else {
                return nil
            }
            ipProtocol = packet[6]
            message = Array(packet[40...])
            pseudo = Array(packet[8..<40])
        } else {
            guard packet.count >= 28, packet[0] == 0x45, Int(Self.value(packet, 2)) == packet.count,
                checksum(Array(packet[..<20])) == 0
            else { return nil }
            ipProtocol = packet[9]
            message = Array(packet[20...])
            pseudo = Array(packet[12..<20])
        }
        pseudo += be32(UInt32(message.count)) + be32(UInt32(ipProtocol))
        if checksMessage, checksum((ipProtocol == 1 ? [] : pseudo) + message) != 0 { return nil }
    }

    func word16(_ at: Int) -> UInt16 { Self.value(message, at) }
    func word32(_ at: Int) -> UInt32 { UInt32(word16(at)) << 16 | UInt32(word16(at + 2)) }

    /// Stations and addresses are those of the question, exchanged; the tags are the same.
    func isSwapped(of question: [UInt8]) -> Bool {
        let size = isIPv6 ? 16 : 4
        let source = l3 + (isIPv6 ? 8 : 12)
        let destination = source + size
        return frame[0..<6] == question[6..<12] && frame[6..<12] == question[0..<6]
            && frame[12..<l3] == question[12..<l3]
            && Array(frame[source..<destination]) == Array(question[destination..<destination + size])
            && Array(frame[destination..<destination + size]) == Array(question[source..<destination])
    }
}
