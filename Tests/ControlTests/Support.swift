import Control
import Foundation
import FrameSupport
import Logging
import Synchronization

/// A directory for one test, gone with it.
final class Scratch {
    let path: String

    init() {
        path = NSTemporaryDirectory() + "weft-" + UUID().uuidString.prefix(8)
        try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: path) }

    func file(_ name: String) -> String { path + "/" + name }

    @discardableResult
    func write(_ name: String, _ text: String) -> String {
        _ = FileManager.default.createFile(atPath: file(name), contents: Data(text.utf8))
        return file(name)
    }
}

/// A control server with a few made-up methods: `echo` gives its parameters back, `big` N bytes, `fail` an error.
final class TestServer {
    let scratch = Scratch()
    let path: String
    let thread = ControlThread()
    let calls = Counter()
    private let server: ControlServer

    final class Counter: Sendable {
        private let value = Atomic<Int>(0)
        func add() { value.add(1, ordering: .relaxed) }
        var count: Int { value.load(ordering: .relaxed) }
    }

    init(limits: ControlLimits = ControlLimits()) throws {
        path = scratch.file("control.sock")
        server = try ControlServer(path: path, limits: limits, thread: thread, logger: quiet) { [calls] request in
            calls.add()
            switch request.method {
            case "echo": return Response(id: request.id, result: .array(request.parameters.map(JSONValue.string)))
            case "big":
                let count = Int(request.parameters.first ?? "") ?? 0
                return Response(id: request.id, result: .string(String(repeating: "x", count: count)))
            default: return Response(id: request.id, error: "no \(request.method)")
            }
        }
    }

    func client() throws -> ControlClient { try ControlClient(path: path) }

    func stop() {
        server.stop()
        thread.stop()
    }
}

/// Says nothing.
let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

/// All events that a framer gives for a stream that comes in these pieces.
func events(_ pieces: [[UInt8]], maximumLength: Int = 1 << 20) -> [RequestFramer.Event] {
    var framer = RequestFramer(maximumLength: maximumLength)
    var events: [RequestFramer.Event] = []
    for piece in pieces {
        var position = 0
        while let event = piece.withUnsafeBytes({ framer.next($0, &position) }) { events.append(event) }
    }
    return events
}
