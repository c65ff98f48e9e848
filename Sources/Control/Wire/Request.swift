import Base

/// One JSON-RPC 1.0 request: a method, and parameters that are all strings.
public struct Request: Sendable, Equatable {
    public var method: String
    public var parameters: [String]
    /// Any JSON value but null; the answer carries the same.
    public var id: JSONValue

    public init(method: String, parameters: [String], id: JSONValue) {
        self.method = method
        self.parameters = parameters
        self.id = id
    }

    /// What is wrong with a request, and its id where it has one.
    public struct Malformed: Error, Equatable {
        public let message: String
        public let id: JSONValue
    }

    /// Reads a request from the bytes of one JSON value.
    public init(parsing bytes: [UInt8]) throws(Malformed) {
        let value: JSONValue
        do throws(JSONValue.SyntaxError) {
            value = try JSONValue(parsing: bytes)
        } catch {
            throw Malformed(message: "request is " + error.description, id: .null)
        }
        guard case .object = value else {
            throw Malformed(message: "request is \(value.kind), expected an object", id: .null)
        }
        guard let id = value["id"], id != .null else {
            throw Malformed(message: "request has no \"id\", so it cannot be answered", id: .null)
        }
        self.id = id
        switch value["method"] {
        case .string(let name)?: method = name
        case nil: throw Malformed(message: "request has no \"method\"", id: id)
        case let other?: throw Malformed(message: "\"method\" is \(other.kind), expected a string", id: id)
        }
        guard let params = value["params"] else { throw Malformed(message: "request has no \"params\"", id: id) }
        guard case .array(let values) = params else {
            throw Malformed(message: "\"params\" is \(params.kind), expected an array of strings", id: id)
        }
        parameters = []
        parameters.reserveCapacity(values.count)
        for (i, value) in values.enumerated() {
            guard case .string(let string) = value else {
                throw Malformed(message: "\"params\"[\(i)] is \(value.kind), expected a string", id: id)
            }
            parameters.append(string)
        }
    }

    /// The request as it goes over the wire.
    public var bytes: [UInt8] {
        var output: [UInt8] = []
        let value: JSONValue = [
            "method": .string(method), "params": .array(parameters.map(JSONValue.string)), "id": id,
        ]
        value.write(to: &output)
        output.append(UInt8(ascii: "\n"))
        return output
    }
}

/// The answer to one request: a result or an error, never both.
public struct Response: Sendable, Equatable {
    public var id: JSONValue
    /// Text as a JSON string unless the request asked for JSON.
    public var result: JSONValue
    public var error: String?
    /// Where the result is still to be made, by these.
    public var steps: AnswerSteps?

    public init(id: JSONValue, result: JSONValue) {
        self.id = id
        self.result = result
    }

    public init(id: JSONValue, steps: AnswerSteps) {
        self.id = id
        result = .null
        self.steps = steps
    }

    /// The text goes to terminals and logs: what no terminal should obey is escaped.
    public init(id: JSONValue, error: String) {
        self.id = id
        result = .null
        self.error = error.printable(keepsLines: true)
    }

    public var bytes: [UInt8] {
        var output: [UInt8] = []
        // ovs-appctl prints errors as they come.
        let error = error.map { $0.hasSuffix("\n") ? $0 : $0 + "\n" }
        let value: JSONValue = ["id": id, "result": result, "error": JSONValue(error)]
        value.write(to: &output)
        output.append(UInt8(ascii: "\n"))
        return output
    }
}
