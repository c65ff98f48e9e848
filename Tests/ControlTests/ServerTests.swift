import Control
import Foundation
import Glibc
import Testing

@Suite(.serialized) struct ServerTests {
    @Test func answers() throws {
        let server = try TestServer()
        defer { server.stop() }
        let client = try server.client()
        #expect(try client.call("echo", ["a", "é\"\n"]).result == .array([.string("a"), .string("é\"\n")]))
        #expect(try client.call("other", []).error == "no other")
    }

    @Test func fileHasMode0600AndGoes() throws {
        let server = try TestServer()
        var status = stat()
        #expect(lstat(server.path, &status) == 0)
        #expect(status.st_mode & 0o7777 == 0o600)
        server.stop()
        #expect(lstat(server.path, &status) != 0)
    }

    @Test func severalInOneWriteAreAnsweredInOrder() throws {
        let server = try TestServer()
        defer { server.stop() }
        let client = try server.client()
        var stream: [UInt8] = []
        for i in 0..<200 { stream += Request(method: "echo", parameters: ["\(i)"], id: .integer(Int64(i))).bytes }
        try client.send(stream.filter { $0 != 0x0a })
        for i in 0..<200 {
            let answer = try client.receive()
            #expect(answer.id == .integer(Int64(i)))
            #expect(answer.result == .array([.string("\(i)")]))
        }
    }

    @Test func oneRequestInManyWrites() throws {
        let server = try TestServer()
        defer { server.stop() }
        let client = try server.client()
        for byte in Request(method: "echo", parameters: ["slow"], id: 5).bytes { try client.send([byte]) }
        #expect(try client.receive() == Response(id: 5, result: ["slow"]))
    }

    @Test func malformedRequestsAreAnsweredAndTheConnectionLives() throws {
        let server = try TestServer()
        defer { server.stop() }
        let client = try server.client()
        for text in [
            "nonsense\n", "{\"id\":3}\n", "{\"a\":[}\n", "[]", "{\"id\":4,\"method\":\"echo\",\"params\":[1]}",
        ] {
            try client.send(bytes(text))
            #expect(try client.receive().error != nil)
        }
        #expect(try client.call("echo", ["still"]).result == ["still"])
        #expect(server.calls.count == 1)
    }

    @Test func errorKeepsTheID() throws {
        let server = try TestServer()
        defer { server.stop() }
        let client = try server.client()
        try client.send(bytes("{\"id\":\"seven\",\"params\":[]}"))
        #expect(try client.receive().id == "seven")
    }

    @Test func endInTheMiddleOfARequest() throws {
        let server = try TestServer()
        defer { server.stop() }
        let client = try server.client()
        try client.send(Request(method: "echo", parameters: ["whole"], id: 1).bytes + bytes("{\"id\":2,"))
        client.finishSending()
        #expect(try client.receive().result == ["whole"])
        #expect(try client.receive().error == "connection ended in the middle of a request")
        #expect(throws: ControlClientError.self) { try client.receive() }
    }

    @Test func hugeRequestAndAnswer() throws {
        let server = try TestServer()
        defer { server.stop() }
        let client = try server.client()
        let text = String(repeating: "flow\n", count: 400_000)
        #expect(try client.call("echo", [text]).result == .array([.string(text)]))
    }

    @Test func tooLongARequestIsRefused() throws {
        var limits = ControlLimits()
        limits.requestBytes = 10_000
        let server = try TestServer(limits: limits)
        defer { server.stop() }
        let client = try server.client()
        #expect(
            try client.call("echo", [String(repeating: "x", count: 20_000)]).error
                == "request is longer than 10000 bytes")
        #expect(try client.call("echo", ["short"]).result == ["short"])
    }

    @Test func memoryForHalfRequestsIsBounded() throws {
        var limits = ControlLimits()
        limits.heldBytes = 200_000
        limits.freeBytes = 1000
        let server = try TestServer(limits: limits)
        defer { server.stop() }
        nonisolated(unsafe) let greedy = try server.client()
        // The server stops reading where the limit is; what it answers comes before all is sent.
        let sender = Thread {
            try? greedy.send(bytes("{\"a\":\"") + [UInt8](repeating: 0x78, count: 2_000_000))
        }
        sender.start()
        #expect(try greedy.receive().error == "too many large requests at once, try again")
        #expect(try server.client().call("echo", ["small"]).result == ["small"])
    }

    @Test func answersThatWouldExhaustMemoryAreWithheld() throws {
        var limits = ControlLimits()
        limits.heldBytes = 100_000
        let server = try TestServer(limits: limits)
        defer { server.stop() }
        let client = try server.client()
        let error = try client.call("big", ["1000000"]).error ?? ""
        #expect(error.contains("withheld"))
        #expect(try client.call("big", ["1000"]).error == nil)
    }

    /// One client asks for much and reads nothing: it is not read any further, and others are served.
    @Test func clientThatNeverReads() throws {
        let server = try TestServer()
        defer { server.stop() }
        let silent = try server.client()
        var stream: [UInt8] = []
        for i in 0..<100 { stream += Request(method: "big", parameters: ["300000"], id: .integer(Int64(i + 1))).bytes }
        try silent.send(stream)
        let other = try server.client()
        for i in 0..<50 { #expect(try other.call("echo", ["\(i)"]).error == nil) }
        #expect(server.calls.count <= 50 + 1)
        // It gets everything once it reads.
        for i in 0..<100 { #expect(try silent.receive().id == .integer(Int64(i + 1))) }
    }

    @Test func thousandConnections() throws {
        Privileges.raiseFileLimit()
        let server = try TestServer()
        defer { server.stop() }
        var clients: [ControlClient] = []
        for _ in 0..<1000 { clients.append(try server.client()) }
        // Every second one says half of something and nothing more.
        for client in clients.enumerated() where client.offset % 2 == 1 {
            try client.element.send(bytes("{\"method\":\"echo\",\"par"))
        }
        for (i, client) in clients.enumerated() where i % 2 == 0 {
            try client.send(Request(method: "echo", parameters: ["\(i)"], id: .integer(Int64(i))).bytes)
        }
        for (i, client) in clients.enumerated() where i % 2 == 0 {
            #expect(try client.receive().result == .array([.string("\(i)")]))
        }
        for (i, client) in clients.enumerated() where i % 2 == 1 {
            try client.send(bytes("ams\":[],\"id\":\(i)}"))
            #expect(try client.receive().id == .integer(Int64(i)))
        }
    }

    @Test func tooManyConnections() throws {
        var limits = ControlLimits()
        limits.connections = 2
        let server = try TestServer(limits: limits)
        defer { server.stop() }
        let kept = [try server.client(), try server.client()]
        for client in kept { #expect(try client.call("echo", []).error == nil) }
        let third = try server.client()
        #expect(throws: ControlClientError.self) { try third.receive() }
        #expect(try kept[0].call("echo", []).error == nil)
    }

    @Test func secondServerIsRefusedAndADeadOnesFileReplaced() throws {
        let server = try TestServer()
        #expect(throws: ControlSocketError.self) { try ControlSocketFile(path: server.path) }
        #expect(try server.client().call("echo", []).error == nil)
        server.stop()
        // A socket file whose owner has gone.
        let dead = try ControlSocketFile(path: server.path)
        close(dead.descriptor)
        let next = try ControlSocketFile(path: server.path)
        close(next.descriptor)
        dead.remove()
        #expect(access(server.path, F_OK) == 0)
        next.remove()
        #expect(access(server.path, F_OK) != 0)
    }

    @Test func otherFilesAreLeftAlone() throws {
        let scratch = Scratch()
        let path = scratch.write("file", "precious")
        #expect(throws: ControlSocketError.self) { try ControlSocketFile(path: path) }
        #expect(try String(contentsOfFile: path, encoding: .utf8) == "precious")
        let long = scratch.file(String(repeating: "x", count: 200))
        #expect(throws: ControlSocketError.self) { try ControlSocketFile(path: long) }
        #expect(throws: ControlSocketError.self) { try ControlSocketFile(path: scratch.file("no/such/dir")) }
    }

    @Test func budget() {
        var limits = ControlLimits()
        limits.heldBytes = 1000
        limits.freeBytes = 100
        var budget = MemoryBudget(limits)
        func change(_ old: Int, _ new: Int) -> Bool { budget.change(from: old, to: new) }
        #expect(change(0, 100))
        #expect(budget.held == 0)
        #expect(change(0, 1100))
        #expect(!change(0, 101))
        #expect(change(0, 99))
        #expect(change(1100, 50))
        #expect(budget.held == 0)
    }
}
