import Base
import CLinux
import Foundation
import Glibc
import Logging
import Synchronization

/// The log of the switch: lines on standard error, each `TIME LEVEL MODULE: message`.
///
/// Under systemd (which says so in `JOURNAL_STREAM`) the journal has its own time stamps, and a line begins with
/// its priority as sd-daemon(3) has it.
public enum LogOutput {
    private static let current = Atomic<Int>(rank(.notice))
    private static let isJournal = ProcessInfo.processInfo.environment["JOURNAL_STREAM"] != nil

    /// Lines below this level are not written. Any thread.
    public static var level: Logger.Level {
        get { Logger.Level.allCases[current.load(ordering: .relaxed)] }
        set { current.store(rank(newValue), ordering: .relaxed) }
    }

    /// Makes all loggers of the process write here. Once, before the first logger is made.
    public static func bootstrap(level: Logger.Level) {
        self.level = level
        LoggingSystem.bootstrap { Handler(module: $0) }
    }

    /// A level by name, as `log/set` and `--log-level` take it: those of swift-log, and OVS's of vlog.
    public static func level(named name: String) -> Logger.Level? {
        switch name.lowercased() {
        case "warn": .warning
        case "err": .error
        case "dbg": .debug
        case "emer": .critical
        case let name: Logger.Level(rawValue: name)
        }
    }

    /// Sets the level that a command names.
    static func set(level name: String, for command: String) throws(CommandError) {
        guard let level = level(named: name) else {
            let names = Logger.Level.allCases.map(\.rawValue).joined(separator: ", ")
            throw .refused("\(command): unknown level \"\(name.echoed)\", expected one of \(names)")
        }
        self.level = level
    }

    private static func rank(_ level: Logger.Level) -> Int { Logger.Level.allCases.firstIndex(of: level) ?? 0 }

    /// Severity of syslog(3).
    private static func priority(_ level: Logger.Level) -> Int {
        switch level {
        case .trace, .debug: 7
        case .info: 6
        case .notice: 5
        case .warning: 4
        case .error: 3
        case .critical: 2
        }
    }

    static func write(_ level: Logger.Level, _ module: String, _ message: String) {
        let prefix = isJournal ? "<\(priority(level))>" : time() + " "
        // One write a line, so that lines of several threads do not mix.
        let line = prefix + "\(level.rawValue.uppercased()) \(module): \(message.printable())\n"
        _ = Array(line.utf8).withUnsafeBytes { Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
    }

    /// RFC 3339, UTC, milliseconds.
    private static func time() -> String {
        let now = weft_clock(CLOCK_REALTIME)
        var parts = tm()
        var seconds = time_t(now / 1_000_000_000)
        gmtime_r(&seconds, &parts)
        func padded(_ value: some BinaryInteger, _ width: Int) -> String {
            let digits = String(value)
            return String(repeating: "0", count: max(0, width - digits.count)) + digits
        }
        let date = "\(padded(parts.tm_year + 1900, 4))-\(padded(parts.tm_mon + 1, 2))-\(padded(parts.tm_mday, 2))"
        let clock = "\(padded(parts.tm_hour, 2)):\(padded(parts.tm_min, 2)):\(padded(parts.tm_sec, 2))"
        return "\(date)T\(clock).\(padded(now % 1_000_000_000 / 1_000_000, 3))Z"
    }

    private struct Handler: LogHandler {
        let module: String
        var metadata = Logger.Metadata()
        var metadataProvider: Logger.MetadataProvider?

        init(module: String) { self.module = module }

        var logLevel: Logger.Level {
            get { LogOutput.level }
            set {}
        }

        subscript(metadataKey key: String) -> Logger.Metadata.Value? {
            get { metadata[key] }
            set { metadata[key] = newValue }
        }

        func log(event: LogEvent) {
            var message = event.message.description
            let all = metadata.merging(event.metadata ?? [:]) { $1 }
            for (key, value) in all.sorted(by: { $0.key < $1.key }) { message += " \(key)=\(value)" }
            LogOutput.write(event.level, module, message)
        }
    }
}
