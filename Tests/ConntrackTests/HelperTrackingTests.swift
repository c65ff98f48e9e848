import Base
import Conntrack
import FrameSupport
import Memory
import Testing

/// Helpers in the tracker: announced connections are related, and are translated as their parents are.
@Suite struct HelperTrackingTests {
    static let client: UInt128 = 0x0a00_0001
    static let server: UInt128 = 0xc000_0209
    static let outside: UInt128 = 0xc633_6401

    func frame(
        _ src: UInt128, _ sport: UInt16, _ dst: UInt128, _ dport: UInt16, flags: UInt16 = 0x10, sequence: UInt32 = 1000,
        acknowledgment: UInt32 = 2000, _ text: String = ""
    ) -> [UInt8] {
        let tuple = ConnectionTuple(
            src: src, dst: dst, isIPv6: false, ipProtocol: 6, sourcePort: sport, destinationPort: dport)
        let addresses = TupleForge.addresses(tuple)
        var message = tcp(addresses, sport, dport, flags: flags, payload: Array(text.utf8))
        message.replaceSubrange(4..<12, with: be32(sequence) + be32(acknowledgment))
        message.replaceSubrange(16..<18, with: [0, 0])
        let sum = checksum(addresses.pseudoHeader + be32(UInt32(message.count)) + be32(6) + message)
        message.replaceSubrange(16..<18, with: be16(sum))
        return TupleForge.frame(tuple, message, plain: true)
    }

    var commit: TrackRequest {
        var request = TrackRequest()
        request.zone = 5
        request.commits = true
        request.translates = true
        request.kind = .source
        request.hasAddresses = true
        request.firstAddress = Self.outside
        request.lastAddress = Self.outside
        request.helper = .ftp
        request.mark = 77
        request.markMask = .max
        return request
    }

    var pass: TrackRequest {
        var request = TrackRequest()
        request.zone = 5
        request.translates = true
        return request
    }

    /// Handshake of a control connection from inside, on a port of its own.
    func begin(_ bench: TrackerBench) {
        let syn = frame(Self.client, 4000, Self.server, 2121, flags: 0x02, sequence: 999, acknowledgment: 0)
        let first = bench.outcome(syn, commit)
        #expect(first.text == "new|trk|snat")
        #expect(
            first.frame
                == frame(Self.outside, 4000, Self.server, 2121, flags: 0x02, sequence: 999, acknowledgment: 0))
        let answer = frame(
            Self.server, 2121, Self.outside, 4000, flags: 0x12, sequence: 1999, acknowledgment: 1000)
        #expect(bench.outcome(answer, pass).text == "est|rpl|trk|dnat")
    }

    @Test func activeDataConnection() {
        let bench = TrackerBench()
        begin(bench)
        let port = frame(Self.client, 4000, Self.server, 2121, "PORT 10,0,0,1,10,20\r\n")
        let announced = bench.outcome(port, pass)
        #expect(announced.text == "est|trk|snat")
        #expect(announced.frame == frame(Self.outside, 4000, Self.server, 2121, "PORT 198,51,100,1,10,20\r\n"))
        #expect(bench.tracker.expectations.expected == 1)

        // The server acknowledges what it got; the client is told what it sent: 21 bytes, not 25.
        let reply = frame(
            Self.server, 2121, Self.outside, 4000, sequence: 2000, acknowledgment: 1025, "200 ok\r\n")
        let told = bench.outcome(reply, pass)
        #expect(told.text == "est|rpl|trk|dnat")
        #expect(
            told.frame
                == frame(Self.server, 2121, Self.client, 4000, sequence: 2000, acknowledgment: 1021, "200 ok\r\n"))
        let next = bench.outcome(frame(Self.client, 4000, Self.server, 2121, sequence: 1021, "LIST\r\n"), pass)
        #expect(next.frame == frame(Self.outside, 4000, Self.server, 2121, sequence: 1025, "LIST\r\n"))

        // The announced connection, first looked at, then committed.
        let data = frame(Self.server, 20, Self.outside, 2580, flags: 0x02, sequence: 1, acknowledgment: 0)
        let seen = bench.outcome(data, pass)
        #expect(seen.text == "new|rel|trk")
        #expect(seen.mark == 77)
        #expect(seen.frame == data)
        #expect(seen.tuple[0] == UInt64(Self.client) << 32 | UInt64(Self.server))
        let committed = bench.outcome(data, commit)
        #expect(committed.text == "new|rel|trk|dnat")
        #expect(
            committed.frame
                == frame(Self.server, 20, Self.client, 2580, flags: 0x02, sequence: 1, acknowledgment: 0))
        #expect(committed.mark == 77)
        let back = bench.outcome(
            frame(Self.client, 2580, Self.server, 20, flags: 0x12, sequence: 5, acknowledgment: 2), pass)
        #expect(back.text == "est|rel|rpl|trk|snat")
        #expect(
            back.frame
                == frame(Self.outside, 2580, Self.server, 20, flags: 0x12, sequence: 5, acknowledgment: 2))
        #expect(bench.pool.inUse == 0)
    }

    @Test func anAnnouncementDiesWithItsConnection() {
        let bench = TrackerBench()
        begin(bench)
        _ = bench.outcome(frame(Self.client, 4000, Self.server, 2121, "PORT 10,0,0,1,10,20\r\n"), pass)
        bench.tracker.flush(zone: 5)
        let data = frame(Self.server, 20, Self.outside, 2580, flags: 0x02, sequence: 1, acknowledgment: 0)
        #expect(bench.outcome(data, pass).text == "new|trk")
    }

    @Test func whatIsOutsideOfTheWindowAnnouncesNothing() {
        let bench = TrackerBench()
        begin(bench)
        let forged = frame(Self.client, 4000, Self.server, 2121, sequence: 0x7000_0000, "PORT 10,0,0,1,10,20\r\n")
        #expect(bench.outcome(forged, pass).text == "inv|trk|snat")
        #expect(bench.tracker.expectations.isEmpty)
    }

    @Test func anAnnouncementForSomebodyElseIsInvalid() {
        let bench = TrackerBench()
        begin(bench)
        let bounce = frame(Self.client, 4000, Self.server, 2121, "PORT 10,0,0,2,10,20\r\n")
        #expect(bench.outcome(bounce, pass).text == "est|inv|trk|snat")
        #expect(bench.tracker.expectations.isEmpty)
    }

    @Test func withoutHelperNothingIsRead() {
        let bench = TrackerBench()
        var request = commit
        request.helper = .none
        let syn = frame(Self.client, 4000, Self.server, 21, flags: 0x02, sequence: 999, acknowledgment: 0)
        _ = bench.outcome(syn, request)
        let port = frame(Self.client, 4000, Self.server, 21, "PORT 10,0,0,1,10,20\r\n")
        #expect(
            bench.outcome(port, pass).frame == frame(Self.outside, 4000, Self.server, 21, "PORT 10,0,0,1,10,20\r\n"))
        #expect(bench.tracker.expectations.isEmpty)
    }

    /// A request announces its answer at once, with the mark that its own action sets.
    @Test func transferOfAFile() {
        let bench = TrackerBench()
        var request = commit
        request.helper = .tftp
        let tuple = ConnectionTuple(
            src: Self.client, dst: Self.server, isIPv6: false, ipProtocol: 17, sourcePort: 4000, destinationPort: 69)
        let read = TupleForge.message(tuple, [0, 1] + Array("file".utf8) + [0] + Array("octet".utf8) + [0])
        #expect(bench.outcome(TupleForge.frame(tuple, read, plain: true), request).text == "new|trk|snat")
        var answer = tuple.reversed
        answer.dst = Self.outside
        answer.sourcePort = 33000
        let data = TupleForge.frame(answer, TupleForge.message(answer, [0, 3, 0, 1]), plain: true)
        let seen = bench.outcome(data, pass)
        #expect(seen.text == "new|rel|trk")
        #expect(seen.mark == 77)
        let committed = bench.outcome(data, request)
        #expect(committed.text == "new|rel|trk|dnat")
        answer.dst = Self.client
        #expect(committed.frame == TupleForge.frame(answer, TupleForge.message(answer, [0, 3, 0, 1]), plain: true))
    }
}
