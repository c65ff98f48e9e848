import Base

/// Why a command was not done.
public enum CommandError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The switch has no such command.
    case unknownCommand(String)
    /// The arguments are not those of the command; the usage line belongs to the message.
    case usage(String, usage: String)
    /// The switch refused: nothing was changed.
    case refused(String)

    public static let usagePrefix = "usage error: "
    public static let unknownPrefix = "unknown command "

    public var description: String {
        switch self {
        case .unknownCommand(let name): Self.unknownPrefix + "\"\(name.echoed)\"; help lists all"
        case .usage(let what, let usage): Self.usagePrefix + what + "\nusage: " + usage
        case .refused(let reason): reason
        }
    }
}

/// One command with its arguments taken apart: options by name, the rest by position.
public struct Invocation: Sendable, Equatable {
    public let name: String
    public let arguments: [String]
    /// Options that were given; the value is empty for those without.
    public let options: [String: String]
    /// What `-O` said, as written; nil without one.
    public let protocolVersions: String?
    /// The answer is wanted as JSON.
    public let wantsJSON: Bool

    public func has(_ option: String) -> Bool { options[option] != nil }

    /// Takes the parameters of a request apart: a leading `--json`, `-O VERSION` (also `-OVERSION` and
    /// `--protocols`) and the command's own options in any place up to `--`.
    public init(_ spec: CommandSpec, _ parameters: [String]) throws(CommandError) {
        func usage(_ what: String) -> CommandError { .usage("\(spec.name): \(what)", usage: spec.usageLine) }
        var rest = parameters[...]
        wantsJSON = rest.first == "--json"
        if wantsJSON { rest.removeFirst() }
        var arguments: [String] = []
        var options: [String: String] = [:]
        var versions: String?
        while let argument = rest.popFirst() {
            guard argument.utf8.first == UInt8(ascii: "-"), argument.utf8.count > 1 else {
                arguments.append(argument)
                continue
            }
            if argument == "--" {
                arguments += rest
                break
            }
            if argument == "-O" || argument == "--protocols" {
                guard let value = rest.popFirst() else { throw usage("\(argument) needs a version") }
                versions = value
            } else if argument.hasPrefix("-O") {
                versions = String(argument.dropFirst(2))
            } else if argument.hasPrefix("--protocols=") {
                versions = String(argument.dropFirst("--protocols=".count))
            } else if spec.options.contains(argument) {
                options[argument] = ""
            } else if let equals = argument.firstIndex(of: "="),
                spec.options.contains(String(argument[...equals]))
            {
                options[String(argument[..<equals])] = String(argument[argument.index(after: equals)...])
            } else {
                throw usage("unknown option \(argument.echoed)")
            }
        }
        name = spec.name
        self.arguments = arguments
        self.options = options
        protocolVersions = versions
        if arguments.count < spec.minimum { throw usage("too few arguments") }
        if let maximum = spec.maximum, arguments.count > maximum { throw usage("too many arguments") }
    }
}
