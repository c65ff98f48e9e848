import Base
import CLinux
import Memory
import Ports
import Testing

@Suite struct PcapTests {
    let scratch: Scratch
    let frames = [frame(60), frame(14), frame(1), frame(1514), frame(64, 9), frame(65535), frame(33)]

    init() throws { scratch = try Scratch() }

    private func check(_ bytes: [UInt8]) throws {
        let port = try open("p0", "pcap", ["rx": scratch.file("in.pcap", bytes)])
        var bench = Bench()
        #expect(bench.drain(port.receivers[0]) == frames)
        #expect(port.status.error == nil)
        #expect(bench.pool.inUse == 0)
        #expect(port.received.packets == 7)
        #expect(port.received.bytes == UInt64(frames.reduce(0) { $0 + $1.count }))
    }

    @Test func microseconds() throws { try check(CaptureBytes(frames: frames).pcap) }
    @Test func nanoseconds() throws { try check(CaptureBytes(nanoseconds: true, frames: frames).pcap) }
    @Test func byteSwapped() throws { try check(CaptureBytes(bigEndian: true, frames: frames).pcap) }
    @Test func nextGeneration() throws { try check(CaptureBytes(frames: frames).pcapng) }
    @Test func nextGenerationSwapped() throws { try check(CaptureBytes(bigEndian: true, frames: frames).pcapng) }

    @Test func everyTruncationDeliversTheFramesBeforeIt() throws {
        let short = [frame(60), frame(20), frame(61)]
        let whole = CaptureBytes(frames: short).pcap
        let ends = [24, 24 + 76, 24 + 76 + 36, whole.count]
        var bench = Bench()
        for length in 24...whole.count {
            let path = try scratch.file("cut.pcap", Array(whole[..<length]))
            let port = try open("p0", "pcap", ["rx": path])
            let complete = ends.lastIndex { $0 <= length } ?? 0
            #expect(bench.drain(port.receivers[0]) == Array(short[..<complete]))
            #expect((port.status.error == nil) == ends.contains(length), "cut at \(length)")
        }
        for length in 0..<24 {
            let path = try scratch.file("cut.pcap", Array(whole[..<length]))
            #expect(throws: PortError.self) { try open("p0", "pcap", ["rx": path]) }
        }
    }

    @Test func refusesOtherLinkTypesByName() throws {
        var bytes = CaptureBytes(frames: frames)
        bytes.link = 101
        let path = try scratch.file("raw.pcap", bytes.pcap)
        let error = #expect(throws: PortError.self) { try open("p0", "pcap", ["rx": path]) }
        #expect(error?.description.contains("RAW") == true)
        #expect(error?.kind == .badFile(path: path))
    }

    @Test func missingFile() {
        let error = #expect(throws: PortError.self) { try open("p0", "pcap", ["rx": "/nonexistent/x.pcap"]) }
        #expect(error?.description.contains("/nonexistent/x.pcap") == true)
        #expect(throws: PortError.self) { try open("p0", "pcap", ["tx": "/nonexistent/x.pcap"]) }
    }

    /// Nobody is at the other end of the pipe, and nobody waits for that.
    @Test(.timeLimit(.minutes(1))) func pipesAreRefused() throws {
        let pipe = scratch.file("pipe")
        try #require(mkfifo(pipe, 0o600) == 0)
        for options in [["rx": pipe], ["tx": pipe], ["rx": scratch.path], ["rx": "/dev/tty"]] {
            let error = #expect(throws: PortError.self) { try open("p0", "pcap", options) }
            let text = error?.description ?? ""
            #expect(text.contains("is not a regular file") || text.contains("open on /dev/tty"), "\(text)")
        }
        #expect(throws: PortError.self) { try Capture(port: "p0", path: pipe) }
        let null = try open("p0", "pcap", ["tx": "/dev/null"])
        null.close()
    }

    @Test func framesBeyondTheLongestAreCounted() throws {
        let path = try scratch.file("in.pcap", CaptureBytes(frames: [frame(60), frame(70000), frame(61)]).pcap)
        let port = try open("p0", "pcap", ["rx": path])
        var bench = Bench()
        #expect(bench.drain(port.receivers[0]) == [frame(60), frame(61)])
        #expect(port.received.drops == [.frameTooLong: 1])
    }

    @Test func loopFillsEveryBurst() throws {
        let path = try scratch.file("in.pcap", CaptureBytes(frames: [frame(60), frame(61), frame(62)]).pcap)
        let port = try open("p0", "pcap", ["rx": path, "loop": "yes"])
        var bench = Bench()
        for burst in 0..<6 {
            let got = bench.receive(port.receivers[0], limit: 32).map(\.count)
            #expect(got == (0..<32).map { 60 + (burst * 32 + $0) % 3 })
        }
        #expect(!port.receivers[0].isFinished)
    }

    @Test func rateIsNotExceeded() throws {
        let path = try scratch.file("in.pcap", CaptureBytes(frames: [frame(60)]).pcap)
        let port = try open("p0", "pcap", ["rx": path, "loop": "yes", "rate": "2000"])
        var bench = Bench()
        let start = weft_clock(CLOCK_MONOTONIC)
        var count = 0
        while count < 20 {
            count += bench.receive(port.receivers[0]).count
            let elapsed = weft_clock(CLOCK_MONOTONIC) - start
            #expect(UInt64(count) <= elapsed / 500_000 + 1)
        }
    }

    @Test func anEmptyFileIsFinishedAtOnceEvenWhenLooped() throws {
        let path = try scratch.file("in.pcap", CaptureBytes(frames: []).pcap)
        let port = try open("p0", "pcap", ["rx": path, "loop": "yes"])
        var bench = Bench()
        #expect(port.receivers[0].isFinished)
        #expect(bench.receive(port.receivers[0]).isEmpty)
    }

    @Test func anEmptyPoolIsADrop() throws {
        let path = try scratch.file("in.pcap", CaptureBytes(frames: (0..<8).map { frame(60 + $0) }).pcap)
        let port = try open("p0", "pcap", ["rx": path])
        var bench = Bench(small: 3, large: 0)
        #expect(bench.receive(port.receivers[0]).map(\.count) == [60, 61, 62])
        #expect(port.received.drops == [.noBuffer: 5])
        #expect(port.received.packets == 3)
    }

    @Test func aFlowStaysOnItsQueueInBothDirections() throws {
        var all: [[UInt8]] = []
        for flow in 0..<64 {
            let (a, b) = (UInt8(flow % 7 + 1), UInt8(flow % 5 + 100))
            for _ in 0..<3 {
                all.append(udp(a, b, UInt16(1000 + flow), 53))
                all.append(udp(b, a, 53, UInt16(1000 + flow)))
            }
        }
        let path = try scratch.file("in.pcap", CaptureBytes(frames: all).pcap)
        let port = try open("p0", "pcap", ["rx": path, "queues": "4"])
        var bench = Bench()
        let queues = port.receivers.map { bench.drain($0) }
        #expect(queues.reduce(0) { $0 + $1.count } == all.count)
        for flow in 0..<64 {
            let number = UInt16(1000 + flow)
            let holders = queues.filter { queue in
                queue.contains { $0[34...35].elementsEqual([UInt8(number >> 8), UInt8(number & 255)]) }
                    || queue.contains { $0[36...37].elementsEqual([UInt8(number >> 8), UInt8(number & 255)]) }
            }
            #expect(holders.count == 1)
        }
        #expect(queues.allSatisfy { $0.count > all.count / 10 })
    }

    @Test func writtenFileIsCompleteAfterEachFlush() throws {
        let path = scratch.file("out.pcap")
        let port = try open("p0", "pcap", ["tx": path, "mtu": "9000"])
        #expect(try contents(path).count == 24)
        let first = try port.makeTransmitter(worker: 0)
        let second = try port.makeTransmitter(worker: 1)
        var bench = Bench()
        bench.transmit([frame(60), frame(100)], first)
        #expect(try contents(path).count == 24 + 76 + 116)
        bench.transmit([frame(1514)], second)
        let bytes = try contents(path)
        #expect(bytes.count == 24 + 76 + 116 + 1530)
        #expect(Array(bytes[..<4]) == [0xd4, 0xc3, 0xb2, 0xa1])
        let again = try open("p1", "pcap", ["rx": path])
        #expect(bench.drain(again.receivers[0]) == [frame(60), frame(100), frame(1514)])
        #expect(port.transmitted.packets == 3)
        port.retire(second)
        #expect(port.transmitted.packets == 3)
        #expect(port.transmitted.bytes == 1674)
    }

    @Test func framesBeyondTheMTUAreDropped() throws {
        let path = scratch.file("out.pcap")
        let port = try open("p0", "pcap", ["tx": path])
        let transmitter = try port.makeTransmitter(worker: 0)
        var bench = Bench()
        var tagged = frame(1518)
        (tagged[12], tagged[13]) = (0x81, 0)
        bench.transmit([frame(1514), frame(1515), tagged, tagged + [0]], transmitter)
        #expect(port.transmitted.packets == 2)
        #expect(port.transmitted.drops == [.exceedsMTU: 2])
        try port.setMTU(2000)
        bench.transmit([frame(2014), frame(2015)], transmitter)
        #expect(port.transmitted.packets == 3)
        #expect(port.transmitted.drops == [.exceedsMTU: 3])
    }

    @Test func aFullDeviceIsCountedNotFatal() throws {
        // Writing there fails with ENOSPC, at the latest when the header goes out.
        let error = #expect(throws: PortError.self) { try open("p0", "pcap", ["tx": "/dev/full"]) }
        #expect(error?.description.contains("/dev/full") == true)
    }

    @Test func administrativelyDownReceivesNothing() throws {
        let path = try scratch.file("in.pcap", CaptureBytes(frames: [frame(60)]).pcap)
        let port = try open("p0", "pcap", ["rx": path])
        var bench = Bench()
        try port.setAdmin(up: false)
        #expect(!port.status.linkUp)
        #expect(bench.receive(port.receivers[0]).isEmpty)
        try port.setAdmin(up: true)
        #expect(bench.receive(port.receivers[0]).count == 1)
    }

    /// Whatever the bytes of a file are, the port opens or refuses, and every frame can be read.
    @Test func mutatedFilesNeverTrap() throws {
        var random = Random(20)
        let seeds = [
            CaptureBytes(frames: [frame(60), frame(20), udp(1, 2, 3, 4)]).pcap,
            CaptureBytes(bigEndian: true, nanoseconds: true, frames: [frame(60), udp(1, 2, 3, 4)]).pcap,
            CaptureBytes(frames: [frame(60), udp(1, 2, 3, 4)]).pcapng,
        ]
        var bench = Bench(small: 512, large: 64)
        for round in 0..<1500 {
            var bytes = seeds[round % seeds.count]
            for _ in 0...Int.random(in: 0...5, using: &random) {
                let at = Int.random(in: 0..<bytes.count, using: &random)
                switch Int.random(in: 0..<4, using: &random) {
                case 0: bytes[at] = UInt8.random(in: 0...255, using: &random)
                case 1: bytes[at] = [0, 0xff, 0x7f, 0x80].randomElement(using: &random) ?? 0
                case 2: bytes.removeLast(min(bytes.count - 1, Int.random(in: 0..<20, using: &random)))
                default: bytes.insert(UInt8.random(in: 0...255, using: &random), at: at)
                }
            }
            let path = try scratch.file("fuzz.pcap", bytes)
            guard let port = try? open("p0", "pcap", ["rx": path, "queues": "2"]) else { continue }
            for receiver in port.receivers { _ = bench.drain(receiver) }
            #expect(bench.pool.inUse == 0)
        }
    }

    /// A worker sleeps until the next frame of a file that is played at a rate.
    @Test func aRateSaysWhenTheNextFrameIsDue() throws {
        let scratch = try Scratch()
        let path = try scratch.file("in", CaptureBytes(frames: [frame(60), frame(61)]).pcap)
        var bench = Bench()
        let fast = try open("p0", "pcap", ["rx": path]).receivers[0]
        #expect(fast.nextFrameDue == 0)
        #expect(bench.drain(fast).count == 2)
        #expect(fast.nextFrameDue == .max)
        let slow = try open("p1", "pcap", ["rx": path, "rate": "3"]).receivers[0]
        #expect(slow.nextFrameDue == 0, "its time starts with the first look")
        let before = weft_clock(CLOCK_MONOTONIC)
        var received = bench.receive(slow).count
        let after = weft_clock(CLOCK_MONOTONIC)
        #expect((before + 333_333_334...after + 333_333_334).contains(slow.nextFrameDue))
        while received < 2 {
            let due = slow.nextFrameDue
            let count = bench.receive(slow).count
            if count > 0 { #expect(weft_clock(CLOCK_MONOTONIC) >= due, "no frame comes before it is due") }
            received += count
        }
        #expect(slow.nextFrameDue == .max)
    }
}
