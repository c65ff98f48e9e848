import Base
import Foundation
import Yams

/// Reads a configuration from YAML text. Everything is checked; nothing unknown is let pass.
///
/// `path` in errors is that of the structure, line and column are those of the text.
struct ConfigurationReader {
    /// Directory that relative names of flow files start from; nil refuses flow files.
    let directory: String?

    func read(_ text: String) throws(ConfigurationError) -> Configuration {
        guard let root = try compose(text) else {
            throw ConfigurationError("", "is empty; a file that clears the switch says so: bridges: []")
        }
        let top = try Entries(root, "")
        var configuration = Configuration()
        for entry in top.all {
            switch entry.key {
            case "control": configuration.control = try entry.string()
            case "workers":
                configuration.workers = try entry.setting { text throws(SettingError) in
                    try SettingValue.integer(text, 1...256)
                }
            case "cores": configuration.cores = try entry.setting(Configuration.cores)
            case "cache":
                configuration.cache = try entry.setting { text throws(SettingError) in
                    try SettingValue.choice(text)
                }
            case "log-level":
                configuration.logLevel = try entry.setting { text throws(SettingError) in
                    guard LogOutput.level(named: text) != nil else {
                        throw SettingError("unknown log level \"\(text.echoed)\"")
                    }
                    return text
                }
            case "settings": try readSettings(entry, into: &configuration.settings)
            case "conntrack": configuration.tracking = try tracking(entry)
            case "bridges":
                if case .scalar(let scalar) = entry.node, scalar.string.isEmpty {
                    throw ConfigurationError(entry.path, "has no value; a file that clears the switch says bridges: []")
                }
                for (node, path) in try entry.list() { configuration.bridges.append(try bridge(node, path)) }
            case "services":
                for (node, path) in try entry.list() { configuration.services.append(try service(node, path)) }
            default:
                throw entry.unknown([
                    "control", "workers", "cores", "cache", "log-level", "settings", "conntrack", "bridges",
                    "services",
                ])
            }
        }
        if configuration.workers != nil, configuration.cores != nil {
            throw ConfigurationError("cores", "excludes workers: one worker runs on each core")
        }
        try configuration.check()
        return configuration
    }

    private func compose(_ text: String) throws(ConfigurationError) -> Node? {
        do {
            return try Yams.compose(yaml: text)
        } catch let error as YamlError {
            throw Self.explain(error)
        } catch {
            throw ConfigurationError("", "not valid YAML")
        }
    }

    private static func explain(_ error: YamlError) -> ConfigurationError {
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _),
            .composer(_, let problem, let mark, _):
            return ConfigurationError("", "not valid YAML: \(problem)", line: mark.line, column: mark.column)
        case .reader(let problem, _, _, _): return ConfigurationError("", "not valid YAML: \(problem)")
        case .duplicatedKeysInMapping(let duplicates, let context):
            let keys = duplicates.map { "\"\($0.echoed)\"" }.sorted().joined(separator: ", ")
            let mark = context.mark
            return ConfigurationError("", "key \(keys) is there twice", line: mark.line, column: mark.column)
        default: return ConfigurationError("", "not valid YAML")
        }
    }

    private func readSettings(_ entry: Entry, into settings: inout GlobalSettings) throws(ConfigurationError) {
        for entry in try Entries(entry.node, entry.path).all { try entry.apply(to: &settings) }
    }

    private func bridge(_ node: Node, _ path: String) throws(ConfigurationError) -> BridgeConfiguration {
        let entries = try Entries(node, path)
        var bridge = BridgeConfiguration(name: try entries.name(SettingValue.portName))
        for entry in entries.all {
            switch entry.key {
            case "name": break
            case "ports": for (node, path) in try entry.list() { bridge.ports.append(try port(node, path)) }
            case "mirrors": for (node, path) in try entry.list() { bridge.mirrors.append(try mirror(node, path)) }
            case "groups": bridge.groups = try entry.strings()
            case "tlv-map": bridge.tlvMap = try entry.strings()
            case "meters": bridge.meters = try entry.strings()
            case "flows": bridge.flows = try entry.lines()
            case "flows-file": bridge.flowsFile = try entry.string()
            default:
                try entry.apply(
                    to: &bridge,
                    others: ["name", "ports", "mirrors", "groups", "meters", "tlv-map", "flows", "flows-file"])
            }
        }
        try readFlows(&bridge, entries)
        try entries.validate(bridge)
        return bridge
    }

    private func readFlows(_ bridge: inout BridgeConfiguration, _ entries: Entries) throws(ConfigurationError) {
        guard let file = bridge.flowsFile else { return }
        let path = entries.path + ".flows-file"
        guard bridge.flows == nil else { throw ConfigurationError(path, "excludes flows") }
        guard let directory else {
            throw ConfigurationError(path, "a configuration without a file of its own has none")
        }
        let url = URL(fileURLWithPath: file, relativeTo: URL(fileURLWithPath: directory, isDirectory: true))
        do throws(FileError) {
            bridge.flows = String(decoding: try FileText.read(url.path), as: UTF8.self)
        } catch {
            throw ConfigurationError(path, error.description)
        }
    }

    private func port(_ node: Node, _ path: String) throws(ConfigurationError) -> PortConfiguration {
        let entries = try Entries(node, path)
        var port = PortConfiguration(name: try entries.name(SettingValue.portName))
        for entry in entries.all where entry.key != "name" { try entry.apply(to: &port, others: ["name"]) }
        try entries.validate(port)
        return port
    }

    private func service(_ node: Node, _ path: String) throws(ConfigurationError) -> ServiceConfiguration {
        let entries = try Entries(node, path)
        var service = ServiceConfiguration(name: try entries.name(SettingValue.name))
        for entry in entries.all where entry.key != "name" { try entry.apply(to: &service, others: ["name"]) }
        try entries.validate(service)
        return service
    }

    private func mirror(_ node: Node, _ path: String) throws(ConfigurationError) -> MirrorConfiguration {
        let entries = try Entries(node, path)
        var mirror = MirrorConfiguration(name: try entries.name(SettingValue.name))
        for entry in entries.all where entry.key != "name" { try entry.apply(to: &mirror, others: ["name"]) }
        try entries.validate(mirror)
        return mirror
    }
}

extension Configuration {
    /// Most bytes that a configuration may have.
    static let maximumLength = 64 << 20

    /// Reads a configuration from bytes.
    ///
    /// `directory` is where relative names of flow files start from.
    public init(parsing bytes: some Collection<UInt8>, directory: String? = nil) throws(ConfigurationError) {
        guard bytes.count <= Self.maximumLength else {
            throw ConfigurationError("", "longer than \(Self.maximumLength) bytes")
        }
        guard let text = String(validating: bytes, as: UTF8.self) else {
            throw ConfigurationError("", "not valid UTF-8")
        }
        if let line = Self.tooDeep(text) {
            throw ConfigurationError("", "nested too deep", line: line)
        }
        self = try ConfigurationReader(directory: directory).read(text)
    }

    public init(file: String) throws(ConfigurationError) {
        let data: [UInt8]
        do throws(FileError) { data = try FileText.read(file) } catch {
            throw ConfigurationError("", error.description)
        }
        let directory = URL(fileURLWithPath: file).deletingLastPathComponent().path
        do throws(ConfigurationError) { try self.init(parsing: data, directory: directory) } catch {
            var error = error
            error.file = file
            throw error
        }
    }

    /// The line that opens more levels than any configuration has; the YAML reader recurses.
    ///
    /// A bound, not a parse: brackets inside text count too, and so do the dashes of nested lists.
    private static func tooDeep(_ text: String) -> Int? {
        var line = 1
        var opened = 0
        var column = 0
        var isIndentation = true
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\n"):
                line += 1
                column = 0
                isIndentation = true
                continue
            case UInt8(ascii: "["), UInt8(ascii: "{"): opened += 1
            case UInt8(ascii: "]"), UInt8(ascii: "}"): opened = max(0, opened - 1)
            case UInt8(ascii: " "), UInt8(ascii: "-"), UInt8(ascii: "?"), UInt8(ascii: ":"): break
            default: isIndentation = false
            }
            column += 1
            if opened > 500 || isIndentation && column > 500 { return line }
        }
        return nil
    }
}
