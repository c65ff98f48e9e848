/// What a command answers: text for people, and the same as JSON. Only the one that is wanted gets made.
public struct CommandResult {
    let text: () -> String
    let json: () -> JSONValue
    let steps: AnswerSteps?

    /// Text; as JSON it is a string.
    public init(_ text: @escaping @autoclosure () -> String = "") {
        self.text = text
        json = { .string(text()) }
        steps = nil
    }

    public init(text: @escaping () -> String, json: @escaping () -> JSONValue) {
        self.text = text
        self.json = json
        steps = nil
    }

    /// An answer that is made in steps.
    init(steps: AnswerSteps) {
        text = { "" }
        json = { .null }
        self.steps = steps
    }

    /// Lines as ovs-ofctl prints them, each behind a blank; as JSON an array of strings.
    init(lines: [String]) {
        text = { lines.map { " \($0)\n" }.joined() }
        json = { .array(lines.map(JSONValue.string)) }
        steps = nil
    }

    public static var done: CommandResult { CommandResult(text: { "" }, json: { .null }) }
}

/// The commands of a running switch: the handler of each. Control thread only.
public final class CommandRegistry {
    /// Does one command. It throws before it has changed anything, or not at all.
    public typealias Handler = (Invocation) throws(CommandError) -> CommandResult

    private var handlers: [String: Handler] = [:]

    public init() {
        bind("help") { [unowned self] invocation throws(CommandError) in try self.help(invocation) }
        bind("list-commands") { [unowned self] _ throws(CommandError) in CommandResult(self.listCommands()) }
    }

    /// Gives a command of the catalogue its handler.
    public func bind(_ name: String, _ handler: @escaping Handler) {
        precondition(CommandCatalogue.spec(name) != nil, "\(name) is not in the catalogue")
        handlers[name] = handler
    }

    /// Specs of all commands that have a handler, in the order of the catalogue.
    public var available: [CommandSpec] { CommandCatalogue.all.filter { handlers[$0.original ?? $0.name] != nil } }

    /// Runs a request, whatever it says, to its end.
    public func execute(_ request: Request) -> Response {
        let response = begin(request)
        return response.steps.map { Response(id: request.id, result: $0.run()) } ?? response
    }

    /// Runs a request, whatever it says. The answer may still be to be made.
    public func begin(_ request: Request) -> Response {
        do throws(CommandError) {
            guard let spec = CommandCatalogue.spec(request.method), let handler = handlers[spec.original ?? spec.name]
            else {
                throw .unknownCommand(request.method)
            }
            let invocation = try Invocation(spec, request.parameters)
            let result = try handler(invocation)
            if let steps = result.steps { return Response(id: request.id, steps: steps) }
            guard !invocation.wantsJSON else { return Response(id: request.id, result: result.json()) }
            let text = result.text()
            return Response(id: request.id, result: .string(text.isEmpty || text.hasSuffix("\n") ? text : text + "\n"))
        } catch {
            return Response(id: request.id, error: error.description)
        }
    }

    /// The form of ovs-appctl's `list-commands`.
    private func listCommands() -> String {
        let lines = available.map { "  \($0.usageLine)" }
        return "The available commands are:\n" + lines.sorted().joined(separator: "\n") + "\n"
    }

    private func help(_ invocation: Invocation) throws(CommandError) -> CommandResult {
        guard let name = invocation.arguments.first else {
            let specs = available
            return CommandResult(text: { Self.describe(specs) }, json: { .array(specs.map(\.json)) })
        }
        guard let spec = CommandCatalogue.spec(name), handlers[spec.original ?? name] != nil else {
            throw .unknownCommand(name)
        }
        return CommandResult(text: { spec.help }, json: { spec.json })
    }

    /// A list of commands under their headings.
    public static func describe(_ specs: [CommandSpec]) -> String {
        let width = specs.map(\.name.count).max() ?? 0
        var text = ""
        for group in CommandGroup.allCases {
            let members = specs.filter { $0.group == group }
            guard !members.isEmpty else { continue }
            text += (text.isEmpty ? "" : "\n") + group.rawValue + ":\n"
            for spec in members {
                let padding = String(repeating: " ", count: width - spec.name.count)
                text += "  \(spec.name)\(padding)  \(spec.summary)\n"
            }
        }
        return text
    }
}

extension CommandSpec {
    /// What `weftctl COMMAND --help` prints.
    public var help: String {
        let table = keys.isEmpty ? "" : "\nKeys, with what holds by default in brackets:\n\(SettingKey.describe(keys))"
        return "usage: \(usageLine)\n\n\(summary)\n\(table)"
    }

    var json: JSONValue {
        [
            "name": .string(name), "usage": .string(usage), "summary": .string(summary),
            "group": .string(group.rawValue), "keys": .array(keys.map(\.json)),
        ]
    }
}
