/// Reads and writes meters in the syntax of ovs-ofctl(8), "Meter Syntax".
public struct MeterParser {
    public init() {}

    /// A whole meter: `meter=1 kbps burst bands=type=drop rate=1000 burst_size=100`.
    public func parse(_ meter: String) throws(FlowSyntaxError) -> MeterSpec {
        try FlowParser.withText(meter) { text throws(FlowSyntaxError) in
            guard let at = text.firstIndex(of: "band"),
                let equals = text.dropFirst(at).firstIndex(of: UInt8(ascii: "="))
            else { throw FlowSyntaxError(text.tail, "must specify bands: expected bands=type=...") }
            var result = try head(text.prefix(at), takesFlags: true)
            guard !result.flags.isDisjoint(with: [.kilobitsPerSecond, .packetsPerSecond]) else {
                throw FlowSyntaxError(text, "meter must specify either \"kbps\" or \"pktps\"")
            }
            result.bands = try bands(text.dropFirst(at + equals + 1), result.flags)
            return result
        }
    }

    /// What `del-meters` and `dump-meters` take: `meter=1`, `meter=all` or nothing for all.
    public func parseFilter(_ meter: String) throws(FlowSyntaxError) -> MeterSpec.ID {
        try FlowParser.withText(meter) { text throws(FlowSyntaxError) in
            text.trimmed().isEmpty ? .all : try head(text, takesFlags: false).id
        }
    }

    private static var separators: StaticString { "=, \t\r\n" }

    private func value(_ name: Text, _ rest: inout Text) throws(FlowSyntaxError) -> Text {
        guard let value = rest.nextWord(separatedBy: MeterParser.separators) else {
            throw FlowSyntaxError(rest, "field \(name.echoed) missing value")
        }
        return value
    }

    private func head(_ text: Text, takesFlags: Bool) throws(FlowSyntaxError) -> MeterSpec {
        var rest = text
        var result = MeterSpec()
        var idIsSet = false
        while let name = rest.nextWord(separatedBy: MeterParser.separators) {
            if takesFlags, let flag = MeterParser.flag(name) {
                result.flags.insert(flag)
            } else if name.equals("meter") {
                idIsSet = true
                result.id = try id(try value(name, &rest))
            } else {
                throw FlowSyntaxError(
                    name, "unknown keyword \(name.echoed): expected meter, kbps, pktps, burst, stats or bands")
            }
        }
        guard idIsSet else { throw FlowSyntaxError(text, "must specify a meter: expected meter=NUMBER") }
        return result
    }

    private static func flag(_ name: Text) -> MeterSpec.Flags? {
        if name.equals("kbps") { return .kilobitsPerSecond }
        if name.equals("pktps") { return .packetsPerSecond }
        if name.equals("burst") { return .burst }
        if name.equals("stats") { return .stats }
        return nil
    }

    private func id(_ text: Text) throws(FlowSyntaxError) -> MeterSpec.ID {
        if text.equals("all") { return .all }
        if text.equals("controller") { return .controller }
        if text.equals("slowpath") { return .slowPath }
        let number = try text.number("meter", maximum: UInt128(MeterSpec.idLimit - 1))
        if number == 0 { throw FlowSyntaxError(text, "there is no meter 0: expected 1 or more") }
        return .number(UInt32(number))
    }

    private func bands(_ text: Text, _ flags: MeterSpec.Flags) throws(FlowSyntaxError) -> [MeterSpec.Band] {
        var rest = text
        var bands: [MeterSpec.Band] = []
        var starts: [Text] = []
        while let name = rest.nextWord(separatedBy: MeterParser.separators) {
            let value = try value(name, &rest)
            if name.equals("type") {
                starts.append(name)
                bands.append(MeterSpec.Band(kind: try kind(value), rate: 0, burst: 0))
            } else if bands.isEmpty {
                throw FlowSyntaxError(name, "band must start with the \"type\" keyword")
            } else if name.equals("rate") {
                bands[bands.count - 1].rate = try value.uint32("rate")
            } else if name.equals("burst_size") {
                bands[bands.count - 1].burst = try value.uint32("burst_size")
            } else if name.equals("prec_level") {
                guard case .remark = bands[bands.count - 1].kind else {
                    throw FlowSyntaxError(name, "only dscp_remark bands may have prec_level")
                }
                bands[bands.count - 1].kind = .remark(levels: try value.uint8("prec_level"))
            } else {
                throw FlowSyntaxError(
                    name, "unknown keyword \(name.echoed): expected type, rate, burst_size or prec_level")
            }
        }
        if bands.isEmpty { throw FlowSyntaxError(text, "meter must have bands") }
        for (band, start) in zip(bands, starts) { try check(band, start, flags) }
        return bands
    }

    private func kind(_ text: Text) throws(FlowSyntaxError) -> MeterSpec.Band.Kind {
        if text.equals("drop") { return .drop }
        if text.equals("dscp_remark") { return .remark(levels: 0) }
        throw FlowSyntaxError(text, "unknown band type \(text.quoted): expected drop or dscp_remark")
    }

    private func check(_ band: MeterSpec.Band, _ at: Text, _ flags: MeterSpec.Flags) throws(FlowSyntaxError) {
        if band.kind == .remark(levels: 0) { throw FlowSyntaxError(at, "dscp_remark band must have prec_level") }
        if band.rate == 0 { throw FlowSyntaxError(at, "band must have a rate") }
        if flags.contains(.burst) != (band.burst != 0) {
            throw FlowSyntaxError(at, "burst_size goes with the burst flag: expected both or neither")
        }
    }
}

/// Writes meters as `dump-meters` does: one line, and one more for each band.
public struct MeterPrinter {
    public init() {}

    public func text(_ id: MeterSpec.ID) -> String {
        switch id {
        case .number(let number): "meter=\(number)"
        case .all: "meter=all"
        case .controller: "meter=controller"
        case .slowPath: "meter=slowpath"
        }
    }

    public func text(_ meter: MeterSpec) -> String {
        var text = self.text(meter.id) + " "
        if meter.flags.contains(.kilobitsPerSecond) { text += "kbps " }
        if meter.flags.contains(.packetsPerSecond) { text += "pktps " }
        if meter.flags.contains(.burst) { text += "burst " }
        if meter.flags.contains(.stats) { text += "stats " }
        text += "bands="
        for band in meter.bands {
            text += band.kind == .drop ? "\ntype=drop" : "\ntype=dscp_remark"
            text += " rate=\(band.rate)"
            if meter.flags.contains(.burst) { text += " burst_size=\(band.burst)" }
            if case .remark(let levels) = band.kind { text += " prec_level=\(levels)" }
        }
        return text
    }
}
