import Base

/// Everything that a configuration file says, as plain values: read and checked as a whole before anything is done
/// with it. What the running switch does is the same kind of value, so that two of them can be compared.
public struct Configuration: Equatable, Sendable {
    public enum Cache: String, CaseIterable, Sendable { case all, megaflow, none }

    // Of the process; a change of them takes a restart, and flags of weftd come first.
    public var control: String?
    public var workers: Int?
    public var cores: [Int]?
    public var cache: Cache?
    public var logLevel: String?

    public var settings = GlobalSettings()
    public var tracking = TrackingConfiguration()
    public var bridges: [BridgeConfiguration] = []
    /// Load-balanced services.
    public var services: [ServiceConfiguration] = []

    public init() {}

    public func bridge(_ name: String) -> BridgeConfiguration? { bridges.first { $0.name == name } }
}

/// What is wrong with a configuration: where in its structure, where in its text, and what was expected.
public struct ConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
    /// As in `bridges[0].ports[3].type`; empty where the whole text is meant.
    public var path: String
    public var message: String
    /// From 1; nil where it is not known.
    public var line: Int?
    public var column: Int?
    /// Name of the file, where there is one.
    public var file: String?

    init(_ path: String, _ message: String, line: Int? = nil, column: Int? = nil) {
        self.path = path
        self.message = message
        self.line = line
        self.column = column
    }

    public var description: String {
        let place = [file, line.map(String.init), column.map(String.init)].compactMap { $0 }.joined(separator: ":")
        return [place, path, message].filter { !$0.isEmpty }.joined(separator: ": ")
    }
}

extension Configuration {
    /// Cores as in `1,3-5`.
    public static func cores(_ text: String) throws(SettingError) -> [Int] {
        guard let set = try? SettingValue.vlans(text), set.allSatisfy({ $0 < 1024 }) else {
            throw SettingError("expected cores as in 1,3-5, found \"\(text.echoed)\"")
        }
        return set.sorted().map(Int.init)
    }
}
