import Control
import Testing

/// Long answers over the socket.
@Suite(.serialized) struct AnswerStepTests {
    /// `text N` is answered by N lines, `list N` by as many numbers, `whole` by an object behind empty steps; `quick` at once.
    private final class Server {
        let scratch = Scratch()
        let thread = ControlThread()
        let server: ControlServer
        let quick = TestServer.Counter()

        init() throws {
            server = try ControlServer(path: scratch.file("s"), thread: thread, logger: quiet) { [quick] request in
                let count = Int(request.parameters.first ?? "") ?? 0
                var next = 0
                switch request.method {
                case "text":
                    let steps = AnswerSteps(isJSON: false) {
                        guard next < count else { return nil }
                        next += 1
                        // Every third step finds nothing.
                        return .text(next % 3 == 0 ? "" : "line \"\(next)\" é\n")
                    }
                    return Response(id: request.id, steps: steps)
                case "list":
                    let steps = AnswerSteps(isJSON: true) {
                        guard next < count else { return nil }
                        next += 1
                        return .elements(next % 3 == 0 ? [] : [JSONValue(next), ["a": .string("b\n")]])
                    }
                    return Response(id: request.id, steps: steps)
                case "whole":
                    let steps = AnswerSteps(isJSON: true) {
                        next += 1
                        return next < 10 ? .text("") : .whole(["n": 7])
                    }
                    return Response(id: request.id, steps: steps)
                default:
                    quick.add()
                    return Response(id: request.id, result: "quick")
                }
            }
        }

        func client() throws -> ControlClient { try ControlClient(path: scratch.file("s")) }

        func stop() {
            server.stop()
            thread.stop()
        }
    }

    @Test func pieces() throws {
        let server = try Server()
        defer { server.stop() }
        let client = try server.client()
        let text = (1...1000).filter { $0 % 3 != 0 }.map { "line \"\($0)\" é\n" }.joined()
        #expect(try client.call("text", ["1000"]).result == .string(text))
        #expect(try client.call("text", ["0"]).result == "")
        let list = (1...100).filter { $0 % 3 != 0 }.flatMap { (n: Int) -> [JSONValue] in [JSONValue(n), ["a": "b\n"]] }
        #expect(try client.call("list", ["100"]).result == .array(list))
        #expect(try client.call("list", ["0"]).result == .array([]))
        #expect(try client.call("whole", []).result == ["n": 7])
        #expect(try client.call("quick", []).result == "quick")
    }

    @Test func answersKeepTheirOrder() throws {
        let server = try Server()
        defer { server.stop() }
        let client = try server.client()
        var stream: [UInt8] = []
        for i in 0..<50 {
            stream += Request(method: i % 2 == 0 ? "text" : "quick", parameters: ["20"], id: .integer(Int64(i))).bytes
        }
        try client.send(stream)
        for i in 0..<50 { #expect(try client.receive().id == .integer(Int64(i))) }
    }

    /// While one client's answer is under way, others are served, and the periodic work is done.
    @Test func othersAreServedMeanwhile() throws {
        let server = try Server()
        defer { server.stop() }
        let rounds = TestServer.Counter()
        server.thread.every(seconds: 0.001) { rounds.add() }
        let slow = try server.client()
        // Nobody reads this one.
        try slow.send(Request(method: "text", parameters: ["\(Int.max)"], id: 1).bytes)
        let other = try server.client()
        for _ in 0..<100 { #expect(try other.call("quick", []).result == "quick") }
        let busy = try server.client()
        #expect(try busy.call("text", ["30000"]).error == nil)
        #expect(rounds.count > 0)
    }

    @Test func clientThatLeaves() throws {
        let server = try Server()
        defer { server.stop() }
        for _ in 0..<20 {
            let client = try server.client()
            try client.send(Request(method: "text", parameters: ["\(Int.max)"], id: 1).bytes)
        }
        #expect(try server.client().call("quick", []).result == "quick")
    }
}
