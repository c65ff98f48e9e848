import Base

/// Reads flows in the syntax of ovs-ofctl(8), "Flow Syntax".
public struct FlowParser {
    /// What a command takes besides a match.
    public enum Purpose: Sendable {
        /// A flow of `add-flow` and of its kind, or one of a file whose lines may begin with a command.
        case command(FlowSpec.Command)
        /// `dump-flows` and others: match, table, cookie, out_port only.
        case filter
    }

    public var context: FlowContext

    public init(_ context: FlowContext = FlowContext()) { self.context = context }

    /// One flow: `add-flow`, `mod-flows`, `del-flows` and their strict forms.
    public func parse(_ flow: String, as command: FlowSpec.Command = .add) throws(FlowSyntaxError) -> FlowSpec {
        try FlowParser.withText(flow) { text throws(FlowSyntaxError) in try parseLine(text, command) }
    }

    /// A match with the qualifiers of `dump-flows` and others that change nothing.
    public func parseFilter(_ filter: String) throws(FlowSyntaxError) -> FlowSpec {
        try FlowParser.withText(filter) { text throws(FlowSyntaxError) in
            var line = FlowLine(.filter, context)
            return try line.parse(text)
        }
    }

    func parseLine(_ text: Text, _ command: FlowSpec.Command) throws(FlowSyntaxError) -> FlowSpec {
        var line = FlowLine(.command(command), context)
        return try line.parse(text)
    }

    /// Every flow of a file, in order. Lines may begin with `add`, `modify`, `modify_strict`, `delete` or
    /// `delete_strict`; `#` begins a comment; blank lines count for nothing. Nothing is kept of a line once
    /// `body` has had it, so that a large file needs no large memory.
    public func parseFile(
        _ bytes: UnsafeBufferPointer<UInt8>, as command: FlowSpec.Command = .add, _ body: (FlowSpec, Int) -> Void
    ) throws(FlowSyntaxError) {
        try FlowParser.forEachLine(bytes) { (text, number) throws(FlowSyntaxError) in
            var line = text
            let chosen = FlowParser.takeCommand(&line) ?? command
            body(try parseLine(line, chosen), number)
        }
    }

    /// Calls `body` with every line that is not blank, without its comment, and adds the line to its errors.
    static func forEachLine(
        _ bytes: UnsafeBufferPointer<UInt8>, _ body: (Text, Int) throws(FlowSyntaxError) -> Void
    ) throws(FlowSyntaxError) {
        var number = 0
        var start = 0
        while start < bytes.count {
            number += 1
            var end = start
            while end < bytes.count, bytes[end] != 0x0a { end += 1 }
            var line = Text(UnsafeBufferPointer(rebasing: bytes[start..<end]))
            start = end + 1
            if let hash = line.firstIndex(of: UInt8(ascii: "#")) { line = line.prefix(hash) }
            if line.trimmed().isEmpty { continue }
            do {
                try body(line, number)
            } catch {
                throw FlowSyntaxError(line: number, column: error.column, message: error.message)
            }
        }
    }

    /// Every flow of a file that is at hand as a string.
    public func parseFile(_ file: String, as command: FlowSpec.Command = .add) throws(FlowSyntaxError) -> [FlowSpec] {
        var flows: [FlowSpec] = []
        try FlowParser.withBytes(file) { bytes throws(FlowSyntaxError) in
            try parseFile(bytes, as: command) { flow, _ in flows.append(flow) }
        }
        return flows
    }

    private static func takeCommand(_ line: inout Text) -> FlowSpec.Command? {
        var rest = line
        guard let word = rest.nextWord(separatedBy: ", \t\r") else { return nil }
        let command: FlowSpec.Command
        if word.equals("add") {
            command = .add
        } else if word.equals("modify") {
            command = .modify
        } else if word.equals("modify_strict") {
            command = .modifyStrict
        } else if word.equals("delete") {
            command = .delete
        } else if word.equals("delete_strict") {
            command = .deleteStrict
        } else {
            return nil
        }
        line = rest
        return command
    }

    static func withText<Result>(
        _ string: String, _ body: (Text) throws(FlowSyntaxError) -> Result
    ) throws(FlowSyntaxError) -> Result {
        try withBytes(string) { bytes throws(FlowSyntaxError) in try body(Text(bytes)) }
    }

    static func withBytes<Result>(
        _ string: String, _ body: (UnsafeBufferPointer<UInt8>) throws(FlowSyntaxError) -> Result
    ) throws(FlowSyntaxError) -> Result {
        let bytes = ContiguousArray(string.utf8)
        let outcome = bytes.withUnsafeBufferPointer { pointer -> Swift.Result<Result, FlowSyntaxError> in
            do throws(FlowSyntaxError) { return .success(try body(pointer)) } catch { return .failure(error) }
        }
        return try outcome.get()
    }
}
