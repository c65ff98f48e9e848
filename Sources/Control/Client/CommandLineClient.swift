import Base
import Foundation

/// What `weftctl` does: one command line in, text and an exit status out.
public struct CommandLineClient {
    public enum ExitStatus: Int32, Sendable {
        case done = 0
        /// The switch said no.
        case refused = 1
        case wrongUsage = 2
        /// No switch answers.
        case noSwitch = 3
    }

    public struct Outcome: Sendable {
        public var status: ExitStatus
        public var output = ""
        public var error = ""

        public init(status: ExitStatus, output: String = "", error: String = "") {
            self.status = status
            self.output = output
            self.error = error.printable(keepsLines: true)
        }
    }

    public var path: String
    public var wantsJSON: Bool
    /// Reads standard input to its end.
    public var readStandardInput: () -> [UInt8]

    public init(path: String, wantsJSON: Bool, readStandardInput: @escaping () -> [UInt8]) {
        self.path = path
        self.wantsJSON = wantsJSON
        self.readStandardInput = readStandardInput
    }

    public func run(_ command: String, _ arguments: [String]) -> Outcome {
        let spec = CommandCatalogue.spec(command)
        if arguments.contains("--help"), let spec { return Outcome(status: .done, output: spec.help) }
        var parameters = arguments
        if let spec {
            do throws(CommandError) {
                parameters = try prepare(spec, arguments)
            } catch .refused(let reason) {
                return Outcome(status: .refused, error: reason)
            } catch {
                return Outcome(status: .wrongUsage, error: error.description)
            }
        }
        let response: Response
        do throws(ControlClientError) {
            let client = try ControlClient(path: path)
            response = try client.call(command, (wantsJSON ? ["--json"] : []) + parameters)
        } catch {
            // Without a switch to ask, a name that is not in the catalogue is taken for a slip of the pen.
            guard spec != nil else {
                return Outcome(status: .wrongUsage, error: CommandError.unknownCommand(command).description)
            }
            if case .badPath = error { return Outcome(status: .wrongUsage, error: error.description) }
            return Outcome(status: .noSwitch, error: error.description)
        }
        return outcome(response)
    }

    private func outcome(_ response: Response) -> Outcome {
        if let error = response.error {
            let isUsage = error.hasPrefix(CommandError.usagePrefix) || error.hasPrefix(CommandError.unknownPrefix)
            return Outcome(status: isUsage ? .wrongUsage : .refused, error: error)
        }
        if case .string(let text) = response.result, !wantsJSON {
            return Outcome(status: .done, output: text.isEmpty || text.hasSuffix("\n") ? text : text + "\n")
        }
        return Outcome(status: .done, output: response.result.prettyText + "\n")
    }

    /// Checks what can be checked here, and reads the files that the user means on this side: the switch may run with
    /// another working directory, another user, or a private view of the file system.
    private func prepare(_ spec: CommandSpec, _ arguments: [String]) throws(CommandError) -> [String] {
        let invocation = try Invocation(spec, arguments)
        if let position = spec.readsFile, position < invocation.arguments.count {
            if invocation.arguments.count == position + 2 { return arguments }
            let file = invocation.arguments[position]
            let bytes = file == "-" ? readStandardInput() : try read(file)
            // What stands after "--" is no option, however the text begins.
            let options = arguments.prefix { $0 != "--" }.filter { !invocation.arguments.contains($0) }
            return options + ["--"] + invocation.arguments + [String(decoding: bytes, as: UTF8.self)]
        }
        if spec.name == "capture", invocation.arguments[0] != "stop" {
            return arguments.map { $0 == invocation.arguments[1] ? Self.absolute($0) : $0 }
        }
        return arguments.map { Self.absolute($0, in: spec.name) }
    }

    private func read(_ file: String) throws(CommandError) -> [UInt8] {
        try refusing { () throws(FileError) in try FileText.read(file, anyKind: true) }
    }

    /// Files that the switch opens itself: a relative path is meant from where the user stands.
    private static func absolute(_ path: some StringProtocol) -> String {
        path.isEmpty || path.hasPrefix("/") ? String(path) : FileManager.default.currentDirectoryPath + "/" + path
    }

    private static func absolute(_ argument: String, in command: String) -> String {
        switch command {
        case "config/save": return argument.hasPrefix("-") ? argument : absolute(argument)
        case "add-br", "set-br", "add-port", "set-port":
            for key in ["rx=", "tx=", "path="] where argument.hasPrefix(key) {
                return key + absolute(argument.dropFirst(key.count))
            }
        default: break
        }
        return argument
    }
}
