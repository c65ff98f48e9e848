import Base
import Dataplane
import Flow
import Foundation
import Logging
import Pipeline

extension SwitchCommands {
    func bindConfigurationCommands(_ registry: CommandRegistry) {
        registry.bind("config/show") { _ throws(CommandError) in CommandResult(self.running().text) }
        registry.bind("config/save") { invocation throws(CommandError) in
            let text = self.running().text
            try refusing { () throws(FileError) in try FileText.write(Array(text.utf8), to: invocation.arguments[0]) }
            return .done
        }
        registry.bind("config/load") { invocation throws(CommandError) in
            let file = TextFile(invocation, at: 0)
            let directory = URL(fileURLWithPath: file.name).deletingLastPathComponent().path
            let configuration = try file.withBytes { (bytes) throws(CommandError) in
                do throws(ConfigurationError) { return try Configuration(parsing: bytes, directory: directory) } catch {
                    var error = error
                    error.file = file.name
                    throw .refused(error.description)
                }
            }
            try self.load(configuration)
            return .done
        }
        registry.bind("set") { invocation throws(CommandError) in
            var settings = self.configured.settings
            try Self.apply(invocation.arguments, to: &settings)
            try self.configured.setSettings(settings)
            return .done
        }
        registry.bind("get") { invocation throws(CommandError) in
            var all = self.configured.settings.all
            if let key = invocation.arguments.first {
                let name = GlobalSettings.name(ofKey: key)
                all = all.filter { $0.key == name }
                guard !all.isEmpty else { throw .refused(GlobalSettings.unknown(key).description) }
                let value = all[0].value
                return CommandResult(text: { value + "\n" }, json: { .string(value) })
            }
            let shown = all
            return CommandResult(
                text: { shown.map { "\($0.key)=\($0.value)\n" }.joined() },
                json: { .object(shown.map { JSONValue.Member($0.key, .string($0.value)) }) })
        }
    }

    /// What the switch does now, as a configuration that leads here.
    public func running() -> Configuration {
        var configuration = outline()
        for i in configuration.bridges.indices {
            guard let bridge = model.state.bridge(named: configuration.bridges[i].name) else { continue }
            configuration.bridges[i].flows = flowText(bridge)
        }
        return configuration
    }

    /// The same without flows.
    private func outline() -> Configuration {
        var configuration = processConfiguration
        configuration.settings = configured.settings
        configuration.tracking = configured.tracking
        // In an order that does not depend on what came first.
        configuration.bridges = configured.bridges.sorted { $0.name < $1.name }
        configuration.services = configured.services.values.map(\.configuration).sorted { $0.name < $1.name }
        for i in configuration.bridges.indices {
            configuration.bridges[i].ports.sort { ($0.number ?? 0) < ($1.number ?? 0) }
            configuration.bridges[i].mirrors.sort { $0.name < $1.name }
            guard let bridge = model.state.bridge(named: configuration.bridges[i].name) else { continue }
            let context = context(bridge, .openFlow15)
            configuration.bridges[i].groups = (try? model.dumpGroups(of: bridge.name, context: context)) ?? []
            configuration.bridges[i].tlvMap = bridge.tlvMap.mappings.map(\.text)
            configuration.bridges[i].meters = ((try? model.dumpMeters(.all, of: bridge.name)) ?? []).map {
                String($0.map { $0 == "\n" ? " " : $0 })
            }
        }
        return configuration
    }

    /// Makes the switch what a configuration says, by the difference to what it is. If a step is refused, what was
    /// done before it is undone.
    public func load(_ configuration: Configuration) throws(CommandError) {
        let before = outline()
        do throws(ConfigurationError) { try configuration.check() } catch { throw .refused(error.description) }
        try checkRules(configuration)
        let plan = ConfigurationPlan(from: before, to: configuration)
        var flows: [String: FlowModBatch] = [:]
        for bridge in before.bridges {
            let rules = (try? model.selectRules(of: bridge.name)) ?? []
            flows[bridge.name] = FlowModBatch(rules.map { FlowMod($0.spec) })
        }
        for step in plan.steps {
            do throws(CommandError) { try run(step) } catch {
                restore(before, flows)
                throw error
            }
        }
    }

    /// Takes the way back. What was there before can be there again, short of a device that went away meanwhile.
    private func restore(_ before: Configuration, _ flows: [String: FlowModBatch]) {
        for step in ConfigurationPlan(from: outline(), to: before).steps {
            do { try run(step) } catch { configured.log.error("while undoing a configuration: \(error)") }
        }
        for (bridge, batch) in flows {
            do { try model.replaceFlows(batch, of: bridge, now: now) } catch {
                configured.log.error("while undoing a configuration: flows of \(bridge): \(error)")
            }
        }
    }

    private func run(_ step: ConfigurationPlan.Step) throws(CommandError) {
        switch step {
        case .setSettings(let settings): try configured.setSettings(settings)
        case .setTracking(let tracking): try configured.setTracking(tracking)
        case .setLogLevel(let level):
            processConfiguration.logLevel = level
            LogOutput.level = LogOutput.level(named: level) ?? LogOutput.level
        case .deleteMirror(let bridge, let mirror): try configured.deleteMirror(mirror, of: bridge)
        case .deletePort(let bridge, let port):
            let port = try configured.port(port, bridge: bridge)
            stopCapture(port.index)
            try configured.deletePort(port)
        case .deleteBridge(let name):
            for index in try configured.state(name).ports.values { stopCapture(index) }
            try configured.deleteBridge(name)
        case .addBridge(let bridge): try configured.addBridge(bridge)
        case .changeBridge(let bridge): try configured.changeBridge(bridge)
        case .addPort(let bridge, let port): try configured.addPort(port, to: bridge, waits: true)
        case .changePort(let bridge, let port):
            try configured.changePort(try configured.port(port.name, bridge: bridge), to: port)
        case .addMirror(let bridge, let mirror): try configured.addMirror(mirror, to: bridge)
        case .addMappings(let bridge, let lines): try addMappings(to: bridge, lines)
        case .deleteMappings(let bridge, let lines): try deleteMappings(of: bridge, keeping: lines)
        case .addMeters(let bridge, let lines): try addMeters(to: bridge, lines)
        case .deleteMeters(let bridge, let lines): try deleteMeters(of: bridge, keeping: lines)
        case .setServices(let services, let gone):
            try configured.setServices(services, deleting: gone, isChecked: true)
        case .addGroups(let bridge, let lines): try addGroups(to: bridge, lines)
        case .replaceFlows(let bridge, let text): try replaceFlows(of: bridge, with: text, name: "\(bridge) flows")
        case .deleteGroups(let bridge, let lines): try deleteGroups(of: bridge, keeping: lines)
        }
    }
}
