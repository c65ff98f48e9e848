import Base
import CLinux
import Dataplane
import Flow
import FlowCache
import Foundation
import Logging
import Pipeline
import Ports

/// One replay: builds a switch from commands, feeds it from files, watches its counters.
public final class Replay {
    private let plan: ReplayPlan
    private let log = Logger(label: "replay")
    private let device: Switch
    private let registry = CommandRegistry()
    private let commands: SwitchCommands

    public init(_ plan: ReplayPlan) throws(ReplayError) {
        self.plan = plan
        do throws(SwitchError) { device = try Switch(plan.options, log: log) } catch {
            throw ReplayError(error.description)
        }
        commands = SwitchCommands(device, log: log)
        commands.configured.checksHealth = false
        commands.bind(to: registry)
    }

    /// Sets up, plays, and tells what came of it.
    public func run() throws(ReplayError) -> ReplayReport {
        try setUp()
        for file in plan.transmit { try divert(file) }
        for file in plan.receive { try feed(file) }
        defer { device.stop() }
        var before = reading()
        var clock = weft_monotonic_nanoseconds()
        do throws(SwitchError) { try device.start() } catch { throw ReplayError(error.description) }
        if plan.warmup > 0 {
            _ = wait(until: clock + UInt64(plan.warmup * 1e9))
            before = reading()
            clock = weft_monotonic_nanoseconds()
        }
        let end = wait(until: plan.seconds.map { clock + UInt64($0 * 1e9) } ?? .max)
        return report(before, reading(), Double(end - clock) / 1e9)
    }

    // MARK: Setting up

    private func setUp() throws(ReplayError) {
        if let file = plan.setupFile {
            try runCommands(from: file)
        } else {
            try command(["add-br", "br0", "fail-mode=secure", "local=none"])
            try command(["add-port", "br0", "p0", "type=null", "ofport=1"])
            try command(["add-port", "br0", "p1", "type=null", "ofport=2"])
        }
        if let flows = plan.flowFile { try command(["add-flows", "--", "br0", flows, try Self.text(of: flows)]) }
    }

    private func runCommands(from file: String) throws(ReplayError) {
        for (number, line) in try Self.text(of: file).split(separator: "\n", omittingEmptySubsequences: false)
            .enumerated()
        {
            do {
                let words = try ShellWords.split(line)
                if !words.isEmpty { try command(words) }
            } catch {
                throw ReplayError("\(file):\(number + 1): \(error)")
            }
        }
    }

    /// Also of a pipe, as a shell makes them for `<(...)`.
    private static func text(of file: String) throws(ReplayError) -> String {
        do throws(FileError) {
            return String(decoding: try FileText.read(file, anyKind: true), as: UTF8.self)
        } catch {
            throw ReplayError(error.description)
        }
    }

    private func command(_ words: [String]) throws(ReplayError) {
        let response = registry.execute(Request(method: words[0], parameters: Array(words.dropFirst()), id: .null))
        if let error = response.error { throw ReplayError("\(words[0]): \(error)") }
    }

    private func index(of name: String) throws(ReplayError) -> PortIndex {
        guard let port = device.model.state.port(named: name) else {
            throw ReplayError("there is no port \(name.echoed)")
        }
        return port.index
    }

    private func open(_ name: String, _ keys: [String: String], limit: UInt64? = nil) throws(ReplayError) -> Ports.Port
    {
        do throws(PortError) {
            var options = try PortOptions(port: name, type: .pcap, options: keys)
            options.frameLimit = limit
            options.readsPipes = true
            return try Ports.Port.open(name: name, options: options, log: log)
        } catch {
            throw ReplayError("\(error)")
        }
    }

    private func feed(_ file: FileOfPort) throws(ReplayError) {
        let index = try index(of: file.port)
        var options = ["rx": file.file, "loop": plan.loops ? "yes" : "no"]
        if plan.options.workers > 1 { options["queues"] = "\(plan.options.workers)" }
        device.feed(index, from: try open(file.port, options, limit: plan.count))
    }

    private func divert(_ file: FileOfPort) throws(ReplayError) {
        let index = try index(of: file.port)
        let port = try open(file.port, ["tx": file.file])
        do throws(SwitchError) { try device.divert(index, to: port) } catch { throw ReplayError(error.description) }
    }

    // MARK: Playing

    /// Until then, or until there is nothing more to receive and all is out; when that was, in monotonic nanoseconds.
    private func wait(until end: UInt64) -> UInt64 {
        var last: UInt64 = 0
        var lastNews = weft_monotonic_nanoseconds()
        var nextTick: UInt64 = 0
        while true {
            let now = weft_monotonic_nanoseconds()
            if now >= end { return now }
            if now >= nextTick {
                _ = device.tick()
                nextTick = now + UInt64(Switch.tickPeriod * 1e9)
            } else {
                device.drainRequests()
                if device.owesUpkeep { _ = device.upkeepConnections() }
            }
            // Workers count a frame when what it caused has been sent.
            let processed = device.processedFrames
            if processed != last {
                last = processed
                lastNews = now
            } else if device.allReceiversFinished, processed >= device.receivedFrames {
                return lastNews
            }
            usleep(UInt32(min((end - now) / 1000 + 1, 250)))
        }
    }

    private struct Reading {
        var received: PortStatistics
        var balance: Balance
        var cache: CacheSummary
        var busyCycles: UInt64 = 0
        var slowPathPackets: UInt64 = 0
        var slowPathCycles: UInt64 = 0
    }

    private func reading() -> Reading {
        var reading = Reading(
            received: device.receivedStatistics, balance: device.balance, cache: device.cacheSummary)
        for counters in device.workers.map(\.counters) {
            reading.busyCycles &+= counters[.busyCycles]
            reading.slowPathPackets &+= counters[.slowPathPackets]
            reading.slowPathCycles &+= counters[.slowPathCycles]
        }
        return reading
    }

    private func report(_ before: Reading, _ after: Reading, _ seconds: Double) -> ReplayReport {
        var report = ReplayReport()
        report.packets = after.received.packets &- before.received.packets
        report.bytes = after.received.bytes &- before.received.bytes
        report.seconds = seconds
        report.busyCycles = after.busyCycles &- before.busyCycles
        report.workers = device.workers.count
        report.cache = after.cache - before.cache
        report.forwarded = after.balance.sent &- before.balance.sent
        for (reason, count) in after.balance.drops {
            let drops = count &- before.balance.drops[reason, default: 0]
            if drops > 0 { report.drops[reason] = drops }
        }
        report.slowPathPackets = after.slowPathPackets &- before.slowPathPackets
        report.slowPathSeconds =
            Double(after.slowPathCycles &- before.slowPathCycles) / Double(Worker.cyclesPerMillisecond) / 1000
        report.latency = device.latency([0.5, 0.99, 0.999])
        return report
    }
}

extension CacheSummary {
    /// What happened since an earlier reading; sizes are those of now.
    static func - (now: CacheSummary, before: CacheSummary) -> CacheSummary {
        var difference = now
        difference.sessionHits &-= before.sessionHits
        difference.sessionsRefused &-= before.sessionsRefused
        difference.sessionsMade &-= before.sessionsMade
        difference.sessionsUnfit &-= before.sessionsUnfit
        difference.sessionsEvicted &-= before.sessionsEvicted
        difference.exactHits &-= before.exactHits
        difference.signatureHits &-= before.signatureHits
        difference.megaflowHits &-= before.megaflowHits
        difference.misses &-= before.misses
        difference.tupleProbes &-= before.tupleProbes
        return difference
    }
}
