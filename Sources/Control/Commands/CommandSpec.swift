/// What the outside sees of a command: its name, its arguments and what it is for. `weftctl --help` and the
/// switch's own `help` print the same specs.
public struct CommandSpec: Sendable {
    public let name: String
    public let group: CommandGroup
    /// Arguments as a usage line has them, options included.
    public let usage: String
    public let summary: String
    /// Positional arguments, options not counted; no maximum where any number may follow.
    public let minimum: Int
    public let maximum: Int?
    /// Options without a value (`--strict`) and, ending in `=`, with one (`--sort=`).
    public let options: [String]
    /// Positions of arguments that name a file that the switch reads: its text may follow as the last argument.
    public let readsFile: Int?
    /// Keys of the `KEY=VALUE` words.
    public let keys: [SettingKey]
    /// The command that this is another name of.
    public let original: String?

    init(
        _ name: String, _ group: CommandGroup, _ usage: String, _ arguments: ClosedRange<Int>, _ summary: String,
        options: [String] = [], readsFile: Int? = nil, keys: [SettingKey] = []
    ) {
        self.name = name
        self.group = group
        self.usage = usage
        self.summary = summary
        minimum = arguments.lowerBound
        maximum = arguments.upperBound == .max ? nil : arguments.upperBound
        self.options = options
        self.readsFile = readsFile
        self.keys = keys
        original = nil
    }

    /// Another name of a command: the same arguments, the same answer.
    init(_ name: String, sameAs spec: CommandSpec) {
        self.name = name
        group = .openVSwitch
        usage = spec.usage
        summary = "the same as \(spec.name)"
        minimum = spec.minimum
        maximum = spec.maximum
        options = spec.options
        readsFile = spec.readsFile
        keys = spec.keys
        original = spec.name
    }

    /// `name ARGUMENTS`.
    public var usageLine: String { usage.isEmpty ? name : "\(name) \(usage)" }
}

/// The headings of `help`.
public enum CommandGroup: String, CaseIterable, Sendable {
    case bridges = "Bridges and ports"
    case flows = "Flows"
    case groups = "Groups and meters"
    case packets = "Packets"
    case conntrack = "Connection tracking"
    case balancing = "Load balancing"
    case dataplane = "Caches, workers and counters"
    case configuration = "Configuration"
    case process = "The process"
    case openVSwitch = "As ovs-appctl calls them"
}
