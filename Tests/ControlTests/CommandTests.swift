import Control
import Testing

@Suite struct CommandTests {
    static let spec = CommandSpec.named("dump-flows")

    @Test func optionsInAnyPlace() throws {
        let a = try Invocation(Self.spec, ["--json", "-O", "OpenFlow13", "br0", "--names", "in_port=1"])
        #expect(a.arguments == ["br0", "in_port=1"])
        #expect(a.protocolVersions == "OpenFlow13")
        #expect(a.wantsJSON && a.has("--names") && !a.has("--no-names"))
        let b = try Invocation(Self.spec, ["br0", "--sort=n_packets", "-OOpenFlow10,OpenFlow14"])
        #expect(b.options["--sort"] == "n_packets")
        #expect(b.protocolVersions == "OpenFlow10,OpenFlow14")
        let c = try Invocation(Self.spec, ["br0", "--", "--names"])
        #expect(c.arguments == ["br0", "--names"])
        let d = try Invocation(CommandSpec.named("add-flows"), ["br0", "-"])
        #expect(d.arguments == ["br0", "-"])
    }

    @Test(arguments: [[], ["br0", "a", "b"], ["br0", "--bogus"], ["br0", "-O"], ["br0", "-x"]])
    func wrongUsage(_ parameters: [String]) {
        do {
            _ = try Invocation(Self.spec, parameters)
            #expect(Bool(false))
        } catch {
            #expect(error.description.hasPrefix(CommandError.usagePrefix))
            #expect(error.description.contains("usage: dump-flows"))
        }
    }

    @Test func registry() {
        let registry = CommandRegistry()
        registry.bind("version") { _ throws(CommandError) in CommandResult("one") }
        registry.bind("del-br") { _ throws(CommandError) in throw .refused("not that one") }
        func run(_ method: String, _ parameters: String...) -> Response {
            registry.execute(Request(method: method, parameters: parameters, id: 1))
        }
        #expect(run("version") == Response(id: 1, result: "one\n"))
        #expect(run("version", "--json") == Response(id: 1, result: "one"))
        #expect(run("version", "extra").error?.hasPrefix(CommandError.usagePrefix) == true)
        #expect(run("del-br", "br0").error == "not that one")
        // In the catalogue, but nobody does it here; and not even in the catalogue.
        #expect(run("show").error?.hasPrefix(CommandError.unknownPrefix) == true)
        #expect(run("\u{0}").error?.hasPrefix(CommandError.unknownPrefix) == true)
        guard case .string(let list) = run("list-commands").result else { return #expect(Bool(false)) }
        #expect(list == "The available commands are:\n  del-br BR\n  help [COMMAND]\n  list-commands\n  version\n")
        #expect(run("help", "del-br").error == nil)
        #expect(run("help", "show").error != nil)
    }

    @Test func catalogueIsSound() {
        #expect(Set(CommandCatalogue.all.map(\.name)).count == CommandCatalogue.all.count)
        for spec in CommandCatalogue.all {
            #expect(!spec.summary.isEmpty && !spec.summary.hasSuffix("."))
            #expect(spec.maximum.map { $0 >= spec.minimum } ?? true)
            #expect(spec.help.contains(spec.usageLine))
        }
    }
}

extension CommandSpec {
    static func named(_ name: String) -> CommandSpec {
        guard let spec = CommandCatalogue.spec(name) else { fatalError("no command \(name)") }
        return spec
    }
}
