import Base
import Yams

/// A mapping of the file, its keys checked to be words.
struct Entries {
    let path: String
    let node: Node
    let all: [Entry]

    init(_ node: Node, _ path: String) throws(ConfigurationError) {
        self.path = path
        self.node = node
        guard case .mapping(let mapping) = node else {
            throw ConfigurationError(path, "expected keys and values, found \(node.kindName)", at: node)
        }
        var all: [Entry] = []
        var seen: Set<String> = []
        for (key, value) in mapping {
            guard case .scalar(let scalar) = key else {
                throw ConfigurationError(path, "a key must be a word", at: key)
            }
            let name = Setting.normalize(scalar.string)
            guard seen.insert(name).inserted else {
                throw ConfigurationError(path, "\"\(name.echoed)\" is there twice", at: key)
            }
            all.append(
                Entry(key: name, node: value, keyNode: key, path: path.isEmpty ? name.echoed : "\(path).\(name.echoed)")
            )
        }
        self.all = all
    }

    func name(_ read: (String) throws(SettingError) -> String) throws(ConfigurationError) -> String {
        guard let entry = all.first(where: { $0.key == "name" }) else {
            throw ConfigurationError(path, "has no name", at: node)
        }
        return try entry.setting(read)
    }

    func validate(_ value: some Configurable) throws(ConfigurationError) {
        do throws(SettingError) { try value.validate() } catch {
            throw ConfigurationError(path, error.description, at: node)
        }
    }
}

/// One key of the file with its value.
struct Entry {
    let key: String
    let node: Node
    let keyNode: Node
    let path: String

    func unknown(_ expected: [String]) -> ConfigurationError {
        ConfigurationError(path, "unknown key, expected one of \(expected.joined(separator: ", "))", at: keyNode)
    }

    /// A scalar as it is written, whatever YAML would take it for; nothing is the empty text.
    func string() throws(ConfigurationError) -> String {
        guard case .scalar(let scalar) = node else {
            throw ConfigurationError(path, "expected one value, found \(node.kindName)", at: node)
        }
        return scalar.string
    }

    /// A scalar, or a list of scalars joined with commas.
    func joined() throws(ConfigurationError) -> String {
        guard case .sequence = node else { return try string() }
        return try strings().joined(separator: ",")
    }

    func list() throws(ConfigurationError) -> [(Node, String)] {
        if case .scalar(let scalar) = node, scalar.string.isEmpty { return [] }
        guard case .sequence(let sequence) = node else {
            throw ConfigurationError(path, "expected a list, found \(node.kindName)", at: node)
        }
        return sequence.enumerated().map { ($0.element, "\(path)[\($0.offset)]") }
    }

    func strings() throws(ConfigurationError) -> [String] {
        var all: [String] = []
        for (node, path) in try list() {
            guard case .scalar(let scalar) = node else {
                throw ConfigurationError(path, "expected one value, found \(node.kindName)", at: node)
            }
            all.append(scalar.string)
        }
        return all
    }

    /// A block of text, or a list of lines.
    func lines() throws(ConfigurationError) -> String {
        guard case .sequence = node else { return try string() }
        return try strings().map { $0 + "\n" }.joined()
    }

    func setting<Value>(_ read: (String) throws(SettingError) -> Value) throws(ConfigurationError) -> Value {
        let text = try joined()
        do throws(SettingError) { return try read(text) } catch {
            throw ConfigurationError(path, error.description, at: node)
        }
    }

    func apply<Target: Configurable>(to target: inout Target, others: [String] = []) throws(ConfigurationError) {
        guard let name = Target.name(ofKey: key) else {
            if let reason = Target.refusals[key] {
                throw ConfigurationError(path, "is not taken: \(reason)", at: keyNode)
            }
            throw unknown(others + Target.keyNames)
        }
        let text = try joined()
        do throws(SettingError) { try target.set(name, text) } catch {
            throw ConfigurationError(path, error.description, at: node)
        }
    }
}

extension ConfigurationError {
    fileprivate init(_ path: String, _ message: String, at node: Node) {
        self.init(path, message, line: node.mark?.line, column: node.mark?.column)
    }
}

extension Node {
    fileprivate var kindName: String {
        switch self {
        case .scalar(let scalar): scalar.string.isEmpty ? "nothing" : "\"\(scalar.string.echoed)\""
        case .mapping: "keys and values"
        case .sequence: "a list"
        case .alias: "an alias"
        }
    }
}
