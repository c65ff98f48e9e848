import Base
import Conntrack
import Dataplane
import FlowCache
import Foundation
import Glibc
import Logging
import Pipeline
import Ports

/// The life of a `weftd`: start, commands, signals, stop.
///
/// Made and run on the main thread, which afterwards only waits for signals. They are blocked in every thread that is
/// started later, so this comes first in the process.
public final class Daemon: @unchecked Sendable {
    /// What the command line says; nil leaves it to the configuration file or the default.
    public struct Options: Sendable {
        public var controlPath: String?
        public var configurationFile: String?
        public var processFile: String?
        public var workers: Int?
        public var cores: [Int]?
        public var cache: Configuration.Cache?
        public var logLevel: String?
        public var isTimeVirtual = false
        public var limits = ControlLimits()

        public init() {}
    }

    /// Why the switch cannot run.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private let options: Options
    private let logger = Logger(label: "weftd")
    private let notifier = ServiceNotifier(environment: ProcessInfo.processInfo.environment)
    private static let signals: [CInt] = [SIGTERM, SIGINT, SIGHUP]

    public init(_ options: Options) {
        Self.blockSignals()
        signal(SIGPIPE, SIG_IGN)
        Privileges.raiseFileLimit()
        self.options = options
    }

    /// Serves until told to stop; the exit status of the process.
    public func run() -> Int32 {
        do {
            let configuration = try options.configurationFile.map { file throws(ConfigurationError) in
                try Configuration(file: file)
            }
            setLogLevel(configuration)
            for capability in Privileges.missing() {
                logger.warning("without \(capability.name): no \(capability.purpose); pcap, null and patch ports work")
            }
            let processFile = try options.processFile.map { path throws(ProcessFile.Failure) in
                try ProcessFile(path: path)
            }
            defer { processFile?.remove() }
            try serve(configuration ?? Configuration())
            return 0
        } catch {
            logger.critical("\(error)")
            return 1
        }
    }

    private func serve(_ configuration: Configuration) throws {
        let device = try Switch(switchOptions(configuration), log: Logger(label: "switch"))
        let thread = ControlThread()
        defer { thread.stop() }
        let commands = UncheckedBox(SwitchCommands(device))
        let registry = UncheckedBox(CommandRegistry())
        defer {
            thread.wait {
                commands.value.configured.stopChecks()
                commands.value.device.stop()
            }
        }
        try start(commands, registry, configuration, thread)
        let path = options.controlPath ?? configuration.control ?? Control.defaultSocketPath
        let server = try ControlServer(
            path: path, limits: options.limits, thread: thread, logger: Logger(label: "control")
        ) { registry.value.begin($0) }
        logger.notice("weftd \(Control.version) answers at \(path)")
        notifier.ready(status: "Running")
        waitForStop(thread, commands)
        notifier.stopping()
        server.stop()
        logger.notice("stopped")
    }

    private func start(
        _ commands: UncheckedBox<SwitchCommands>, _ registry: UncheckedBox<CommandRegistry>,
        _ configuration: Configuration, _ thread: ControlThread
    ) throws {
        let failure = thread.wait { [self, weak thread] () -> String? in
            watchDevices(commands, thread)
            do throws(SwitchError) { try commands.value.device.start() } catch { return error.description }
            commands.value.bind(to: registry.value)
            bindProcessCommands(registry.value)
            var process = Configuration()
            process.control = configuration.control
            process.workers = configuration.workers
            process.cores = configuration.cores
            process.cache = configuration.cache
            process.logLevel = configuration.logLevel
            commands.value.processConfiguration = process
            do throws(CommandError) { try commands.value.load(configuration) } catch {
                return "\(options.configurationFile ?? "configuration"): \(error)"
            }
            return nil
        }
        if let failure { throw Failure(description: failure) }
        // Waking for the first learned rule, instead of at the next period, shortens the time that a rule takes.
        commands.value.device.model.learnQueue.onFirst { [weak thread] in
            thread?.submit { commands.value.device.drainRequests() }
        }
        commands.value.configured.onHealthChange { [weak thread] in
            thread?.submit { commands.value.configured.applyHealth() }
        }
        let watchdogEvery = notifier.watchdogInterval.map { max(1, Int($0 / Switch.tickPeriod)) }
        var rounds = 0
        nonisolated(unsafe) let round: () -> Int = {
            rounds += 1
            return rounds
        }
        thread.every(seconds: Switch.tickPeriod) { [notifier, weak thread] in
            if commands.value.device.tick() { Self.goOn(with: commands, on: thread) }
            commands.value.endFinishedCaptures()
            if let watchdogEvery, round() % watchdogEvery == 0 { notifier.watchdog() }
        }
    }

    /// Goes on with the work for connections, and lets others be served in between.
    private static func goOn(with commands: UncheckedBox<SwitchCommands>, on thread: ControlThread?) {
        thread?.submit { [weak thread] in
            if commands.value.device.upkeepConnections() { goOn(with: commands, on: thread) }
        }
    }

    /// Before any port is opened, so that no change goes unheard.
    private func watchDevices(_ commands: UncheckedBox<SwitchCommands>, _ thread: ControlThread?) {
        do throws(PortError) {
            try commands.value.device.watchDevices { [weak thread] in
                thread?.submit { commands.value.device.followDevices() }
            }
        } catch {
            logger.warning("network devices are looked at twice a second, for the kernel does not tell: \(error)")
        }
    }

    private func switchOptions(_ configuration: Configuration) -> Switch.Options {
        var result = Switch.Options()
        if let cores = options.cores ?? (options.workers == nil ? configuration.cores : nil) {
            result.cores = cores
            result.workers = cores.count
        } else {
            result.workers = options.workers ?? configuration.workers ?? 1
        }
        switch options.cache ?? configuration.cache ?? .all {
        case .all: result.cache.levels = .all
        case .megaflow: result.cache.levels = .megaflow
        case .none: result.cache.levels = .none
        }
        result.cache.flowLimit = configuration.settings.flowLimit
        result.cache.maximumIdle = UInt64(configuration.settings.maximumIdle)
        let connections = configuration.tracking.settings.maximumConnections
        result.tracking.limit = connections
        result.tracking.capacity = max(result.tracking.capacity, connections)
        result.isTimeVirtual = options.isTimeVirtual
        return result
    }

    private func setLogLevel(_ configuration: Configuration?) {
        if let level = (options.logLevel ?? configuration?.logLevel).flatMap({ LogOutput.level(named: $0) }) {
            LogOutput.level = level
        }
    }

    // MARK: Commands of the process

    private func bindProcessCommands(_ registry: CommandRegistry) {
        registry.bind("version") { _ throws(CommandError) in
            CommandResult(
                text: { "weftd (Weft) \(Control.version)\n" },
                json: { ["program": "weftd", "version": .string(Control.version)] })
        }
        registry.bind("log/set") { invocation throws(CommandError) in
            try LogOutput.set(level: invocation.arguments[0], for: "log/set")
            return .done
        }
        registry.bind("vlog/set") { invocation throws(CommandError) in
            // ovs-appctl(8): a module, a destination and a level, in any order. Here all modules have one level.
            let words = invocation.arguments[0].split { $0 == ":" || $0 == "," || $0 == " " }.map(String.init)
            let levels = words.filter { $0.lowercased() != "any" && $0.lowercased() != "console" }
            guard levels.count == 1 else {
                throw .refused(
                    "vlog/set: expected one level, found \"\(invocation.arguments[0].echoed)\"; all modules have the same, "
                        + "and logs go to standard error (console) alone")
            }
            try LogOutput.set(level: levels[0], for: "vlog/set")
            return .done
        }
        registry.bind("exit") { _ throws(CommandError) in
            // The main thread waits for it, whichever thread it is sent from.
            kill(getpid(), SIGTERM)
            return .done
        }
    }

    // MARK: Signals

    private func waitForStop(_ thread: ControlThread, _ commands: UncheckedBox<SwitchCommands>) {
        var set = Self.signalSet()
        while true {
            var number: CInt = 0
            guard sigwait(&set, &number) == 0 else { continue }
            guard number == SIGHUP else { return }
            notifier.reloading()
            thread.wait { [self] in reload(commands.value) }
            notifier.ready(status: "Running")
        }
    }

    /// Reads the configuration file again. With any error in it, everything stays as it is.
    private func reload(_ commands: SwitchCommands) {
        guard let file = options.configurationFile else {
            logger.notice("SIGHUP: there is no configuration file to read again")
            return
        }
        do {
            try commands.load(try Configuration(file: file))
            logger.notice("read \(file) again")
        } catch {
            logger.error("\(file) is not applied: \(error)")
        }
    }

    private static func signalSet() -> sigset_t {
        var set = sigset_t()
        sigemptyset(&set)
        for number in signals { sigaddset(&set, number) }
        return set
    }

    private static func blockSignals() {
        var set = signalSet()
        pthread_sigmask(SIG_BLOCK, &set, nil)
    }
}

/// Hands an object over to the control thread, which alone uses it from then on.
struct UncheckedBox<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}
