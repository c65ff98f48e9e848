import Base
import Conntrack
import FrameSupport
import Memory
import Testing

/// Connections that get a backend: what tracking does with the answer of a chooser, here one that gives a fixed one.
@Suite struct BalancedTests {
    /// The answer, and how often it was given.
    final class Answer {
        var query = BackendQuery(service: 0, tuple: ConnectionTuple(), now: 0)
        var asked = 0
        /// What it was told of connections, in order: made or not.
        var concluded: [Bool] = []
        let stations = UnsafeMutablePointer<UInt64>.allocate(capacity: BackendChooser.backendLimit)
        let context = UnsafeMutablePointer<Unmanaged<Answer>>.allocate(capacity: 1)

        init() {
            stations.initialize(repeating: 0, count: BackendChooser.backendLimit)
            query.outcome = .chosen
            query.backend = 5
            query.address = 0x0a03_0001
            query.port = 5353
            context.initialize(to: .passUnretained(self))
        }

        deinit {
            stations.deallocate()
            context.deallocate()
        }

        var chooser: BackendChooser {
            BackendChooser(
                context: UnsafeMutableRawPointer(context), stations: stations,
                choose: { context, query in
                    let answer = context.assumingMemoryBound(to: Unmanaged<Answer>.self).pointee.takeUnretainedValue()
                    let query = query.assumingMemoryBound(to: BackendQuery.self)
                    answer.asked += 1
                    let question = query.pointee
                    query.pointee = answer.query
                    query.pointee.service = question.service
                    query.pointee.tuple = question.tuple
                },
                conclude: { context, query, isMade in
                    let answer = context.assumingMemoryBound(to: Unmanaged<Answer>.self).pointee.takeUnretainedValue()
                    let query = query.assumingMemoryBound(to: BackendQuery.self)
                    #expect(query.pointee.backend == answer.query.backend && query.pointee.service == 1)
                    answer.concluded.append(isMade)
                })
        }
    }

    static func setUp(_ change: (inout TrackerConfiguration) -> Void = { _ in }) -> (TrackerBench, Answer, TrackRequest)
    {
        let bench = TrackerBench(change)
        let answer = Answer()
        bench.tracker.chooser = answer.chooser
        var request = TrackRequest()
        request.zone = 9
        request.commits = true
        request.translates = true
        request.service = 1
        return (bench, answer, request)
    }

    static func verdict(_ bench: TrackerBench, _ frame: [UInt8], _ request: TrackRequest) -> TrackVerdict {
        let packet = bench.packet(frame)
        defer { bench.pool.free(packet) }
        return withUnsafePointer(to: request) { bench.tracker.track(packet, $0, now: bench.now, worker: 0) }
    }

    @Test func aBackendIsAskedForOnceAndCounted() {
        let (bench, answer, request) = Self.setUp()
        let first = bench.outcome(udpFrame(), request)
        #expect(first.text == "new|trk|dnat")
        #expect(first.frame == udpFrame(alice, 0x0a03_0001, 1000, 5353))
        for _ in 0..<5 { #expect(bench.outcome(udpFrame(), request).frame == first.frame) }
        #expect(answer.asked == 1 && answer.concluded == [true])
        #expect(bench.tracker.count(ofBackend: 5) == 1)
        var back = request
        back.commits = false
        back.service = 0
        let reply = bench.outcome(udpFrame(0x0a03_0001, alice, 5353, 1000), back)
        #expect(reply.text == "est|rpl|trk|snat" && reply.frame == udpFrame(bob, alice, 53, 1000))
        bench.advance(120_000)
        #expect(bench.tracker.count(ofBackend: 5) == 0, "its end is counted too")
    }

    @Test func flushEndsTheConnectionsOfBackendsThatAreGone() {
        let (bench, answer, request) = Self.setUp()
        for port in UInt16(1)...40 {
            answer.query.backend = UInt32(port % 2 + 5)
            _ = bench.outcome(udpFrame(alice, bob, port, 53), request)
        }
        bench.send(udpFrame(alice, bob, 77, 99))
        #expect(bench.tracker.count(ofBackend: 5) == 20 && bench.tracker.count(ofBackend: 6) == 20)
        #expect(bench.tracker.flush(backends: [6]) == 20)
        #expect(bench.tracker.count(ofBackend: 5) == 20 && bench.tracker.count(ofBackend: 6) == 0)
        #expect(bench.tracker.count == 21)
        #expect(bench.tracker.flush(backends: [6, 7]) == 0 && bench.tracker.flush(backends: []) == 0)
    }

    @Test func whatCannotBeTrackedGoesNoFurther() {
        let (bench, answer, request) = Self.setUp {
            $0.limit = 1
            $0.earlyDropAge = .max
        }
        #expect(Self.verdict(bench, udpFrame(), request) == .tracked)
        #expect(Self.verdict(bench, udpFrame(alice, bob, 1001, 53), request) == .drop(.serviceUntracked))
        #expect(answer.concluded == [true, false])
        answer.query.outcome = .empty
        #expect(Self.verdict(bench, udpFrame(alice, bob, 1001, 53), request) == .drop(.noBackend))
        answer.query.outcome = .emptyRefuses
        #expect(Self.verdict(bench, udpFrame(alice, bob, 1001, 53), request) == .refuse(.noBackend))
        // One that has its backend goes on whatever happens.
        #expect(Self.verdict(bench, udpFrame(), request) == .tracked)
        var damaged = udpFrame()
        damaged[24] ^= 1
        #expect(Self.verdict(bench, damaged, request) == .drop(.serviceUntracked))
        answer.query.outcome = .foreign
        #expect(Self.verdict(bench, udpFrame(alice, bob, 1001, 53), request) == .tracked)
        #expect(bench.tracker.count == 1)
        #expect(answer.concluded == [true, false], "nobody was chosen")
    }

    @Test func aConnectionWithoutAPortIsNotCounted() {
        let (bench, answer, request) = Self.setUp()
        answer.query.translatesSource = true
        answer.query.firstSource = 0x0a09_0009
        answer.query.lastSource = 0x0a09_0009
        var made = 0
        var isExhausted = false
        for client in UInt32(0)..<70_000 where !isExhausted {
            if Self.verdict(bench, udpFrame(0x0b00_0000 + client, bob, 1000, 53), request) == .tracked {
                made += 1
            } else {
                isExhausted = true
            }
        }
        #expect(isExhausted && bench.tracker.count(ofBackend: 5) == UInt64(made))
        #expect(answer.concluded.count { $0 } == made && answer.concluded.last == false)
    }

    @Test func bothEndsAreTranslatedInOnePass() {
        let (bench, answer, request) = Self.setUp()
        answer.query.translatesSource = true
        answer.query.firstSource = 0x0a09_0009
        answer.query.lastSource = 0x0a09_0009
        let first = bench.outcome(udpFrame(), request)
        #expect(first.text == "new|trk|snat|dnat" && first.frame == udpFrame(0x0a09_0009, 0x0a03_0001, 1000, 5353))
        // Another client with the same port gets the next one.
        let second = bench.outcome(udpFrame(0x0a01_0063, bob, 1000, 53), request)
        #expect(second.frame != first.frame && second.text == "new|trk|snat|dnat")
        var back = request
        back.commits = false
        back.service = 0
        #expect(
            bench.outcome(udpFrame(0x0a03_0001, 0x0a09_0009, 5353, 1000), back).frame == udpFrame(bob, alice, 53, 1000))
    }

    @Test func framesAreSentOnToStations() {
        let (bench, answer, request) = Self.setUp()
        var steering = request
        steering.steers = true
        answer.stations[5] = 0x0200_0000_0055
        answer.query.station = 0xffff_ffff_ffff
        let frame = udpFrame()
        let sent = bench.outcome(frame, steering).frame
        #expect(Array(sent[0..<6]) == [2, 0, 0, 0, 0, 0x55])
        #expect(Array(sent[6..<12]) == Array(frame[6..<12]))
    }
}
