import ArgumentParser
import Base
import Control
import Dataplane
import FlowCache
import Foundation
import Logging

struct WeftReplay: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weft-replay",
        abstract: "Replays pcap files through the switch's dataplane inside one process and tells how fast it was.",
        discussion: """
            Without --setup there is one bridge br0 (fail-mode secure) with port 1 = p0, fed by --rx FILE, and port 2 = \
            p1, which swallows or writes --tx p1=FILE. Needs no root, no daemon and no network device.
            """,
        version: "weft-replay (Weft) \(Control.version)")

    @Option(
        parsing: .singleValue,
        help: ArgumentHelp(
            "Frames to receive; without PORT on p0. May be given several times.", valueName: "[port=]file"))
    var rx: [String] = []
    @Option(
        parsing: .singleValue,
        help: ArgumentHelp("Where to write the frames sent on a port.", valueName: "port=file"))
    var tx: [String] = []
    @Option(help: ArgumentHelp("Flows for br0, as for ovs-ofctl add-flows; read after the setup.", valueName: "file"))
    var flows: String?
    @Option(help: ArgumentHelp("weftctl commands, one a line, instead of the default bridge.", valueName: "file"))
    var setup: String?
    @Flag(help: "Play the files again and again.")
    var loop = false
    @Option(help: ArgumentHelp("Stop after so long (with --loop; default 5).", valueName: "s"))
    var seconds: Double?
    @Option(help: ArgumentHelp("Stop after so many frames.", valueName: "n"))
    var count: UInt64?
    @Option(help: ArgumentHelp("Leave the first so many seconds out of the figures.", valueName: "s"))
    var warmup = 0.0
    @Option(help: ArgumentHelp("Number of workers (default: 1).", valueName: "n"))
    var workers: Int?
    @Option(help: ArgumentHelp("Cores to pin the workers to, as in 1,3-5.", valueName: "list"))
    var cores: String?
    @Option(help: ArgumentHelp("Frames that go through the caches together.", valueName: "n"))
    var burst = 32
    @Option(help: "Which caches answer before the slow path does: all, megaflow or none.")
    var cache = "all"
    @Flag(help: "Answer as one JSON object.")
    var json = false

    func validate() throws {
        guard FlowCacheConfiguration.Levels(rawValue: cache) != nil else {
            throw ValidationError("--cache takes all, megaflow or none, not \"\(cache.echoed)\"")
        }
        if let workers, !(1...256).contains(workers) { throw ValidationError("--workers takes 1 to 256") }
        if !(1...FlowCacheLimits.maximumBurst).contains(burst) {
            throw ValidationError("--burst takes 1 to \(FlowCacheLimits.maximumBurst)")
        }
        if seconds != nil, count != nil { throw ValidationError("--seconds and --count exclude each other") }
        if let seconds, seconds <= 0 { throw ValidationError("--seconds takes a positive number") }
        if warmup < 0 { throw ValidationError("--warmup takes a positive number") }
        if rx.isEmpty { throw ValidationError("nothing to replay: --rx FILE is missing") }
    }

    func run() throws {
        LogOutput.bootstrap(level: .warning)
        var plan = ReplayPlan()
        plan.receive = try rx.map { try FileOfPort($0, defaultPort: "p0") }
        plan.transmit = try tx.map { try FileOfPort($0, defaultPort: nil) }
        plan.setupFile = setup
        plan.flowFile = flows
        plan.loops = loop
        plan.seconds = seconds ?? (loop && count == nil ? 5 : nil)
        plan.count = count
        plan.warmup = warmup
        plan.options.burst = burst
        plan.options.cache.levels = FlowCacheConfiguration.Levels(rawValue: cache) ?? .all
        if let cores {
            plan.options.cores = try CoreList.parse(cores)
            plan.options.workers = workers ?? plan.options.cores.count
        } else {
            plan.options.workers = workers ?? 1
        }
        let report = try Replay(plan).run()
        print(json ? report.json : report.text)
    }
}

do {
    let replay = try WeftReplay.parse()
    try replay.run()
} catch {
    // Wrong usage is 2 in all of the switch's programs.
    guard WeftReplay.exitCode(for: error) == .validationFailure else { WeftReplay.exit(withError: error) }
    FileHandle.standardError.write(Data((WeftReplay.fullMessage(for: error) + "\n").utf8))
    exit(2)
}
