import Base
import CLinux
import Glibc

/// Why a request got no answer.
public enum ControlClientError: Error, CustomStringConvertible {
    /// Nobody listens at the path, or the connection broke.
    case noAnswer(String)
    /// No socket can have that path.
    case badPath(String)
    /// What came back is no answer.
    case badAnswer(String)

    public var description: String {
        switch self {
        case .noAnswer(let what), .badPath(let what), .badAnswer(let what): what
        }
    }
}

/// A blocking connection to a control socket, as `weftctl` uses it.
public final class ControlClient {
    private let path: String
    private let descriptor: CInt
    private var framer = RequestFramer(maximumLength: .max)
    private var received: [UInt8] = []
    private var position = 0
    private var nextID: Int64 = 1

    public init(path: String) throws(ControlClientError) {
        self.path = path
        guard let address = UnixAddress(path: path) else {
            throw .badPath(
                path.isEmpty
                    ? "the path of the control socket is empty"
                    : "\(path.echoed): the path of a socket has at most \(UnixAddress.maximumPathLength) bytes")
        }
        descriptor = socket(AF_UNIX, CInt(SOCK_STREAM.rawValue) | CInt(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw .noAnswer("socket: \(String(cString: strerror(weft_errno())))") }
        while address.withPointer({ connect(descriptor, $0, $1) }) != 0 {
            let error = weft_errno()
            if error == EINTR { continue }
            // All of self is there: `deinit` closes the socket.
            throw .noAnswer("no switch answers at \(path): \(String(cString: strerror(error)))")
        }
    }

    deinit { close(descriptor) }

    /// Sends one request and waits for its answer.
    public func call(_ method: String, _ parameters: [String]) throws(ControlClientError) -> Response {
        let request = Request(method: method, parameters: parameters, id: .integer(nextID))
        nextID += 1
        try send(request.bytes)
        return try receive()
    }

    /// Sends bytes as they are.
    public func send(_ bytes: [UInt8]) throws(ControlClientError) {
        var sent = 0
        while sent < bytes.count {
            let count = bytes.withUnsafeBytes {
                Glibc.send(descriptor, $0.baseAddress! + sent, $0.count - sent, CInt(MSG_NOSIGNAL))
            }
            if count > 0 { sent += count } else if weft_errno() != EINTR { throw lost("send") }
        }
    }

    /// Says that nothing more will be sent.
    public func finishSending() { shutdown(descriptor, CInt(SHUT_WR)) }

    /// Waits for the next answer.
    public func receive() throws(ControlClientError) -> Response {
        while true {
            let event = received.withUnsafeBytes { framer.next($0, &position) }
            switch event {
            case .object(let bytes)?: return try Self.response(bytes)
            case .failure(let message)?: throw .badAnswer("\(path): \(message)")
            case nil: try fill()
            }
        }
    }

    private func fill() throws(ControlClientError) {
        position = 0
        received = Array(repeating: 0, count: 256 << 10)
        while true {
            let count = received.withUnsafeMutableBytes { recv(descriptor, $0.baseAddress, $0.count, 0) }
            if count > 0 {
                received.removeLast(received.count - count)
                return
            }
            received = []
            if count == 0 { throw .noAnswer("\(path): the switch closed the connection") }
            if weft_errno() != EINTR { throw lost("recv") }
            received = Array(repeating: 0, count: 256 << 10)
        }
    }

    private func lost(_ call: String) -> ControlClientError {
        .noAnswer("\(path): \(call): \(String(cString: strerror(weft_errno())))")
    }

    private static func response(_ bytes: [UInt8]) throws(ControlClientError) -> Response {
        let value: JSONValue
        do throws(JSONValue.SyntaxError) { value = try JSONValue(parsing: bytes) } catch {
            throw .badAnswer("the switch's answer is " + error.description)
        }
        let id = value["id"] ?? .null
        switch value["error"] {
        case nil, .null?: return Response(id: id, result: value["result"] ?? .null)
        case .string(let message)?:
            return Response(id: id, error: message.hasSuffix("\n") ? String(message.dropLast()) : message)
        case let other?: return Response(id: id, error: other.text)
        }
    }
}
