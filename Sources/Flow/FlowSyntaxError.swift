/// Why a text was refused: where, and what was expected there.
public struct FlowSyntaxError: Error, Hashable, Sendable, CustomStringConvertible {
    /// 1 for a text that is not a file.
    public var line: Int
    /// 1 is the first byte of the line.
    public var column: Int
    public var message: String

    public init(line: Int = 1, column: Int, message: String) {
        self.line = line
        self.column = column
        self.message = message
    }

    init(at column: Int, _ message: String) {
        self.init(column: column, message: message)
    }

    init(_ at: Text, _ message: String) {
        self.init(column: at.column, message: message)
    }

    public var description: String { "line \(line), column \(column): \(message)" }
}
