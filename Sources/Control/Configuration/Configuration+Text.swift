extension Configuration {
    /// The configuration as YAML that `init(parsing:)` reads back to the same value.
    public var text: String {
        var lines: [String] = []
        if let control { lines.append("control: \(Self.quote(control))") }
        if let workers { lines.append("workers: \(workers)") }
        if let cores { lines.append("cores: [\(cores.map(String.init).joined(separator: ", "))]") }
        if let cache { lines.append("cache: \(cache.rawValue)") }
        if let logLevel { lines.append("log-level: \(logLevel)") }
        if !settings.settings.isEmpty { lines.append("settings:") }
        lines += settings.settings.map { "  \(Self.write($0))" }
        Self.write(tracking, to: &lines)
        // Said even where there are none: an empty file is taken for a truncated one.
        lines.append(bridges.isEmpty ? "bridges: []" : "bridges:")
        for bridge in bridges { Self.write(bridge, to: &lines) }
        if !services.isEmpty { lines.append("services:") }
        for service in services {
            lines.append("  - name: \(Self.quote(service.name))")
            lines += service.settings.map { "    \(Self.write($0))" }
        }
        return lines.joined(separator: "\n") + "\n"
    }

    private static func write(_ tracking: TrackingConfiguration, to lines: inout [String]) {
        guard tracking != TrackingConfiguration() else { return }
        lines.append("conntrack:")
        lines += tracking.settings.settings.map { "  \(write($0))" }
        if tracking.defaultLimit != 0 { lines.append("  limit: \(tracking.defaultLimit)") }
        write(tracking.timeouts, "  ", to: &lines)
        if !tracking.zones.isEmpty { lines.append("  zones:") }
        for zone in tracking.zones {
            lines.append("    - zone: \(zone)")
            if let limit = tracking.limits[zone] { lines.append("      limit: \(limit)") }
            if let timeouts = tracking.zoneTimeouts[zone] { write(timeouts, "      ", to: &lines) }
        }
        if !tracking.policies.isEmpty { lines.append("  policies:") }
        for (name, timeouts) in tracking.policies.sorted(by: { $0.key < $1.key }) {
            lines.append("    - name: \(quote(name))")
            write(timeouts, "      ", to: &lines)
        }
    }

    private static func write(_ timeouts: TimeoutSettings, _ indentation: String, to lines: inout [String]) {
        guard !timeouts.seconds.isEmpty else { return }
        lines.append("\(indentation)timeouts:")
        lines += timeouts.settings.map { "\(indentation)  \(write($0))" }
    }

    private static func write(_ bridge: BridgeConfiguration, to lines: inout [String]) {
        lines.append("  - name: \(quote(bridge.name))")
        lines += bridge.settings.map { "    \(write($0))" }
        write("ports", bridge.ports.map { ($0.name, $0.settings) }, to: &lines)
        write("tlv-map", bridge.tlvMap, to: &lines)
        write("groups", bridge.groups, to: &lines)
        write("meters", bridge.meters, to: &lines)
        if let file = bridge.flowsFile {
            lines.append("    flows-file: \(quote(file))")
        } else if let flows = bridge.flows {
            write(flows: flows, to: &lines)
        }
        write("mirrors", bridge.mirrors.map { ($0.name, $0.settings) }, to: &lines)
    }

    private static func write(
        _ heading: String, _ members: [(name: String, settings: [Setting])], to lines: inout [String]
    ) {
        guard !members.isEmpty else { return }
        lines.append("    \(heading):")
        for member in members {
            lines.append("      - name: \(quote(member.name))")
            lines += member.settings.map { "        \(write($0))" }
        }
    }

    private static func write(_ heading: String, _ texts: [String], to lines: inout [String]) {
        guard !texts.isEmpty else { return }
        lines.append("    \(heading):")
        lines += texts.map { "      - \(quote($0))" }
    }

    /// As a block of text, unless that could not say every byte of it.
    private static func write(flows: String, to lines: inout [String]) {
        let isPlain = flows.utf8.allSatisfy { $0 == 0x0a || (0x20..<0x7f).contains($0) }
        guard isPlain, flows.hasSuffix("\n"), !flows.hasPrefix(" "), !flows.hasPrefix("\n"), !flows.hasSuffix("\n\n")
        else {
            lines.append("    flows: \(doubleQuote(flows))")
            return
        }
        lines.append("    flows: |")
        lines += flows.dropLast().split(separator: "\n", omittingEmptySubsequences: false).map {
            $0.isEmpty ? "" : "      \($0)"
        }
    }

    private static func write(_ setting: Setting) -> String { "\(setting.key): \(quote(setting.value))" }

    /// A scalar in the plainest form that is read back as it is.
    private static func quote(_ text: String) -> String {
        let isPlain =
            !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"), UInt8(ascii: "-"), UInt8(ascii: "."),
                    UInt8(ascii: "/"), UInt8(ascii: "+"):
                    true
                default: false
                }
            } && !text.hasPrefix("-") && text != "." && text.lowercased() != "null"
        return isPlain ? text : doubleQuote(text)
    }

    private static func doubleQuote(_ text: String) -> String {
        var output = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": output += "\\\""
            case "\\": output += "\\\\"
            case "\n": output += "\\n"
            case "\t": output += "\\t"
            case "\u{0}"..<"\u{20}", "\u{7f}"..<"\u{a0}", "\u{2028}", "\u{2029}", "\u{feff}":
                let hex = String(scalar.value, radix: 16)
                output += "\\u" + String(repeating: "0", count: 4 - hex.count) + hex
            default: output.unicodeScalars.append(scalar)
            }
        }
        return output + "\""
    }
}
