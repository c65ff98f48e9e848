import ArgumentParser
import Base
import Control
import Foundation
import Logging

extension Configuration.Cache: ExpressibleByArgument {}

struct Weftd: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "weftd", abstract: "The virtual switch: forwards packets, and takes commands from weftctl.",
        discussion: """
            Runs in the foreground and logs to standard error. SIGTERM and SIGINT stop it, SIGHUP reloads the \
            configuration file. Network devices need CAP_NET_RAW and CAP_NET_ADMIN; nothing needs root.
            """,
        version: "weftd (Weft) \(Control.version)")

    @Option(help: ArgumentHelp("Configuration to start with, read again on SIGHUP.", valueName: "file"))
    var config: String?
    @Option(
        help: ArgumentHelp(
            "Control socket (default: $WEFT_CONTROL or \(Control.defaultSocketPath)).", valueName: "path"))
    var control: String?
    @Option(help: ArgumentHelp("Number of workers (default: 1).", valueName: "n"))
    var workers: Int?
    @Option(help: ArgumentHelp("One worker on each of these cores, as in 1,3-5.", valueName: "list"))
    var cores: String?
    @Option(help: ArgumentHelp("File for the process number, locked while the switch runs.", valueName: "file"))
    var pidfile: String?
    @Option(help: ArgumentHelp("trace, debug, info, notice (default), warning, error or critical.", valueName: "level"))
    var logLevel: String?
    @Option(help: "Which caches answer before the slow path does (default: all).")
    var cache: Configuration.Cache?
    @Flag(help: "Time stands still but for the command time/warp.")
    var virtualTime = false

    func validate() throws {
        if let logLevel, LogOutput.level(named: logLevel) == nil {
            throw ValidationError("unknown log level \"\(logLevel.echoed)\"")
        }
        do throws(SettingError) { _ = try cores.map(Configuration.cores) } catch {
            throw ValidationError("--cores: \(error)")
        }
        if let control, control.isEmpty { throw ValidationError("--control needs a path") }
        if let workers, !(1...256).contains(workers) { throw ValidationError("--workers takes 1 to 256") }
        if workers != nil, cores != nil { throw ValidationError("--workers and --cores exclude each other") }
    }

    func run() throws {
        LogOutput.bootstrap(level: .notice)
        var options = Daemon.Options()
        let environment = getenv(Control.socketEnvironmentVariable).map { String(cString: $0) }
        options.controlPath = control ?? environment.flatMap { $0.isEmpty ? nil : $0 }
        options.workers = workers
        options.cores = try cores.map(Configuration.cores)
        options.cache = cache
        options.logLevel = logLevel
        options.isTimeVirtual = virtualTime
        options.configurationFile = config
        options.processFile = pidfile
        let status = Daemon(options).run()
        if status != 0 { throw ExitCode(status) }
    }
}

do {
    let weftd = try Weftd.parse()
    try weftd.run()
} catch {
    // Wrong usage is 2 in all of the switch's programs.
    guard Weftd.exitCode(for: error) == .validationFailure else { Weftd.exit(withError: error) }
    FileHandle.standardError.write(Data((Weftd.fullMessage(for: error) + "\n").utf8))
    exit(2)
}
