import Conntrack
import Testing

/// The TCP state machine, by conversation.
@Suite struct TCPTrackingTests {
    typealias C = Conversation

    /// SYN, SYN and ACK, ACK.
    func handshake(_ bench: TrackerBench, _ talk: inout Conversation, options: [UInt8] = [], answer: [UInt8] = []) {
        #expect(bench.send(talk.up(C.syn, options: options)) == "new|trk")
        #expect(bench.send(talk.down(C.syn | C.ack, options: answer)) == "est|rpl|trk")
        #expect(bench.send(talk.up(C.ack)) == "est|trk")
    }

    func states(_ bench: TrackerBench) -> [TCPState] {
        let states = bench.tracker.connections(now: bench.now)[0].states
        return states.map { [$0.0, $0.1] } ?? []
    }

    @Test(arguments: [false, true]) func lifeOfAConnection(isIPv6: Bool) {
        let bench = TrackerBench()
        var talk = Conversation(isIPv6: isIPv6)
        #expect(bench.send(talk.up(C.syn)) == "new|trk")
        #expect(states(bench) == [.synSent, .closed])
        #expect(bench.send(talk.down(C.syn | C.ack)) == "est|rpl|trk")
        #expect(states(bench) == [.established, .synSent])
        #expect(bench.send(talk.up(C.ack)) == "est|trk")
        #expect(states(bench) == [.established, .established])
        #expect(bench.send(talk.up(C.ack, 100)) == "est|trk")
        #expect(bench.send(talk.down(C.ack, 500)) == "est|rpl|trk")
        #expect(bench.send(talk.up(C.fin | C.ack)) == "est|trk")
        #expect(states(bench) == [.closing, .established])
        #expect(bench.send(talk.down(C.ack)) == "est|rpl|trk")
        #expect(states(bench) == [.finWait2, .established])
        #expect(bench.send(talk.down(C.fin | C.ack)) == "est|rpl|trk")
        #expect(states(bench) == [.finWait2, .closing])
        #expect(bench.send(talk.up(C.ack)) == "est|trk")
        #expect(states(bench) == [.finWait2, .finWait2])
        #expect(bench.dump()[0].hasSuffix("protoinfo=(state=TIME_WAIT)"))
        // The port is used again.
        talk.client = 900_000
        #expect(bench.send(talk.up(C.syn)) == "new|trk")
        #expect(bench.dump().count == 1)
        #expect(states(bench) == [.synSent, .closed])
        #expect(bench.tracker.total(.replaced) == 1)
    }

    @Test func timeoutsFollowTheState() {
        let bench = TrackerBench()
        var talk = Conversation()
        func left() -> UInt64 { bench.tracker.connections(now: bench.now)[0].timeLeft / 1000 }
        bench.send(talk.up(C.syn))
        #expect(left() == 30)
        bench.send(talk.down(C.syn | C.ack))
        #expect(left() == 30)
        bench.send(talk.up(C.ack))
        #expect(left() == 86400)
        bench.send(talk.up(C.fin | C.ack))
        #expect(left() == 900)
        bench.send(talk.down(C.fin | C.ack))
        #expect(left() == 45)
        bench.send(talk.up(C.ack))
        #expect(left() == 30)
        bench.advance(29_999)
        #expect(bench.dump().count == 1)
        bench.now += 1
        #expect(bench.dump().isEmpty, "over at the very millisecond")
        bench.advance(40_000)
        #expect(bench.tracker.count == 0, "and its memory is free soon after")
    }

    @Test func segmentsOutsideTheWindowAreInvalid() {
        let bench = TrackerBench()
        var talk = Conversation()
        handshake(bench, &talk)
        var stray = Segment(seq: talk.client &+ 100_000, ack: talk.server)
        stray.length = 10
        #expect(bench.send(stray.frame) == "inv|trk")
        stray.seq = talk.client &- 100_000
        #expect(bench.send(stray.frame) == "inv|trk")
        stray.seq = talk.client
        stray.ack = talk.server &+ 200_000
        #expect(bench.send(stray.frame) == "inv|trk")
        #expect(bench.tracker.total(.outsideWindow) == 3)
        #expect(bench.send(talk.up(C.ack, 10)) == "est|trk")
        bench.tracker.checksSequenceNumbers = false
        #expect(bench.send(stray.frame) == "est|trk")
    }

    @Test func liberalTakesAllButResets() {
        let bench = TrackerBench { $0.isLiberal = true }
        var talk = Conversation()
        handshake(bench, &talk)
        let stray = Segment(seq: talk.client &+ 1_000_000, ack: talk.server, length: 10)
        #expect(bench.send(stray.frame) == "est|trk")
        var reset = stray
        reset.flags = C.rst
        #expect(bench.send(reset.frame) == "inv|trk")
        #expect(bench.send(talk.up(C.ack, 10)) == "est|trk", "and keeps the window where it was")
    }

    @Test func resetsMustHitTheMark() {
        let bench = TrackerBench()
        var talk = Conversation()
        handshake(bench, &talk)
        var reset = Segment(flags: C.rst, seq: talk.client &+ 50)
        #expect(bench.send(reset.frame) == "inv|trk")
        reset.seq = talk.client
        #expect(bench.send(reset.frame) == "est|trk")
        #expect(states(bench) == [.timeWait, .timeWait])
    }

    @Test func windowsScaleOnlyIfBothAgree() {
        for (answer, far) in [([3, 3, 7, 0], "est|trk"), ([UInt8](), "inv|trk")] {
            let bench = TrackerBench()
            var talk = Conversation()
            handshake(bench, &talk, options: [3, 3, 7, 0], answer: answer)
            bench.send(talk.down(C.ack))
            // Twice the plain window ahead, within the scaled one.
            let ahead = Segment(seq: talk.client &+ 16_384, ack: talk.server, length: 1000)
            #expect(bench.send(ahead.frame) == far)
        }
    }

    @Test func impossibleFlags() {
        let bench = TrackerBench()
        for flags: UInt16 in [0, 1, 3, 6, 7, 8, 9, 0x20, 0x13, 0x16] {
            #expect(bench.send(Segment(flags: flags).frame) == "inv|trk", "\(flags)")
        }
        #expect(bench.send(Segment(flags: 0x12).frame) == "inv|trk", "SYN and ACK begin nothing")
        #expect(bench.tracker.count == 0)
        #expect(bench.tracker.total(.badTCPFlags) == 10 && bench.tracker.total(.notFirstPacket) == 1)
    }

    @Test func midstream() {
        let bench = TrackerBench()
        #expect(bench.send(Segment(flags: C.ack, seq: 77, ack: 99, length: 5).frame) == "new|trk")
        let back = Segment(src: bob, dst: alice, sport: 80, dport: 3000, seq: 99, ack: 82, length: 5)
        #expect(bench.send(back.frame) == "est|rpl|trk")
        #expect(bench.dump(zone: nil, .more)[0].contains("flags_orig=BE_LIBERAL,flags_reply=BE_LIBERAL"))
        let strict = TrackerBench { $0.picksUpMidstream = false }
        #expect(strict.send(Segment(flags: C.ack).frame) == "inv|trk")
        #expect(strict.send(Segment(flags: C.syn).frame) == "new|trk")
    }

    @Test func optionsOfAnyShape() {
        let bench = TrackerBench()
        // Truncated, without length, with a length of 0, longer than the header: none may be read beyond its end.
        let shapes: [[UInt8]] = [
            [3, 3, 255, 0], [1, 1, 3, 3], [3, 0, 0, 0], [5, 40, 0, 0], [0, 3, 3, 9], [2, 4, 5, 180, 1, 3, 3, 9],
            [UInt8](repeating: 1, count: 40), [UInt8](repeating: 9, count: 40),
        ]
        for (i, options) in shapes.enumerated() {
            let syn = Segment(sport: UInt16(4000 + i), flags: C.syn, options: options)
            #expect(bench.send(syn.frame) == "new|trk")
        }
        let found = bench.tracker.connections(now: bench.now).sorted { $0.original.sourcePort < $1.original.sourcePort }
        #expect(found.map(\.scales.0) == [14, 0, 0, 0, 0, 9, 0, 0])
    }
}
