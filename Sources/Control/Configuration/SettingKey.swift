/// One key of `key=value` settings: what the parser accepts and what `--help` prints are the same list.
public struct SettingKey: Equatable, Sendable {
    public let name: String
    /// What may stand behind the `=`, as a usage has it.
    public let values: String
    public let meaning: String
    /// What holds where nothing is said: a value that can be given as well, or, in parentheses, words.
    public let standard: String
    /// Names that mean the same, among them those of Open vSwitch.
    public let aliases: [String]

    init(_ name: String, _ values: String, _ standard: String, _ meaning: String, aliases: [String] = []) {
        self.name = name
        self.values = values
        self.meaning = meaning
        self.standard = standard
        self.aliases = aliases
    }

    /// A table for `--help`.
    static func describe(_ keys: [SettingKey]) -> String {
        let heads = keys.map { "  \($0.name)=\($0.values)" }
        let width = min(34, (heads.map(\.count).max() ?? 0) + 2)
        var text = ""
        for (key, head) in zip(keys, heads) {
            let indent = String(repeating: " ", count: width)
            let gap = head.count + 2 > width ? "\n" + indent : String(repeating: " ", count: width - head.count)
            let also = key.aliases.isEmpty ? "" : "; also \(key.aliases.joined(separator: ", "))"
            let standard = key.standard.hasPrefix("(") ? String(key.standard.dropFirst().dropLast()) : key.standard
            text += "\(head)\(gap)\(key.meaning)\(also) [\(standard)]\n"
        }
        return text
    }

    var json: JSONValue {
        [
            "key": .string(name), "values": .string(values), "default": .string(standard), "meaning": .string(meaning),
            "aliases": .array(aliases.map(JSONValue.string)),
        ]
    }
}
