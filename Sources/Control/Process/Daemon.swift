import Foundation
import Glibc
import Logging

/// The life of a `weftd`: start, commands, signals, stop.
///
/// `run` is for the main thread, which afterwards only waits for signals. They are blocked in every other thread, so it
/// has to come first in the process.
public final class Daemon: @unchecked Sendable {
    public struct Options: Sendable {
        public var controlPath = Control.defaultSocketPath
        public var configurationFile: String?
        public var processFile: String?
        public var limits = ControlLimits()

        public init() {}
    }

    private let options: Options
    private let logger = Logger(label: "weftd")
    private let notifier = ServiceNotifier(environment: ProcessInfo.processInfo.environment)
    private let thread: ControlThread

    private static let signals: [CInt] = [SIGTERM, SIGINT, SIGHUP]

    public init(_ options: Options) {
        Self.blockSignals()
        signal(SIGPIPE, SIG_IGN)
        Privileges.raiseFileLimit()
        self.options = options
        thread = ControlThread()
    }

    /// Serves until told to stop; the exit status of the process.
    public func run() -> Int32 {
        for capability in Privileges.missing() {
            logger.warning("without \(capability.name): no \(capability.purpose); pcap, null and patch ports work")
        }
        do {
            let processFile = try options.processFile.map { path throws(ProcessFile.Failure) in
                try ProcessFile(path: path)
            }
            defer { processFile?.remove() }
            let registry = UncheckedBox(CommandRegistry())
            bindProcessCommands(registry.value)
            let server = try ControlServer(
                path: options.controlPath, limits: options.limits, thread: thread, logger: Logger(label: "control")
            ) { registry.value.execute($0) }
            logger.notice("weftd \(Control.version) answers at \(options.controlPath)")
            notifier.ready(status: "Running")
            if let interval = notifier.watchdogInterval {
                thread.every(seconds: interval) { [notifier] in notifier.watchdog() }
            }
            waitForStop()
            notifier.stopping()
            server.stop()
            thread.stop()
            logger.notice("stopped")
            return 0
        } catch {
            logger.critical("\(error)")
            return 1
        }
    }

    private func bindProcessCommands(_ registry: CommandRegistry) {
        registry.bind("version") { _ throws(CommandError) in
            CommandResult(
                text: { "weftd (Weft) \(Control.version)\n" },
                json: { ["program": "weftd", "version": .string(Control.version)] })
        }
        registry.bind("log/set") { invocation throws(CommandError) in
            guard let level = LogOutput.level(named: invocation.arguments[0]) else {
                let names = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
                throw .refused("log/set: unknown level \"\(invocation.arguments[0])\", expected one of \(names)")
            }
            LogOutput.level = level
            return .done
        }
        registry.bind("exit") { _ throws(CommandError) in
            // The main thread waits for it, whichever thread it is sent from.
            kill(getpid(), SIGTERM)
            return .done
        }
    }

    private func waitForStop() {
        var set = Self.signalSet()
        while true {
            var number: CInt = 0
            guard sigwait(&set, &number) == 0 else { continue }
            if number != SIGHUP { return }
            notifier.reloading()
            notifier.ready(status: "Running")
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
