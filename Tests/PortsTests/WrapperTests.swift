import Base
import CLinux
import Memory
import Ports
import Testing

@Suite struct WrapperTests {
    let scratch: Scratch
    let frames = (0..<400).map { udp(1, 2, UInt16($0), $0 % 2 == 0 ? 53 : 80) }

    init() throws { scratch = try Scratch() }

    private func replay() throws -> Port {
        try open("p0", "pcap", ["rx": scratch.file("in.pcap", CaptureBytes(frames: frames).pcap)])
    }

    private func read(_ path: String) throws -> [[UInt8]] {
        var bench = Bench()
        return bench.drain(try open("again", "pcap", ["rx": path]).receivers[0])
    }

    @Test func captureTakesWhatTheFilterSelectsBothWays() throws {
        let port = try replay()
        let out = try port.makeTransmitter(worker: 0)
        let capture = try Capture(port: "p0", path: scratch.file("cap.pcap"), filter: "udp port 53")
        var bench = Bench()
        let before = bench.receive(port.receivers[0], limit: 10)
        port.observe(with: capture)
        let seen = bench.receive(port.receivers[0], limit: 10)
        bench.transmit(before, out)
        let expected = (seen + before).filter { $0[36...37] == [0, 53] }
        #expect(try read(capture.path) == expected)
        #expect(capture.frameCount == expected.count)
        // A transmitter that is made while the capture runs belongs to it too.
        bench.transmit([frames[0]], try port.makeTransmitter(worker: 1))
        #expect(capture.frameCount == expected.count + 1)
        port.observe(with: nil)
        _ = bench.receive(port.receivers[0], limit: 10)
        #expect(capture.frameCount == expected.count + 1)
    }

    @Test func captureEndsAfterItsCount() throws {
        let port = try replay()
        let capture = try Capture(port: "p0", path: scratch.file("cap.pcap"), count: 25)
        port.observe(with: capture)
        var bench = Bench()
        _ = bench.drain(port.receivers[0])
        #expect(capture.isFinished)
        #expect(capture.frameCount == 25)
        #expect(try read(capture.path) == Array(frames[..<25]))
    }

    @Test func aBadFilterIsExplained() {
        let error = #expect(throws: PortError.self) {
            try Capture(port: "p0", path: scratch.file("cap.pcap"), filter: "udp prot 53")
        }
        #expect(error?.kind == .badValue(option: "filter"))
        #expect(error?.description.contains("pcap-filter") == true)
    }

    private var plan: FaultPlan {
        var plan = FaultPlan(seed: 7)
        (plan.drop, plan.duplicate, plan.corrupt) = (100_000, 100_000, 100_000)
        (plan.truncate, plan.reorder) = (50_000, 100_000)
        return plan
    }

    @Test func receivedFaultsAreCountedAndRepeatable() throws {
        func run() throws -> ([[UInt8]], FaultCounts) {
            let port = FaultInjectingPort(around: try replay(), receive: plan, transmit: FaultPlan(seed: 0))
            let receiver = try #require(port.receivers[0] as? FaultInjectingReceiver)
            var bench = Bench()
            let frames = bench.drain(receiver)
            #expect(bench.pool.inUse == 0)
            #expect(port.received.packets == UInt64(frames.count))
            #expect(port.received.drops == [.faultInjected: UInt64(receiver.counts.dropped)])
            return (frames, receiver.counts)
        }
        let (first, counts) = try run()
        let (second, again) = try run()
        #expect(first == second)
        #expect(counts == again)
        #expect(first.count == frames.count - counts.dropped + counts.duplicated)
        for count in [counts.dropped, counts.duplicated, counts.corrupted, counts.truncated, counts.reordered] {
            #expect(count > 0)
        }
        #expect(first.count { $0.count < 64 } >= counts.truncated)
    }

    @Test func transmittedFaultsLeaveTheCallersFramesAlone() throws {
        let path = scratch.file("out.pcap")
        let inner = try open("p0", "pcap", ["tx": path])
        let port = FaultInjectingPort(around: inner, receive: FaultPlan(seed: 0), transmit: plan)
        let transmitter = try #require(try port.makeTransmitter(worker: 0) as? FaultInjectingTransmitter)
        var bench = Bench()
        for start in stride(from: 0, to: 400, by: 40) {
            let part = Array(frames[start..<(start + 40)])
            bench.transmit(part, transmitter)
            for index in 0..<40 { #expect(bench.bytes(bench.batch[index]) == part[index]) }
        }
        let counts = transmitter.counts
        let written = try read(path)
        #expect(written.count == 400 - counts.dropped + counts.duplicated)
        #expect(port.transmitted.packets == UInt64(written.count))
        #expect(port.transmitted.drops == [.faultInjected: UInt64(counts.dropped)])
        #expect(written != frames)
        port.retire(transmitter)
        #expect(port.transmitted.packets == UInt64(written.count))
    }

    @Test func withoutFaultsNothingChanges() throws {
        let none = FaultPlan(seed: 1)
        let port = FaultInjectingPort(around: try replay(), receive: none, transmit: none)
        var bench = Bench()
        #expect(bench.drain(port.receivers[0]) == frames)
        #expect(port.received.drops == [:])
    }
}
