/// An answer that is made in steps, each short: what it tells of is too much to be walked over while other clients and the
/// periodic work of the switch wait. Between two steps the control thread does what else there is to do, and
/// a piece is written out before the next is made, so no more than one is ever in memory.
///
/// Control thread only.
public final class AnswerSteps: @unchecked Sendable, Equatable {
    /// What a step brought.
    public enum Piece {
        /// More of the text that is the answer; empty if the step found nothing to tell.
        case text(String)
        /// More elements of the array that is the answer.
        case elements([JSONValue])
        /// The whole answer; there is no other piece with content.
        case whole(JSONValue)
    }

    /// An answer without any content is an empty array, or else an empty text.
    let isJSON: Bool
    /// Nil when all has been told.
    let next: () -> Piece?

    public init(isJSON: Bool, next: @escaping () -> Piece?) {
        self.isJSON = isJSON
        self.next = next
    }

    public static func == (a: AnswerSteps, b: AnswerSteps) -> Bool { a === b }

    /// All steps at once.
    func run() -> JSONValue {
        var text = ""
        var elements: [JSONValue] = []
        while let piece = next() {
            switch piece {
            case .text(let more): text += more
            case .elements(let more): elements += more
            case .whole(let value): return value
            }
        }
        return isJSON ? .array(elements) : .string(text)
    }
}

/// Turns steps into the bytes of a response.
final class AnswerStream: @unchecked Sendable {
    private let id: JSONValue
    private let steps: AnswerSteps
    private var hasBegun = false
    private var isFirstElement = true

    init(id: JSONValue, _ steps: AnswerSteps) {
        self.id = id
        self.steps = steps
    }

    /// The bytes of one more step, and whether they are the last.
    func step() -> (bytes: [UInt8], isLast: Bool) {
        var output: [UInt8] = []
        guard let piece = steps.next() else {
            begin(&output)
            output += (steps.isJSON ? "]" : "\"").utf8
            output += ",\"error\":null}\n".utf8
            return (output, true)
        }
        switch piece {
        case .whole(let value): return (Response(id: id, result: value).bytes, true)
        case .text(let text):
            guard !text.isEmpty else { break }
            begin(&output)
            var quoted: [UInt8] = []
            JSONValue.write(text, to: &quoted)
            output += quoted.dropFirst().dropLast()
        case .elements(let elements):
            guard !elements.isEmpty else { break }
            begin(&output)
            for element in elements {
                if !isFirstElement { output.append(UInt8(ascii: ",")) }
                isFirstElement = false
                element.write(to: &output)
            }
        }
        return (output, false)
    }

    private func begin(_ output: inout [UInt8]) {
        guard !hasBegun else { return }
        hasBegun = true
        output += "{\"id\":".utf8
        id.write(to: &output)
        output += (steps.isJSON ? ",\"result\":[" : ",\"result\":\"").utf8
    }
}
