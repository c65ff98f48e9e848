import Base
import Conntrack
import FrameSupport
import Memory
import Testing

@Suite struct FTPMessageTests {
    func message(_ text: String, isIPv6: Bool = false) -> FTPMessage {
        Array(text.utf8).withUnsafeBytes { FTPMessage($0, isIPv6: isIPv6) }
    }

    func announcement(_ text: String, isIPv6: Bool = false) -> FTPAnnouncement? {
        if case .announcement(let found) = message(text, isIPv6: isIPv6) { return found }
        return nil
    }

    @Test(arguments: [
        ("PORT 192,168,1,2,10,20\r\n", false), ("port 192,168,1,2,10,20\r\n", false),
        ("227 Entering Passive Mode (192,168,1,2,10,20).\r\n", true),
        ("227 Entering Passive Mode. 192,168,1,2,10,20\r\n", true), ("227-=192,168,1,2,10,20 \r\n", true),
    ]) func commaSeparated(text: String, isPassive: Bool) throws {
        let found = try #require(announcement(text))
        #expect(found.isPassive == isPassive)
        #expect(found.address == 0xc0a8_0102)
        #expect(found.port == 2580)
        let place = Array(text.utf8)[found.addressStart..<found.addressStart + found.addressCount]
        #expect(String(decoding: place, as: UTF8.self) == "192,168,1,2")
        #expect(message(text, isIPv6: true) == .other)
    }

    @Test func extended() throws {
        let port = try #require(announcement("EPRT |2|2001:db8::1|5282|\r\n", isIPv6: true))
        #expect(port.address == UInt128(0x2001_0db8) << 96 | 1)
        #expect(port.port == 5282)
        #expect(!port.isPassive)
        #expect(announcement("eprt !1!10.0.0.1!5282!\r\n")?.address == 0x0a00_0001)
        for isIPv6 in [false, true] {
            let passive = announcement("229 Entering Extended Passive Mode (|||6446|)\r\n", isIPv6: isIPv6)
            #expect(passive?.isPassive == true)
            #expect(passive?.address == nil)
            #expect(passive?.port == 6446)
        }
    }

    @Test(arguments: [
        "PORT 192,168,1,2,10\r\n", "PORT 192,168,1,2,10,256\r\n", "PORT 192,168,1,2,10,20", "PORT 1,2,3,4,0,0\r\n",
        "PORT 192,168,1,2222,10,20\r\n", "PORT 192.168.1.2.10.20\r\n", "PORT \r\n", "227 no numbers\r\n",
        "EPRT |2|2001:db8::1|5282|\r\n", "EPRT |1|10.0.0.1|65536|\r\n", "EPRT |1|10.0.0.1|5282",
        "EPRT |1|10.0.0|1|\r\n",
        "EPRT |1|10.0.0.1|0|\r\n", "229 (||6446|)\r\n", "229 (|||6446\r\n", "229 Passive\r\n", "EPRT \r\n",
    ]) func malformed(text: String) { #expect(message(text) == .invalid) }

    @Test(arguments: ["", "P", "PORT", "PASV\r\n", "EPSV\r\n", "220 hello\r\n", "RETR PORT 1,2,3,4,5,6\r\n"])
    func others(text: String) { #expect(message(text) == .other) }

    @Test func anyBytes() {
        var random = SeededRandom(seed: 71)
        let seeds = [
            "PORT 192,168,1,2,10,20\r\n", "227 Entering Passive Mode (192,168,1,2,10,20).\r\n",
            "EPRT |2|2001:db8::1|5282|\r\n", "229 Entering Extended Passive Mode (|||6446|)\r\n",
        ]
        for _ in 0..<20000 {
            var bytes = Array(random.pick(seeds).utf8)
            for _ in 0..<random.below(4) {
                bytes[random.below(bytes.count)] = random.pick(Array("0123456789,|.:() \r\n".utf8) + [0, 255])
            }
            bytes.removeLast(random.below(bytes.count + 1))
            let result = bytes.withUnsafeBytes { FTPMessage($0, isIPv6: random.oneIn(2)) }
            if case .announcement(let found) = result {
                #expect(found.addressStart + found.addressCount <= bytes.count)
                #expect(found.port > 0)
            }
        }
    }
}

@Suite struct HelperTests {
    /// Client 10.0.0.1, server 192.0.2.9 behind a virtual address or not.
    static let client: UInt128 = 0x0a00_0001
    static let server: UInt128 = 0xc000_0209
    static let other: UInt128 = 0xc633_6401

    static func control(_ kind: NATKind, isReply: Bool, translates: Bool = true) -> ControlHelper.Control {
        let original = ConnectionTuple(
            src: client, dst: kind == .destination ? other : server, isIPv6: false, ipProtocol: 6, sourcePort: 4000,
            destinationPort: 21, zone: 3)
        var reply = original.reversed
        if kind == .source { reply.dst = other }
        if kind == .destination { reply.src = server }
        return ControlHelper.Control(
            original: original, reply: reply, kind: kind, isReply: isReply, translates: translates)
    }

    /// A segment as it is after translation, with right checksums.
    static func segment(
        _ control: ControlHelper.Control, _ text: String, sequence: UInt32 = 1000, acknowledgment: UInt32 = 2000,
        options: [UInt8] = [], pad: Int = 0
    ) -> [UInt8] {
        let tuple = control.isReply ? control.original.reversed : control.reply.reversed
        let addresses = TupleForge.addresses(tuple)
        let plain = tcp(addresses, tuple.sourcePort, tuple.destinationPort, options: options, payload: Array(text.utf8))
        var message = plain
        message.replaceSubrange(4..<12, with: be32(sequence) + be32(acknowledgment))
        message.replaceSubrange(16..<18, with: [0, 0])
        let sum = checksum(addresses.pseudoHeader + be32(UInt32(message.count)) + be32(6) + message)
        message.replaceSubrange(16..<18, with: be16(sum))
        return TupleForge.frame(tuple, message, plain: true, pad: pad)
    }

    func follow(
        _ control: ControlHelper.Control, _ text: String, _ skew: inout SequenceSkew, sequence: UInt32 = 1000,
        pad: Int = 0
    ) -> (ControlHelper.Outcome, [UInt8]) {
        withPool { pool in
            let packet = packet(Self.segment(control, text, sequence: sequence, pad: pad), from: &pool)
            _ = extracted(packet)
            let outcome = ControlHelper.follow(packet, control, .ftp, &skew)
            return (outcome, bytes(packet))
        }
    }

    @Test func activeThroughSourceNAT() {
        let control = Self.control(.source, isReply: false)
        var skew = SequenceSkew()
        for pad in [0, 5] {
            let (outcome, frame) = follow(control, "PORT 10,0,0,1,10,20\r\n", &skew, pad: pad)
            guard case .expects(let expected) = outcome else {
                Issue.record("\(outcome)")
                return
            }
            // The server connects to the translated address, and gets through to the client.
            let data = ConnectionTuple(
                src: Self.server, dst: Self.other, isIPv6: false, ipProtocol: 6, sourcePort: 20, destinationPort: 2580,
                zone: 3)
            #expect(expected.reply(to: data).src == Self.client)
            #expect(expected.reply(to: data).sourcePort == 2580)
            #expect(expected.kind == .destination)
            var wildcard = data
            wildcard.sourcePort = 0
            #expect(expected.tuple == wildcard)
            #expect(expected.parentTuple == control.original)
            #expect(frame == Self.segment(control, "PORT 198,51,100,1,10,20\r\n", pad: pad))
        }
        // It came twice, as a retransmission does.
        #expect(skew.after == 4)
        #expect(skew.before == 0)
        #expect(skew.position == 1000)
    }

    @Test func passiveThroughDestinationNAT() {
        let control = Self.control(.destination, isReply: true)
        var skew = SequenceSkew()
        let (outcome, frame) = follow(control, "227 Entering Passive Mode (192,0,2,9,10,20).\r\n", &skew)
        guard case .expects(let expected) = outcome else {
            Issue.record("\(outcome)")
            return
        }
        let data = ConnectionTuple(
            src: Self.client, dst: Self.other, isIPv6: false, ipProtocol: 6, sourcePort: 5000, destinationPort: 2580,
            zone: 3)
        #expect(expected.reply(to: data).src == Self.server)
        #expect(expected.kind == .destination)
        #expect(frame == Self.segment(control, "227 Entering Passive Mode (198,51,100,1,10,20).\r\n"))
        #expect(skew.after == 3)
        #expect(skew.isReply)
    }

    @Test func withoutTranslationNothingIsRewritten() {
        for (kind, isReply, text) in [
            (NATKind.none, false, "PORT 10,0,0,1,10,20\r\n"), (.none, true, "227 (192,0,2,9,10,20)\r\n"),
            (.none, true, "229 (|||2580|)\r\n"), (.none, false, "EPRT |1|10.0.0.1|2580|\r\n"),
        ] {
            let control = Self.control(kind, isReply: isReply)
            var skew = SequenceSkew()
            let (outcome, frame) = follow(control, text, &skew)
            guard case .expects(let expected) = outcome else {
                Issue.record("\(text): \(outcome)")
                continue
            }
            #expect(expected.tuple.destinationPort == 2580)
            #expect(frame == Self.segment(control, text))
            #expect(skew == SequenceSkew())
        }
    }

    @Test func announcementsForOthersAreInvalid() {
        var skew = SequenceSkew()
        let active = Self.control(.source, isReply: false)
        #expect(follow(active, "PORT 10,0,0,2,10,20\r\n", &skew).0 == .invalid)
        #expect(follow(active, "PORT 10,0,0,1\r\n", &skew).0 == .invalid)
        #expect(follow(Self.control(.none, isReply: true), "227 (10,0,0,1,10,20)\r\n", &skew).0 == .invalid)
        // From the wrong side they are only text.
        #expect(follow(active, "227 (192,0,2,9,10,20)\r\n", &skew).0 == .nothing)
        #expect(follow(active, "USER somebody\r\n", &skew).0 == .nothing)
        #expect(follow(active, "", &skew).0 == .nothing)
    }

    /// A dialogue through a translation that makes announcements longer: both ends see unbroken numbers.
    @Test func sequenceNumbersStayUnbroken() {
        var random = SeededRandom(seed: 72)
        let fromClient = Self.control(.source, isReply: false)
        let fromServer = Self.control(.source, isReply: true)
        withPool { pool in
            for _ in 0..<100 {
                var skew = SequenceSkew()
                var sent: UInt32 = random.bits32()
                var received = sent
                for _ in 0..<30 {
                    let announces = random.oneIn(3)
                    let text = announces ? "PORT 10,0,0,1,10,20\r\n" : "NOOP\r\n"
                    let expected = announces ? "PORT 198,51,100,1,10,20\r\n" : "NOOP\r\n"
                    for _ in 0...random.below(2) {
                        let packet = packet(
                            Self.segment(fromClient, text, sequence: sent, acknowledgment: 7), from: &pool)
                        _ = extracted(packet)
                        ControlHelper.prepare(packet, fromClient, skew)
                        _ = ControlHelper.follow(packet, fromClient, .ftp, &skew)
                        #expect(
                            bytes(packet)
                                == Self.segment(fromClient, expected, sequence: received, acknowledgment: 7))
                        pool.free(packet)
                    }
                    sent &+= UInt32(text.utf8.count)
                    received &+= UInt32(expected.utf8.count)
                    // The server acknowledges all of it.
                    func answer(_ number: UInt32) -> [UInt8] {
                        Self.segment(
                            fromServer, "200 ok\r\n", sequence: 7, acknowledgment: number,
                            options: [1, 5, 10] + be32(number) + be32(number) + [1, 1, 0])
                    }
                    let packet = packet(answer(received), from: &pool)
                    _ = extracted(packet)
                    ControlHelper.prepare(packet, fromServer, skew)
                    _ = ControlHelper.follow(packet, fromServer, .ftp, &skew)
                    #expect(bytes(packet) == answer(sent))
                    pool.free(packet)
                }
            }
        }
    }

    @Test func aFrameThatCannotGrowIsLeftAlone() {
        let control = Self.control(.source, isReply: false)
        withPool { pool in
            let frame = Self.segment(control, "PORT 10,0,0,1,10,20\r\n")
            let packet = packet(frame, from: &pool)
            _ = extracted(packet)
            packet.pointee.room = packet.pointee.length
            var skew = SequenceSkew()
            _ = ControlHelper.follow(packet, control, .ftp, &skew)
            #expect(bytes(packet) == frame)
            #expect(!skew.isSet)
        }
    }

    @Test func extendedOverIPv6() {
        let original = ConnectionTuple(
            src: UInt128(0xfc) << 120 | 1, dst: UInt128(0xfc) << 120 | 2, isIPv6: true, ipProtocol: 6, sourcePort: 4000,
            destinationPort: 21)
        var reply = original.reversed
        reply.dst = UInt128(0xfc) << 120 | 0x240
        let control = ControlHelper.Control(
            original: original, reply: reply, kind: .source, isReply: false, translates: true)
        var skew = SequenceSkew()
        let (outcome, frame) = follow(control, "EPRT |2|fc00::1|5000|\r\n", &skew)
        #expect(frame == Self.segment(control, "EPRT |2|fc00::240|5000|\r\n"))
        if case .expects(let expected) = outcome { #expect(expected.address == original.src) } else { Issue.record() }
    }

    @Test func tftp() {
        let original = ConnectionTuple(
            src: Self.client, dst: Self.server, isIPv6: false, ipProtocol: 17, sourcePort: 4000, destinationPort: 69)
        var reply = original.reversed
        reply.dst = Self.other
        reply.destinationPort = 7000
        let control = ControlHelper.Control(
            original: original, reply: reply, kind: .source, isReply: false, translates: true)
        func follow(_ payload: [UInt8]) -> ControlHelper.Outcome {
            withPool { pool in
                let tuple = reply.reversed
                let packet = packet(
                    TupleForge.frame(tuple, TupleForge.message(tuple, payload), plain: true), from: &pool)
                _ = extracted(packet)
                var skew = SequenceSkew()
                return ControlHelper.follow(packet, control, .tftp, &skew)
            }
        }
        guard case .expects(let expected) = follow([0, 1] + Array("file\0octet\0".utf8)) else {
            Issue.record()
            return
        }
        let answer = ConnectionTuple(
            src: Self.server, dst: Self.other, isIPv6: false, ipProtocol: 17, sourcePort: 33000, destinationPort: 7000)
        #expect(
            expected.reply(to: answer)
                == ConnectionTuple(
                    src: Self.client, dst: Self.server, isIPv6: false, ipProtocol: 17, sourcePort: 4000,
                    destinationPort: 33000))
        #expect(follow([0, 3, 0, 1]) == .nothing)
        #expect(follow([0]) == .nothing)
    }

    @Test func expectations() {
        let table = ExpectationTable(capacity: 4)
        func expectation(_ port: UInt16) -> ExpectedConnection {
            var result = ExpectedConnection(
                tuple: ConnectionTuple(
                    src: 1, dst: 2, isIPv6: false, ipProtocol: 6, sourcePort: 0, destinationPort: port),
                kind: .none, address: 0)
            result.parent = UInt64(port)
            return result
        }
        func find(_ port: UInt16, now: UInt64 = 0) -> ExpectedConnection? {
            table.find(
                ConnectionTuple(
                    src: 1, dst: 2, isIPv6: false, ipProtocol: 6, sourcePort: 777, destinationPort: port), now: now)
        }
        #expect(table.isEmpty)
        #expect(find(1) == nil)
        for port: UInt16 in 1...6 { table.add(expectation(port), now: UInt64(port)) }
        #expect(table.expected == 4)
        #expect(find(2) == nil)
        #expect(find(3) == expectation(3))
        #expect(find(3, now: 300_003) != nil)
        #expect(find(3, now: 300_004) == nil)
        table.add(expectation(9), now: 300_005)
        #expect(table.expected == 3)
        #expect(find(9, now: 300_005) == expectation(9))
    }

    /// Many at once, of few parents and of many: none is missed, none of one parent crowds out another's.
    @Test func manyExpectations() {
        let table = ExpectationTable(capacity: 100)
        var random = SeededRandom(seed: 73)
        var added: [ExpectedConnection] = []
        for i in 0..<100 {
            var expected = ExpectedConnection(
                tuple: ConnectionTuple(
                    src: random.bits128(), dst: random.bits128(), isIPv6: true, ipProtocol: 6,
                    destinationPort: random.bits16(), zone: random.bits16()),
                kind: .none, address: 0)
            expected.parent = UInt64(i)
            added.append(expected)
            table.add(expected, now: 1)
        }
        for expected in added {
            var original = expected.tuple
            original.sourcePort = random.bits16()
            #expect(table.find(original, now: 2) == expected)
            original.dst ^= 1
            #expect(table.find(original, now: 2) == nil)
        }
        for port: UInt16 in 1...50 {
            var greedy = added[7]
            greedy.tuple.destinationPort = port
            table.add(greedy, now: 3)
        }
        // It has eight, and its own oldest ones went for the last of them.
        #expect(table.expected == 100)
        #expect(table.find(added[8].tuple, now: 4) == added[8])
        #expect(table.find(added[99].tuple, now: 4) == added[99])
    }
}
