/// Writes figures in the text format of Prometheus (version 0.0.4): for each family a HELP and a TYPE line, then
/// its samples. A family without samples is left out.
package struct MetricsText {
    package enum Kind: String { case counter, gauge }

    package private(set) var text = ""
    private var header = ""
    private var name = ""

    package init() {}

    /// Begins a family. `name` and the names of labels are ours and well formed; values of labels are anybody's.
    package mutating func family(_ name: String, _ kind: Kind, _ help: String) {
        self.name = name
        header = "# HELP \(name) \(Self.escape(help))\n# TYPE \(name) \(kind.rawValue)\n"
    }

    package mutating func sample(_ value: some BinaryInteger) { add([], "\(value)") }

    package mutating func sample(_ labels: [(String, String)], _ value: some BinaryInteger) { add(labels, "\(value)") }

    private mutating func add(_ labels: [(String, String)], _ value: String) {
        text += header
        header = ""
        text += name
        if !labels.isEmpty {
            let list = labels.map { "\($0.0)=\"\(Self.escape($0.1, quotes: true))\"" }
            text += "{" + list.joined(separator: ",") + "}"
        }
        text += " \(value)\n"
    }

    /// Backslash and line feed, and quotes inside labels.
    private static func escape(_ text: String, quotes: Bool = false) -> String {
        var output = ""
        for character in text.unicodeScalars {
            switch character {
            case "\\": output += "\\\\"
            case "\n": output += "\\n"
            case "\"" where quotes: output += "\\\""
            default: output.unicodeScalars.append(character)
            }
        }
        return output
    }
}
