import Control
import Foundation
import Testing

/// The programs themselves, as processes.
@Suite(.serialized) struct DaemonTests {
    /// Where the programs were built: beside the tests.
    private static let directory: String = {
        let tests = CommandLine.arguments.first { $0.hasSuffix(".xctest") } ?? CommandLine.arguments[0]
        return URL(fileURLWithPath: tests).deletingLastPathComponent().path
    }()

    private static func has(_ program: String) -> Bool {
        FileManager.default.isExecutableFile(atPath: directory + "/" + program)
    }

    private struct Outcome {
        let status: Int32
        let output: String
        let error: String
    }

    private final class Program {
        let process = Process()
        private let output = Pipe()
        private let error = Pipe()

        init(_ path: String, _ arguments: [String], environment: [String: String] = [:]) throws {
            process.executableURL = URL(
                fileURLWithPath: path.hasPrefix("/") ? path : DaemonTests.directory + "/" + path)
            process.arguments = arguments
            process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
            process.standardOutput = output
            process.standardError = error
            process.standardInput = FileHandle.nullDevice
            try process.run()
        }

        func finish() -> Outcome {
            let text = output.fileHandleForReading.readDataToEndOfFile()
            let errors = error.fileHandleForReading.readDataToEndOfFile()
            process.waitUntilExit()
            return Outcome(
                status: process.terminationStatus, output: String(decoding: text, as: UTF8.self),
                error: String(decoding: errors, as: UTF8.self))
        }
    }

    private static func run(_ path: String, _ arguments: String...) throws -> Outcome {
        try Program(path, arguments).finish()
    }

    /// A running weftd that has said READY.
    private final class Daemon {
        let scratch = Scratch()
        let program: Program
        let manager: DatagramReceiver
        var control: String { scratch.file("sock") }

        init(_ arguments: [String] = [], configuration: String? = nil) throws {
            manager = try DatagramReceiver(scratch.file("notify"))
            var all = ["--control", scratch.file("sock"), "--virtual-time"] + arguments
            if let configuration { all += ["--config", scratch.write("weft.yaml", configuration)] }
            program = try Program("weftd", all, environment: ["NOTIFY_SOCKET": scratch.file("notify")])
            #expect(manager.wait(for: "READY=1"))
        }

        func stop() -> Outcome {
            program.process.terminate()
            #expect(manager.wait(for: "STOPPING=1"))
            return program.finish()
        }
    }

    private static let configuration = """
        bridges:
          - name: br0
            local: none
            ports: [{name: p1, type: "null"}, {name: p2, type: "null", tag: 4}]
        """

    @Test(.enabled(if: has("weftd") && has("weftctl"))) func life() throws {
        let daemon = try Daemon(configuration: Self.configuration)
        func ctl(_ arguments: String...) throws -> Outcome {
            try Program("weftctl", ["--control", daemon.control] + arguments).finish()
        }
        #expect(try ctl("list-ports", "br0").output == "p1\np2\n")
        #expect(try ctl("--json", "list-br").output == "[\n  \"br0\"\n]\n")
        let refused = try ctl("add-flow", "br0", "actions=outptu:1")
        #expect(refused.status == 1 && refused.output.isEmpty && refused.error.hasPrefix("weftctl: column"))
        #expect(try ctl("add-flow", "br0").status == 2)
        #expect(try ctl("nonsense").status == 2)
        #expect(try Self.run("weftctl", "--control", daemon.control + "x", "show").status == 3)
        #expect(try Self.run("weftctl", "--bogus").status == 2)
        #expect(try Self.run("weftctl").status == 2)
        // A second one keeps away from the socket.
        let second = try Self.run("weftd", "--control", daemon.control)
        #expect(second.status == 1 && second.error.contains("another switch answers"))
        let end = daemon.stop()
        #expect(end.status == 0 && end.output.isEmpty)
        #expect(!FileManager.default.fileExists(atPath: daemon.control))
    }

    @Test(.enabled(if: has("weftd"))) func reload() throws {
        let daemon = try Daemon(configuration: Self.configuration)
        let client = try ControlClient(path: daemon.control)
        func reload(_ text: String) {
            daemon.scratch.write("weft.yaml", text)
            kill(daemon.program.process.processIdentifier, SIGHUP)
            #expect(daemon.manager.wait(for: "RELOADING=1"))
            #expect(daemon.manager.wait(for: "READY=1"))
        }
        reload(Self.configuration.replacingOccurrences(of: "tag: 4", with: "tag: 5"))
        #expect(try client.call("show", []).result.text.contains("tag: 5"))
        reload(Self.configuration.replacingOccurrences(of: "tag: 4", with: "tag: many"))
        #expect(try client.call("show", []).result.text.contains("tag: 5"))
        let end = daemon.stop()
        #expect(end.status == 0 && end.error.contains("bridges[0].ports[1].tag: expected a number"))
    }

    @Test(.enabled(if: has("weftd"))) func exitByCommand() throws {
        let daemon = try Daemon(["--workers", "2", "--cache", "none"])
        #expect(try ControlClient(path: daemon.control).call("exit", []).error == nil)
        #expect(daemon.program.finish().status == 0)
    }

    @Test(.enabled(if: has("weftd"))) func watchdog() throws {
        let scratch = Scratch()
        let manager = try DatagramReceiver(scratch.file("notify"))
        let program = try Program(
            "weftd", ["--control", scratch.file("sock")],
            environment: ["NOTIFY_SOCKET": scratch.file("notify"), "WATCHDOG_USEC": "400000"])
        #expect(manager.wait(for: "READY=1"))
        #expect(manager.wait(for: "WATCHDOG=1"))
        program.process.terminate()
        #expect(program.finish().status == 0)
    }

    @Test(.enabled(if: has("weftd"))) func refusals() throws {
        let scratch = Scratch()
        let socket = scratch.file("sock")
        #expect(try Self.run("weftd", "--bogus").status == 2)
        #expect(try Self.run("weftd", "--workers", "0").status == 2)
        #expect(try Self.run("weftd", "--log-level", "loud").status == 2)
        #expect(try Self.run("weftd", "--help").status == 0)
        #expect(try Self.run("weftd", "--version").output == "weftd (Weft) \(Control.version)\n")
        let wrong = scratch.write("wrong.yaml", "bridges: [{name: br0, lokal: none}]")
        let outcome = try Self.run("weftd", "--control", socket, "--config", wrong)
        #expect(outcome.status == 1 && outcome.error.contains("bridges[0].lokal: unknown key"))
        let rules = scratch.write("rules.yaml", "bridges: [{name: br0, local: none, flows: 'actions=nowhere'}]")
        #expect(
            try Self.run("weftd", "--control", socket, "--config", rules).error.contains("bridges[0].flows: line 1"))
        #expect(try Self.run("weftd", "--control", "/no/such/directory/sock").status == 1)
        #expect(try Self.run("weftd", "--control", socket, "--cores", "1023").status == 1)
    }

    @Test(.enabled(if: has("weftd") && FileManager.default.isExecutableFile(atPath: "/usr/bin/ovs-appctl")))
    func ovsAppctl() throws {
        let daemon = try Daemon(configuration: Self.configuration)
        func appctl(_ arguments: String...) throws -> Outcome {
            try Program("/usr/bin/ovs-appctl", ["-t", daemon.control] + arguments).finish()
        }
        #expect(try appctl("list-ports", "br0").output == "p1\np2\n")
        #expect(try appctl("list-commands").output.hasPrefix("The available commands are:\n"))
        #expect(try appctl("add-flow", "br0", "in_port=1,actions=output:2").status == 0)
        let refused = try appctl("del-br", "br9")
        #expect(refused.status == 2 && refused.error.contains("no bridge named br9\n"))
        #expect(daemon.stop().status == 0)
    }
}
