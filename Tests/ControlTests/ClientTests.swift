import Control
import Foundation
import Testing

/// What `weftctl` does, against a registry with two commands.
@Suite(.serialized) struct ClientTests {
    private func withServer(_ body: (CommandLineClient) throws -> Void, input: String = "") throws {
        let scratch = Scratch()
        let thread = ControlThread()
        defer { thread.stop() }
        let registry = Box(CommandRegistry())
        registry.value.bind("version") { _ throws(CommandError) in
            CommandResult(text: { "1" }, json: { ["version": "1"] })
        }
        registry.value.bind("add-flows") { invocation throws(CommandError) in
            CommandResult(invocation.arguments.joined(separator: "|") + "|" + (invocation.protocolVersions ?? ""))
        }
        registry.value.bind("del-br") { _ throws(CommandError) in throw .refused("no") }
        registry.value.bind("add-port") { invocation throws(CommandError) in
            CommandResult(invocation.arguments.joined(separator: "|"))
        }
        let path = scratch.file("sock")
        let server = try ControlServer(path: path, thread: thread, logger: quiet) { registry.value.execute($0) }
        defer { server.stop() }
        try body(CommandLineClient(path: path, wantsJSON: false) { bytes(input) })
    }

    private final class Box: @unchecked Sendable {
        let value: CommandRegistry
        init(_ value: CommandRegistry) { self.value = value }
    }

    @Test func exitStatus() throws {
        try withServer { client in
            let done = client.run("version", [])
            #expect(done.status == .done && done.output == "1\n" && done.error.isEmpty)
            let refused = client.run("del-br", ["br0"])
            #expect(refused.status == .refused && refused.error == "no")
            #expect(client.run("del-br", []).status == .wrongUsage)
            #expect(client.run("version", ["--bogus"]).status == .wrongUsage)
            #expect(client.run("nonsense", []).status == .wrongUsage)
            #expect(client.run("del-br", ["--help"]).output.contains("usage: del-br"))
            var json = client
            json.wantsJSON = true
            #expect(json.run("version", []).output == "{\n  \"version\": \"1\"\n}\n")
            json.path += "x"
            #expect(json.run("version", []).status == .noSwitch)
            #expect(json.run("nonsense", []).status == .wrongUsage)
            // A path that no socket can have is a mistake of the command line.
            json.path = ""
            #expect(json.run("version", []).status == .wrongUsage)
            json.path = "/" + String(repeating: "a", count: 200)
            #expect(json.run("version", []).status == .wrongUsage)
        }
    }

    @Test func filesAreSentAlong() throws {
        let scratch = Scratch()
        let file = scratch.write("flows", "--actions=drop\n")
        try withServer(
            { client in
                #expect(client.run("add-flows", ["br0", "-"]).output == "br0|-|from stdin|\n")
                #expect(client.run("add-flows", ["br0", file]).output == "br0|\(file)|--actions=drop\n|\n")
                #expect(
                    client.run("add-flows", ["-O", "OpenFlow10", "br0", "-"]).output == "br0|-|from stdin|OpenFlow10\n")
                let missing = client.run("add-flows", ["br0", scratch.file("none")])
                #expect(missing.status == .refused)
                #expect(missing.error == scratch.file("none") + ": No such file or directory")
                #expect(client.run("add-flows", ["br0", scratch.path]).error == scratch.path + ": is a directory")
            }, input: "from stdin")
    }

    @Test func relativeFilesAreMeantFromHere() throws {
        try withServer { client in
            let here = FileManager.default.currentDirectoryPath
            let output = client.run("add-port", ["br0", "p0", "type=pcap", "rx=in.pcap", "tx=/out.pcap"]).output
            #expect(output == "br0|p0|type=pcap|rx=\(here)/in.pcap|tx=/out.pcap\n")
        }
    }
}
