import Base
import Control
import Foundation

// weftctl [--control PATH] [--json] COMMAND [ARG...]
//
// Taken apart by hand: everything after COMMAND belongs to the command, dashes included.

let usage = """
    usage: weftctl [--control PATH] [--json] COMMAND [ARG...]

    Speaks to weftd over its control socket: PATH, else $\(Control.socketEnvironmentVariable), else \
    \(Control.defaultSocketPath).
    With --json the answer is JSON. weftctl COMMAND --help shows one command and its keys. -O VERSION before the other
    arguments is as in ovs-ofctl. Exit status: 0 done, 1 the switch refused, 2 wrong usage, 3 no switch answers.


    """

func finish(_ outcome: CommandLineClient.Outcome) -> Never {
    FileHandle.standardOutput.write(Data(outcome.output.utf8))
    if !outcome.error.isEmpty { FileHandle.standardError.write(Data("weftctl: \(outcome.error)\n".utf8)) }
    exit(outcome.status.rawValue)
}

signal(SIGPIPE, SIG_DFL)
// Set but empty is as good as not set.
let fromEnvironment = ProcessInfo.processInfo.environment[Control.socketEnvironmentVariable].flatMap {
    $0.isEmpty ? nil : $0
}
var path = fromEnvironment ?? Control.defaultSocketPath
var wantsJSON = false
var arguments = CommandLine.arguments.dropFirst()
/// What stands before the command but belongs to it: `-O VERSION`, and options such as `--may-exist`.
var early: [String] = []
while let argument = arguments.first, argument.hasPrefix("-") {
    arguments.removeFirst()
    if argument == "--help" || argument == "-h" {
        finish(.init(status: .done, output: usage + CommandRegistry.describe(CommandCatalogue.all)))
    } else if argument == "--version" {
        finish(.init(status: .done, output: "weftctl \(Control.version)\n"))
    } else if argument == "--json" {
        wantsJSON = true
    } else if argument == "--control" || argument == "-t", let value = arguments.popFirst() {
        path = value
    } else if argument.hasPrefix("--control=") {
        path = String(argument.dropFirst("--control=".count))
    } else if argument == "-O", let version = arguments.popFirst() {
        early += [argument, version]
    } else if (argument.hasPrefix("-O") && argument.count > 2) || CommandCatalogue.hasOption(argument) {
        early.append(argument)
    } else {
        finish(.init(status: .wrongUsage, error: "unknown or incomplete option \(argument.echoed)\n\(usage)"))
    }
}
guard let command = arguments.popFirst() else {
    finish(.init(status: .wrongUsage, error: "no command\n\(usage)"))
}
let client = CommandLineClient(path: path, wantsJSON: wantsJSON) {
    Array(FileHandle.standardInput.readDataToEndOfFile())
}
finish(client.run(command, early + arguments))
