import Base
import Flow
import Foundation
import Pipeline

extension TranslatorSwitch {
    /// A command line of a scenario.
    func command(_ line: String) throws {
        var words = Self.words(line)
        var version = OpenFlowVersion.openFlow15
        if words.count > 2, words[1] == "-O" {
            version = OpenFlowVersion(name: words[2]) ?? version
            words.removeSubrange(1...2)
        }
        switch words[0] {
        case "add-br": try addBridge(words)
        case "add-port": try addPort(words)
        case "set-port": try setPort(words)
        case "mod-port": try modifyPort(words)
        case "add-mirror": try addMirror(words)
        case "fdb/flush": model.state.bridge(named: words[1])?.stations.flush()
        case "set":
            var settings = model.state.settings
            settings.vlanLimit = Int(words[1].dropFirst("vlan-limit=".count)) ?? 1
            try model.setSettings(settings)
        case "add-flow", "mod-flows", "del-flows": try changeFlows(words, version)
        case "add-group":
            let spec = try GroupParser(context(version)).parse(words[2])
            _ = try model.apply(Self.groupMod(spec), to: words[1], now: now)
        default: throw Refused(description: "unknown command \(words[0])")
        }
    }

    static func words(_ line: String) -> [String] {
        var words: [String] = []
        var word = ""
        var isQuoted = false
        for character in line {
            if character == "'" {
                isQuoted.toggle()
            } else if character == " ", !isQuoted {
                words.append(word)
                word = ""
            } else {
                word.append(character)
            }
        }
        return words + [word]
    }

    private static func options(_ words: some Sequence<String>) -> [String: String] {
        var options: [String: String] = [:]
        for word in words {
            guard let equals = word.firstIndex(of: "=") else { continue }
            options[String(word[..<equals])] = String(word[word.index(after: equals)...])
        }
        return options
    }

    private func addBridge(_ words: [String]) throws {
        let options = Self.options(words.dropFirst(2))
        var settings = BridgeSettings()
        settings.failMode = options["fail-mode"] == "secure" ? .secure : .standalone
        switch options["frags"] {
        case "drop": settings.fragments = .drop
        case "nx-match": settings.fragments = .nxMatch
        default: break
        }
        settings.forwardBPDU = options["forward-bpdu"] == "true"
        try model.addBridge(words[1], settings, now: now)
    }

    private func addPort(_ words: [String]) throws {
        let options = Self.options(words.dropFirst(3))
        let number = options["ofport"].flatMap { UInt32($0) }.map { PortNumber($0) }
        let kind: PortRequest.Kind = options["type"] == "patch" ? .patch(peer: options["peer"] ?? "") : .plain
        let configure = { (port: inout PortState) throws(StateError) in
            Self.configure(&port, options)
        }
        try model.addPort(PortRequest(words[2], kind: kind, number: number), to: words[1], configure)
    }

    private static func numbers(_ text: String?) -> Set<UInt16>? {
        text.map { Set($0.split(separator: ",").compactMap { UInt16($0) }) }
    }

    private static func configure(_ port: inout PortState, _ options: [String: String]) {
        let tag = options["tag"].flatMap { UInt16($0) }
        port.tag = tag ?? 0
        port.trunks = numbers(options["trunks"])
        port.customerVLANs = numbers(options["cvlans"])
        port.protected = options["protected"] == "true" || options["protected"] == "True"
        switch options["vlan-mode"] {
        case "access": port.vlanMode = .access
        case "trunk": port.vlanMode = .trunk
        case "native-tagged": port.vlanMode = .nativeTagged
        case "native-untagged": port.vlanMode = .nativeUntagged
        case "dot1q-tunnel": port.vlanMode = .dot1qTunnel
        default: port.vlanMode = tag == nil || port.trunks != nil ? .trunk : .access
        }
        if port.vlanMode != .access, port.vlanMode != .trunk, tag == nil { port.tag = 0 }
        if options["qinq-ethtype"] == "802.1q" { port.qinqEtherType = 0x8100 }
        switch options["priority-tags"] {
        case "true", "if-nonzero": port.priorityTags = .ifNonzero
        case "always": port.priorityTags = .always
        default: break
        }
    }

    private func index(_ name: String) throws -> PortIndex {
        guard let port = model.state.port(named: name) else { throw Refused(description: "no port \(name)") }
        return port.index
    }

    private func setPort(_ words: [String]) throws {
        let isUp = words[2] == "admin=up"
        try model.setPort(try index(words[1])) { port throws(StateError) in
            port.adminDown = !isUp
            port.linkUp = isUp
        }
    }

    private func modifyPort(_ words: [String]) throws {
        try model.setPort(try index(words[2])) { port throws(StateError) in
            switch words[3] {
            case "no-flood": port.noFlood = true
            case "flood": port.noFlood = false
            case "no-forward": port.noForward = true
            case "forward": port.noForward = false
            case "no-receive": port.noReceive = true
            case "receive": port.noReceive = false
            case "down": port.adminDown = true
            case "up": port.adminDown = false
            default: break
            }
        }
    }

    private func addMirror(_ words: [String]) throws {
        let options = Self.options(words.dropFirst(3))
        var mirror = MirrorRequest(words[2])
        func ports(_ key: String) throws -> Set<PortIndex> {
            try Set((options[key] ?? "").split(separator: ",").map { try index(String($0)) })
        }
        mirror.selectAll = options["select-all"] == "true" || options["select-all"] == "True"
        mirror.selectSource = try ports("select-src-port")
        mirror.selectDestination = try ports("select-dst-port")
        mirror.selectVLANs = Self.numbers(options["select-vlan"]) ?? []
        mirror.outputPort = try options["output-port"].map { try index($0) }
        mirror.outputVLAN = options["output-vlan"].flatMap { UInt16($0) }
        mirror.snapLength = Int(options["snaplen"] ?? "0") ?? 0
        try model.addMirror(mirror, to: words[1], now: now)
    }

    func changeFlows(_ words: [String], _ version: OpenFlowVersion) throws {
        let strict = words.contains("--strict")
        let arguments = words.dropFirst().filter { !$0.hasPrefix("--") }
        let command: FlowSpec.Command =
            switch words[0] {
            case "add-flow": .add
            case "mod-flows": strict ? .modifyStrict : .modify
            default: strict ? .deleteStrict : .delete
            }
        let text = arguments.count > 1 ? arguments[1] : ""
        let spec = try FlowParser(context(version)).parse(text, as: command)
        _ = try model.apply(FlowMod(spec, version: version), to: arguments[0], now: now)
    }

    private static func groupMod(_ spec: GroupSpec) -> GroupMod {
        let kind: Group.Kind =
            switch spec.kind ?? .all {
            case .all: .all
            case .select: .select
            case .indirect: .indirect
            case .fastFailover: .fastFailover
            }
        return GroupMod(
            .add, id: spec.id, kind: kind,
            buckets: spec.buckets.map {
                GroupMod.Bucket(
                    id: $0.id, weight: $0.weight, watchPort: $0.watchPort, watchGroup: $0.watchGroup,
                    actions: $0.actions)
            })
    }
}
